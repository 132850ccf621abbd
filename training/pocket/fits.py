"""Finds stickers in pictures, by analysis by synthesis: what the oracle tells subjects by.

Knows: how to render stickers for comparison, and how well one explains a picture. Must not know: scenes, movement, models.

A sticker of every subject, colour, side and facing is laid over the places where the picture differs from its background,
and wins by how much better than the bare background it explains the pixels. As a sticker is linear in its paint
(stickers.py), this needs only a few matrix products for all candidates at once.
"""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple

import numpy as np
from PIL import Image

from training.pocket.stickers import Sprite

SIDES = tuple(range(29, 61, 3))  # sides of the stickers tried, pixels
TILE = 60  # every template lies centred in a tile of this side
STEP, REACH = 2, 8  # of the grid on which a subject is looked for, pixels
# A subject counts as there when its sticker explains the picture better than the empty background does. Shares are of the
# perfect gain: 1 for a clean render; empty scenes, also worsened ones, stay below -1.9 (measured on 18).
PRESENT = 0.0
TOLERATED = 300.0  # squared RGB difference that a background may have


class Templates(NamedTuple):
    """All stickers as a picture = fixed + body * paint, inside `cover`; rows are subject x side x facing."""

    cover: np.ndarray  # [N, TILE * TILE], 0 or 1
    fixed: np.ndarray  # [N, 3 * TILE * TILE], channel first
    body: np.ndarray  # [N, TILE * TILE]
    own: np.ndarray  # [N, colours], the sum of squares of each template in each colour
    subject: np.ndarray  # [N], index into the subjects
    side: np.ndarray  # [N], pixels


class Frame(NamedTuple):
    """A picture, blurred a little, with the truncated squared distance from its background."""

    pixels: np.ndarray  # float32 [HEIGHT, WIDTH, 3]
    strange: np.ndarray  # float32 [HEIGHT, WIDTH]


class Fit(NamedTuple):
    """The gain of every template, place and colour [N, K, colours], the share of the perfect gain, and the places [K, 2]."""

    gain: np.ndarray
    share: np.ndarray
    places: np.ndarray


class Spot(NamedTuple):
    """Where a known subject is: the share of the perfect gain, the sticker's centre and its side, in pixels."""

    share: float
    x: float
    y: float
    side: float


