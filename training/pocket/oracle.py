"""Says what a picture or a clip of the toy world shows, by classical image processing and without any learning.

Knows: the renderer (backgrounds and stickers). Must not know: what was asked for, or models.

The scene is the background with the least truncated difference. Everything else is analysis by synthesis: a sticker of every
subject, colour, side and facing is laid over the places where the picture differs from the background, and wins by how much
better than the bare background it explains the pixels. As a sticker is linear in its paint (sprites.py), this needs only a
few matrix products for all candidates at once. Blur, noise and a slight shift of colours or background are tolerated.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
from PIL import Image

from training.pocket.scenes import HEIGHT, SCENES, VARIANTS, WIDTH, background
from training.pocket.sprites import COLOURS, PAINT, SUBJECTS, sprite

SIDES = tuple(range(29, 61, 3))  # sides of the stickers tried, pixels
TILE = 60  # every template lies centred in a tile of this side
# A subject counts as there when its sticker explains the picture better than the empty background does. Shares are of the
# perfect gain: 1 for a clean render; empty scenes, also worsened ones, stay below -1.9 (measured on 18).
PRESENT = 0.0
TOLERATED = 300.0  # squared RGB difference that a background may have
PALETTE = np.array([PAINT[name] for name in COLOURS], np.float32)


@dataclass(frozen=True)
class Sighting:
    """What one picture shows; `x`, `y` (centre) and `side` are of the subject's sticker, in pixels.

    share  how clearly: the share of the perfect gain, 1 for a clean render, below 0 for an empty scene
    """

    scene: str
    subject: str
    colour: str
    share: float
    x: float
    y: float
    side: float

    @property
    def present(self) -> bool:
        return self.share > PRESENT


@dataclass(frozen=True)
class Verdict:
    """What a clip shows; `shares` (see Sighting) and `places` (x, y, side) have one entry a frame."""

    scene: str
    subject: str
    colour: str
    movement: str
    shares: tuple[float, ...]
    places: tuple[tuple[float, float, float], ...]

    @property
    def present(self) -> tuple[bool, ...]:
        return tuple(share > PRESENT for share in self.shares)


class Templates(NamedTuple):
    """All stickers as a picture = fixed + body * paint, inside `cover`; rows are subject x side x facing."""

    cover: np.ndarray  # [N, TILE * TILE], 0 or 1
    fixed: np.ndarray  # [N, 3 * TILE * TILE], channel first
    body: np.ndarray  # [N, TILE * TILE]
    own: np.ndarray  # [N, 8], the sum of squares of each template in each colour
    subject: np.ndarray  # [N], index into SUBJECTS
    side: np.ndarray  # [N], pixels


class Frame(NamedTuple):
    """A picture, blurred a little, with the truncated squared distance from its background."""

    pixels: np.ndarray  # float32 [HEIGHT, WIDTH, 3]
    strange: np.ndarray  # float32 [HEIGHT, WIDTH]


class Fit(NamedTuple):
    """The gain of every template, place and colour [N, K, 8], the share of the perfect gain, and the places [K, 2]."""

    gain: np.ndarray
    share: np.ndarray
    places: np.ndarray


def judge(frames: np.ndarray) -> Verdict:
    """What the clip shows; uint8 [T, 96, 144, 3] in.

    Raises ValueError for another size of picture.
    """
    scene = scene_of(np.median(frames[:: max(len(frames) // 6, 1)], axis=0))
    views = [_framed(frame, scene) for frame in frames]
    chosen = sorted({0, len(frames) // 2, len(frames) - 1})
    total = sum(_best_shares(_fit(views[n], _templates(), step=2, reach=8)) for n in chosen)
    subject, colour = np.unravel_index(int(np.argmax(total)), (len(SUBJECTS), len(COLOURS)))
    sightings = [_track(view, scene, int(subject), int(colour)) for view in views]
    places = tuple((s.x, s.y, s.side) for s in sightings)
    shares = tuple(s.share for s in sightings)
    return Verdict(scene, SUBJECTS[subject], COLOURS[colour], movement_of(np.array(places)), shares, places)


def judge_still(image: np.ndarray) -> Sighting:
    """What one picture shows; uint8 [96, 144, 3] in. Raises ValueError for another size of picture."""
    scene = scene_of(image)
    view = _framed(image, scene)
    shares = _best_shares(_fit(view, _templates(), step=2, reach=8))
    subject, colour = np.unravel_index(int(np.argmax(shares)), shares.shape)
    return _track(view, scene, int(subject), int(colour))


def scene_of(image: np.ndarray) -> str:
    """The scene whose background differs least, each pixel counting up to a limit (the subject hides some)."""
    if image.shape != (HEIGHT, WIDTH, 3):
        raise ValueError(f"a picture of the toy world is {WIDTH} x {HEIGHT}, not {image.shape}")
    small = image[::2, ::2].astype(np.float32)
    errors = {
        scene: min(np.minimum(np.abs(small - _backgrounds(scene)[v, ::2, ::2]), 50).mean() for v in range(VARIANTS))
        for scene in SCENES
    }
    return min(errors, key=lambda scene: errors[scene])


def movement_of(places: np.ndarray) -> str:
    """The movement behind places [T, 3] (x, y, side): the ends are averaged, thresholds are a third of the nominal way."""
    edge = max(len(places) // 8, 1)
    first, last = places[:edge].mean(0), places[-edge:].mean(0)
    dx, dy, growth = last[0] - first[0], last[1] - first[1], last[2] / first[2]
    ways = {"right": dx / 94, "left": -dx / 94, "down": dy / 46, "up": -dy / 46, "grow": np.log(growth) / np.log(1.87)}
    height = np.median(np.sort(places[:, 1])[-4:]) - np.median(np.sort(places[:, 1])[:4])
    best = max(ways, key=lambda name: ways[name])
    if ways[best] > 0.35:
        return best
    return "bounce" if height > 11 else "rest"


@cache
def _backgrounds(scene: str) -> np.ndarray:
    return np.stack([_blurred(background(scene, v)) for v in range(VARIANTS)])


def _blurred(picture: np.ndarray) -> np.ndarray:
    """A 3 x 3 box over the two axes before the last, edges repeated, float32."""
    padded = np.pad(picture.astype(np.float32), ((1, 1), (1, 1), (0, 0)), mode="edge")
    rows = padded[:-2] + padded[1:-1] + padded[2:]
    return (rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:]) / 9


def _framed(image: np.ndarray, scene: str) -> Frame:
    pixels, grounds = _blurred(image), _backgrounds(scene)
    pixels = pixels - np.median((pixels - grounds[VARIANTS // 2])[::2, ::2].reshape(-1, 3), axis=0)
    far = np.min(((pixels - grounds[4:8]) ** 2).sum(-1), axis=0)  # the four shifts; the median took care of the light
    return Frame(pixels, np.maximum(far - TOLERATED, 0))


@cache
def _templates() -> Templates:
    rows: list[tuple[np.ndarray, np.ndarray, np.ndarray, int, int]] = []
    for n, subject in enumerate(SUBJECTS):
        for side in SIDES:
            for flip in (False, True):
                rows.append((*_template(subject, side, flip), n, side))
    cover, fixed, body, index, sides = zip(*rows, strict=True)
    paint, body = np.array(PALETTE), np.stack(body)
    crossed = np.einsum("np,ncp->nc", body, np.stack(fixed).reshape(len(rows), 3, -1))
    own = (np.stack(fixed) ** 2).sum(1)[:, None] + 2 * crossed @ paint.T + (body**2).sum(1)[:, None] * (paint**2).sum(1)
    return Templates(np.stack(cover), np.stack(fixed), body, own, np.array(index), np.array(sides))


def _template(subject: str, side: int, flip: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    red, blue = (_tile(subject, colour, side, flip) for colour in ("red", "blue"))
    cover = (red[..., 3] > 140).astype(np.float32)
    body = (red[..., 0] - blue[..., 0]) / (PAINT["red"][0] - PAINT["blue"][0]) * cover
    fixed = (blue[..., :3] - body[..., None] * np.array(PAINT["blue"], np.float32)) * cover[..., None]
    return cover.ravel(), np.moveaxis(fixed, -1, 0).ravel(), body.ravel()


def _tile(subject: str, colour: str, side: int, flip: bool) -> np.ndarray:
    """float32 [TILE, TILE, 4]: the sticker centred; under its soft rim the colour is the halo's."""
    small = sprite(subject, colour, flip).resize((side, side), Image.Resampling.BOX)
    canvas = Image.new("RGBA", (TILE, TILE), (255, 248, 230, 0))
    canvas.paste(small, ((TILE - side) // 2, (TILE - side) // 2))
    return _blurred(np.asarray(canvas))


def _fit(view: Frame, templates: Templates, step: int, reach: int, around: tuple[float, float] | None = None) -> Fit:
    """How well each template explains the picture at places on a grid around the strangest spot, or around `around`."""
    x, y = around or _strangest(view.strange)
    offsets = np.arange(-reach, reach + 1, step)
    places = np.array([(x + dx, y + dy) for dy in offsets for dx in offsets])
    values = np.concatenate([np.moveaxis(view.pixels, -1, 0), view.strange[None], np.ones((1, HEIGHT, WIDTH), np.float32)])
    padded = np.pad(values, ((0, 0), (TILE, TILE), (TILE, TILE)))
    corners = (places + TILE - TILE // 2).round().astype(int)
    windows = [padded[:, top : top + TILE, left : left + TILE] for left, top in corners]
    rgb = np.stack([w[:3] for w in windows]).reshape(len(places), 3, -1)
    strange, inside = np.stack([w[3:] for w in windows], 1).reshape(2, len(places), -1)
    square = ((rgb**2).sum(1) - strange).T
    crossed = templates.fixed @ rgb.reshape(len(places), -1).T
    body_rgb = np.stack([templates.body @ rgb[:, c].T for c in range(3)], -1)  # [N, K, 3]
    # Sum over the cover of |pixels - fixed - body * paint|^2 - strange, expanded.
    cost = (templates.cover @ square - 2 * crossed)[..., None] + templates.own[:, None] - 2 * body_rgb @ PALETTE.T
    full = (templates.cover @ inside.T) >= 0.97 * templates.cover.sum(1)[:, None]
    ideal = np.maximum(templates.cover @ strange.T, 0.25 * 90**2 * templates.cover.sum(1)[:, None])
    gain = np.where(full[..., None], -cost, -np.inf)
    return Fit(gain, gain / ideal[..., None], places)


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


def _best_shares(fit: Fit) -> np.ndarray:
    """[subjects, colours]: the best gain over places, sides and facings, against the strangeness of the whole picture."""
    best = fit.gain.max(1)
    index = _templates().subject
    return np.stack([best[index == n].max(0) for n in range(len(SUBJECTS))])


def _track(view: Frame, scene: str, subject: int, colour: int) -> Sighting:
    """Where the known subject is: a coarse search, then pixel by pixel around the best place."""
    some = _only(subject)
    around: tuple[float, float] | None = None
    for step, reach in ((3, 9), (1, 2)):
        fit = _fit(view, some, step, reach, around)
        row, place = np.unravel_index(int(np.argmax(fit.gain[..., colour])), fit.gain.shape[:2])
        around = (float(fit.places[place][0]), float(fit.places[place][1]))
    share = float(fit.share[row, place, colour])
    return Sighting(scene, SUBJECTS[subject], COLOURS[colour], share, *around, float(some.side[row]))


@cache
def _only(subject: int) -> Templates:
    every = _templates()
    return Templates(*(values[every.subject == subject] for values in every))
