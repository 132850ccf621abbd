"""Says what a picture or a clip of the toy world shows, by classical image processing and without any learning.

Knows: the renderer (backgrounds and stickers). Must not know: what was asked for, or models.

The scene, the time of day, the prop and how far the camera has turned are those of the background with the least truncated
difference. The subject is found by fits.py in what differs from it. Blur, noise, shadows and a slight shift of colours or
background are tolerated.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from training.pocket.fits import PRESENT, TOLERATED, Finder, Frame, blurred
from training.pocket.scenes import HEIGHT, NOCTURNAL, PAN, PROPS, SCENES, TIMES, VARIANTS, WIDTH, background
from training.pocket.sprites import COLOURS, PAINT, SUBJECTS, sprite

LIMIT = 50.0  # a channel's difference counts up to this much when backgrounds are compared: the subject hides some
SHADOWS, SHADE = 64, 0.4  # from this row down the background may be darker, by up to this share: a shadow is no subject
LOOKS = tuple((scene, time) for scene in SCENES for time in TIMES if time == "night" or scene not in NOCTURNAL)
TURNS = tuple(np.linspace(0, PAN, 17).tolist())  # how far the camera may have turned, in pixels of the near ground
FINDER = Finder(sprite, PAINT, SUBJECTS)


@dataclass(frozen=True)
class Sighting:
    """What one picture shows; `x`, `y` (centre) and `side` are of the subject's sticker, in pixels.

    share  how clearly: the share of the perfect gain, 1 for a clean render, below 0 for an empty scene
    """

    scene: str
    time: str
    prop: str
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
    """What a clip shows; `shares` (see Sighting) and `places` (x, y, side) have one entry a frame.

    last_colour  the subject's colour in the last frame alone; `colour` is that of the whole clip
    """

    scene: str
    time: str
    prop: str
    camera: str
    subject: str
    colour: str
    last_colour: str
    movement: str
    shares: tuple[float, ...]
    places: tuple[tuple[float, float, float], ...]

    @property
    def present(self) -> tuple[bool, ...]:
        return tuple(share > PRESENT for share in self.shares)


class Ground(NamedTuple):
    """An empty background: what `scenes.background` is told, but for the small shifts and lights."""

    scene: str
    time: str
    prop: str
    right: bool  # where the prop stands
    turn: float  # pixels that the near ground has slid to the left


def judge(frames: np.ndarray) -> Verdict:
    """What the clip shows; uint8 [T, 96, 144, 3] in.

    Raises ValueError for another size of picture.
    """
    grounds = grounds_of(frames)
    views = [_framed(frame, ground) for frame, ground in zip(frames, grounds, strict=True)]
    chosen = sorted({0, len(frames) // 2, len(frames) - 1})
    found = [FINDER.shares(views[n]) for n in chosen]
    subject, colour = FINDER.best(np.sum(found, 0))
    spots = [FINDER.track(view, subject, colour) for view in views]
    places = tuple((s.x, s.y, s.side) for s in spots)
    shares = tuple(s.share for s in spots)
    camera = "pan" if np.mean([ground.turn for ground in grounds[-3:]]) > 0.4 * PAN else "fixed"
    first = grounds[0]
    return Verdict(
        first.scene, first.time, first.prop, camera, SUBJECTS[subject], COLOURS[colour],
        COLOURS[int(np.argmax(found[-1][subject]))], movement_of(np.array(places)), shares, places,
    )  # fmt: skip


def judge_still(image: np.ndarray) -> Sighting:
    """What one picture shows; uint8 [96, 144, 3] in. Raises ValueError for another size of picture."""
    (ground,) = grounds_of(image[None])
    view = _framed(image, ground)
    subject, colour = FINDER.best(FINDER.shares(view))
    where = (ground.scene, ground.time, ground.prop)
    return Sighting(*where, SUBJECTS[subject], COLOURS[colour], *FINDER.track(view, subject, colour))


def grounds_of(frames: np.ndarray) -> list[Ground]:
    """The empty background of every frame: what does not change is judged by the first frame, the camera by each."""
    if frames.shape[1:] != (HEIGHT, WIDTH, 3):
        raise ValueError(f"a picture of the toy world is {WIDTH} x {HEIGHT}, not {frames.shape[1:]}")
    small = frames[:, ::2, ::2].astype(np.float32)
    bare = min((Ground(*look, "none", False, 0.0) for look in LOOKS), key=lambda ground: _error(small[0], ground))
    furnished = [bare, *(bare._replace(prop=prop, right=right) for prop in PROPS[1:] for right in (False, True))]
    first = min(furnished, key=lambda ground: _error(small[0], ground))
    turned = [first._replace(turn=turn) for turn in TURNS]
    return [first, *(min(turned, key=lambda ground: _error(frame, ground)) for frame in small[1:])]


def _error(small: np.ndarray, ground: Ground) -> float:
    """How much a picture of half the size differs from a background in its best variant, each pixel up to a limit."""
    differences = np.abs(_grounds(ground)[:, ::2, ::2] - small)
    return float(np.minimum(differences, LIMIT, out=differences).mean((1, 2, 3)).min())


def movement_of(places: np.ndarray) -> str:
    """The movement behind places [T, 3] (x, y, side): the ends are averaged, thresholds are a third of the nominal way."""
    edge = max(len(places) // 8, 1)
    first, last = places[:edge].mean(0), places[-edge:].mean(0)
    dx, dy, growth = last[0] - first[0], last[1] - first[1], last[2] / first[2]
    size = np.log(growth) / np.log(56 / 32)
    ways = {"right": dx / 64, "left": -dx / 64, "down": dy / 48, "up": -dy / 48, "grow": size, "shrink": -size}
    best = max(ways, key=lambda name: ways[name])
    if ways[best] > 0.35:
        return best
    width, height = _reach(places[:, 0]), _reach(places[:, 1])
    if height <= 9:
        return "rest"
    return "circle" if width > 13 else "bounce"


def _reach(values: np.ndarray) -> float:
    """From the typical low to the typical high value."""
    ordered = np.sort(values)
    return float(np.median(ordered[-4:]) - np.median(ordered[:4]))


@lru_cache(maxsize=2048)
def _grounds(ground: Ground) -> np.ndarray:
    """float32 [VARIANTS, HEIGHT, WIDTH, 3]: a background in all its small shifts and lights, blurred a little."""
    scene, time, prop, right, turn = ground
    return np.stack([blurred(background(scene, time, prop, v + VARIANTS * right, turn)) for v in range(VARIANTS)])


def _framed(image: np.ndarray, ground: Ground) -> Frame:
    pixels, grounds = blurred(image), _grounds(ground)
    pixels = pixels - np.median((pixels - grounds[VARIANTS // 2])[::2, ::2].reshape(-1, 3), axis=0)
    near = grounds[4:8]  # the four shifts; the median took care of the light
    shade = ((pixels * near).sum(-1) / np.maximum((near**2).sum(-1), 1)).clip(1 - SHADE, 1)
    shade[:, :SHADOWS] = 1
    far = np.min(((pixels - shade[..., None] * near) ** 2).sum(-1), axis=0)
    return Frame(pixels, np.maximum(far - TOLERATED, 0))