class Finder:
    """Finds the stickers of one world. `paint` must have "red" and "blue": their difference tells what is painted."""

    def __init__(self, sprite: Sprite, paint: dict[str, tuple[int, int, int]], subjects: tuple[str, ...]):
        self.sprite, self.paint, self.subjects, self.colours = sprite, paint, subjects, tuple(paint)
        self.palette = np.array([*paint.values()], np.float32)

    def shares(self, view: Frame) -> np.ndarray:
        """[subjects, colours]: the best gain over places, sides and facings, around the strangest spot."""
        best = self._fit(view, self._templates, STEP, REACH).gain.max(1)
        return np.stack([best[self._templates.subject == n].max(0) for n in range(len(self.subjects))])

    def best(self, shares: np.ndarray) -> tuple[int, int]:
        """Subject and colour of the largest share, as indices."""
        subject, colour = np.unravel_index(int(np.argmax(shares)), shares.shape)
        return int(subject), int(colour)

    def track(self, view: Frame, subject: int, colour: int) -> Spot:
        """Where the known subject is: a coarse search, then pixel by pixel around the best place."""
        every = self._templates
        some = Templates(*(values[every.subject == subject] for values in every))
        around: tuple[float, float] | None = None
        for step, reach in ((3, 9), (1, 2)):
            fit = self._fit(view, some, step, reach, around)
            row, place = np.unravel_index(int(np.argmax(fit.gain[..., colour])), fit.gain.shape[:2])
            around = (float(fit.places[place][0]), float(fit.places[place][1]))
        return Spot(float(fit.share[row, place, colour]), *around, float(some.side[row]))

    @cached_property
    def _templates(self) -> Templates:
        rows: list[tuple[np.ndarray, np.ndarray, np.ndarray, int, int]] = []
        for n, subject in enumerate(self.subjects):
            for side in SIDES:
                for flip in (False, True):
                    rows.append((*self._template(subject, side, flip), n, side))
        cover, fixed, body, index, sides = zip(*rows, strict=True)
        paint, body = self.palette, np.stack(body)
        crossed = np.einsum("np,ncp->nc", body, np.stack(fixed).reshape(len(rows), 3, -1))
        own = (np.stack(fixed) ** 2).sum(1)[:, None] + 2 * crossed @ paint.T
        own = own + (body**2).sum(1)[:, None] * (paint**2).sum(1)
        return Templates(np.stack(cover), np.stack(fixed), body, own, np.array(index), np.array(sides))

    def _template(self, subject: str, side: int, flip: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        red, blue = (self._tile(subject, colour, side, flip) for colour in ("red", "blue"))
        cover = (red[..., 3] > 140).astype(np.float32)
        body = (red[..., 0] - blue[..., 0]) / (self.paint["red"][0] - self.paint["blue"][0]) * cover
        fixed = (blue[..., :3] - body[..., None] * np.array(self.paint["blue"], np.float32)) * cover[..., None]
        return cover.ravel(), np.moveaxis(fixed, -1, 0).ravel(), body.ravel()

    def _tile(self, subject: str, colour: str, side: int, flip: bool) -> np.ndarray:
        """float32 [TILE, TILE, 4]: the sticker centred; under its soft rim the colour is the halo's."""
        small = self.sprite(subject, colour, flip).resize((side, side), Image.Resampling.BOX)
        canvas = Image.new("RGBA", (TILE, TILE), (255, 248, 230, 0))
        canvas.paste(small, ((TILE - side) // 2, (TILE - side) // 2))
        return blurred(np.asarray(canvas))

    def _fit(
        self, view: Frame, templates: Templates, step: int, reach: int, around: tuple[float, float] | None = None
    ) -> Fit:
        """How well each template explains the picture on a grid around the strangest spot, or around `around`."""
        x, y = around or _strangest(view.strange)
        offsets = np.arange(-reach, reach + 1, step)
        places = np.array([(x + dx, y + dy) for dy in offsets for dx in offsets])
        values = np.concatenate([np.moveaxis(view.pixels, -1, 0), view.strange[None], np.ones((1, *view.strange.shape), np.float32)])
        padded = np.pad(values, ((0, 0), (TILE, TILE), (TILE, TILE)))
        corners = (places + TILE - TILE // 2).round().astype(int)
        windows = [padded[:, top : top + TILE, left : left + TILE] for left, top in corners]
        rgb = np.stack([w[:3] for w in windows]).reshape(len(places), 3, -1)
        strange, inside = np.stack([w[3:] for w in windows], 1).reshape(2, len(places), -1)
        square = ((rgb**2).sum(1) - strange).T
        crossed = templates.fixed @ rgb.reshape(len(places), -1).T
        body_rgb = np.stack([templates.body @ rgb[:, c].T for c in range(3)], -1)  # [N, K, 3]
        # Sum over the cover of |pixels - fixed - body * paint|^2 - strange, expanded.
        cost = (templates.cover @ square - 2 * crossed)[..., None] + templates.own[:, None] - 2 * body_rgb @ self.palette.T
        full = (templates.cover @ inside.T) >= 0.97 * templates.cover.sum(1)[:, None]
        ideal = np.maximum(templates.cover @ strange.T, 0.25 * 90**2 * templates.cover.sum(1)[:, None])
        gain = np.where(full[..., None], -cost, -np.inf)
        return Fit(gain, gain / ideal[..., None], places)


def blurred(picture: np.ndarray) -> np.ndarray:
    """A 3 x 3 box over the two axes before the last, edges repeated, float32."""
    padded = np.pad(picture.astype(np.float32), ((1, 1), (1, 1), (0, 0)), mode="edge")
    rows = padded[:-2] + padded[1:-1] + padded[2:]
    return (rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:]) / 9


def _strangest(strange: np.ndarray) -> tuple[float, float]:
    """Centre of what differs from the background, inside the window that holds most of it."""
    evidence = np.minimum(strange, 60.0**2)
    window = 44
    sums = np.pad(evidence, ((1, 0), (1, 0))).cumsum(0).cumsum(1)
    mass = sums[window:, window:] - sums[:-window, window:] - sums[window:, :-window] + sums[:-window, :-window]
    top, left = np.unravel_index(int(np.argmax(mass)), mass.shape)
    held = evidence[top : top + window, left : left + window] + 1e-6
    y, x = np.average(np.mgrid[:window, :window].reshape(2, -1), axis=1, weights=held.ravel())
    return float(left + x), float(top + y)
