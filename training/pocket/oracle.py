"""Says what a picture or a clip of the toy world shows, by classical image processing and without any learning.

Knows: the renderer (backgrounds and stickers). Must not know: what was asked for, or models.

The scene is the background with the least truncated difference. The subject is found by
fits.py in what differs from it. Blur, noise and a slight shift of colours or background are tolerated.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from training.pocket.fits import PRESENT, TOLERATED, Finder, Frame, blurred
from training.pocket.scenes import HEIGHT, SCENES, VARIANTS, WIDTH, background
from training.pocket.sprites import COLOURS, PAINT, SUBJECTS, sprite

FINDER = Finder(sprite, PAINT, SUBJECTS)


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


def judge(frames: np.ndarray) -> Verdict:
    """What the clip shows; uint8 [T, 96, 144, 3] in.

    Raises ValueError for another size of picture.
    """
    scene = scene_of(np.median(frames[:: max(len(frames) // 6, 1)], axis=0))
    views = [_framed(frame, scene) for frame in frames]
    chosen = sorted({0, len(frames) // 2, len(frames) - 1})
    subject, colour = FINDER.best(np.sum([FINDER.shares(views[n]) for n in chosen], 0))
    spots = [FINDER.track(view, subject, colour) for view in views]
    places = tuple((s.x, s.y, s.side) for s in spots)
    shares = tuple(s.share for s in spots)
    return Verdict(scene, SUBJECTS[subject], COLOURS[colour], movement_of(np.array(places)), shares, places)


def judge_still(image: np.ndarray) -> Sighting:
    """What one picture shows; uint8 [96, 144, 3] in. Raises ValueError for another size of picture."""
    scene = scene_of(image)
    view = _framed(image, scene)
    subject, colour = FINDER.best(FINDER.shares(view))
    return Sighting(scene, SUBJECTS[subject], COLOURS[colour], *FINDER.track(view, subject, colour))


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
    return np.stack([blurred(background(scene, v)) for v in range(VARIANTS)])


def _framed(image: np.ndarray, scene: str) -> Frame:
    pixels, grounds = blurred(image), _backgrounds(scene)
    pixels = pixels - np.median((pixels - grounds[VARIANTS // 2])[::2, ::2].reshape(-1, 3), axis=0)
    far = np.min(((pixels - grounds[4:8]) ** 2).sum(-1), axis=0)  # the four shifts; the median took care of the light
    return Frame(pixels, np.maximum(far - TOLERATED, 0))
