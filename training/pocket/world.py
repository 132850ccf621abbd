"""The toy world that pocket is trained on: short procedurally drawn clips with an exact text.

Knows: how a subject moves, what shadow it casts, and how a clip is rendered. What a clip can show is in scenario.py, the
pictures of the subjects are in sprites.py, those of the scenes in scenes.py, the words in text.py. Must not know: models,
training, files.

A clip is 17 frames of 144 x 96 at 8 a second. One big subject moves on a path that its movement decides, over a background
that stands still or slides to the left; `jitter` seeds only small differences of place, so equal scenarios give
equal pixels.
"""

from __future__ import annotations

import numpy as np

from training.pocket.scenario import CAMERAS, MOVEMENTS, NAMES, Scenario, sample, unseen
from training.pocket.scenes import HEIGHT, PAN, PROPS, SCENES, TIMES, WIDTH, background
from training.pocket.sprites import COLOURS, SUBJECTS, sprite
from training.pocket.stickers import box, cover, placed
from training.pocket.text import paragraph, sentence

__all__ = [
    "CAMERAS", "COLOURS", "FPS", "FRAMES", "HEIGHT", "MOVEMENTS", "NAMES", "PROPS", "SCENES", "SUBJECTS", "TIMES", "WIDTH",
    "Scenario", "boxes", "frames", "mask", "paragraph", "path", "sample", "sentence", "still", "unseen",
]  # fmt: skip

FRAMES, FPS = 17, 8
GROUND = 86.0  # the row on which shadows lie
# In pixels, of place and side. A subject that may lie anywhere looks different in every latent cell of 8 x 8 pixels: at
# quarters of a pixel, models as small as pocket's drew a mosaic for whatever moved. 64 pixels in 16 steps of 4 move as
# smoothly, and there are only four ways to lie in a cell.
GRID = 4
SHADE = 0.34  # how much light the shadow of a subject that touches the ground takes away


def path(s: Scenario) -> np.ndarray:
    """float [17, 3]: centre x, centre y and side of the sprite in pixels, frame by frame, in steps of GRID."""
    start = np.random.default_rng(s.jitter).integers(-1, 2, 2) * GRID
    t = np.linspace(0.0, 1.0, FRAMES)
    still_ = np.ones(FRAMES)
    x, y, side = 72 * still_, 56 * still_, 44 * still_
    if s.movement in ("left", "right"):
        x = 40 + 64 * (t if s.movement == "right" else 1 - t)
    elif s.movement in ("up", "down"):
        way = np.minimum(64 * t, 48)  # there is no room for more: it arrives early, and stays
        y = 24 + way if s.movement == "down" else 72 - way
        start[1] = 0
    elif s.movement == "bounce":
        y = 64 - 24 * np.abs(np.sin(2 * np.pi * t))
        start[1] = 0
    elif s.movement == "circle":
        x, y = 72 - 16 * np.sin(2 * np.pi * t), 48 - 16 * np.cos(2 * np.pi * t)
    elif s.movement in ("grow", "shrink"):
        side = 32 + 24 * (t if s.movement == "grow" else 1 - t)
    return (np.stack([x + start[0], y + start[1], side], 1) / GRID).round() * GRID


def pans(s: Scenario) -> np.ndarray:
    """float [17]: how many pixels the near ground has slid to the left, frame by frame."""
    return np.linspace(0.0, PAN if s.camera == "pan" else 0.0, FRAMES)


def frames(s: Scenario) -> np.ndarray:
    """The clip, uint8 [17, 96, 144, 3]."""
    return np.stack([_frame(s, place, pan) for place, pan in zip(path(s), pans(s), strict=True)])


def still(s: Scenario) -> np.ndarray:
    """The first frame, uint8 [96, 144, 3]."""
    return _frame(s, path(s)[0], 0.0)


def mask(s: Scenario, frame: int) -> np.ndarray:
    """Which pixels the subject covers in a frame (halo included, shadow not), bool [96, 144]."""
    return cover(*_placed(s, path(s)[frame]), (WIDTH, HEIGHT))


def boxes(s: Scenario) -> np.ndarray:
    """The subject's box x0, y0, x1, y1 (last ones exclusive) in every frame, int [17, 4]."""
    return np.array([box(mask(s, n)) for n in range(FRAMES)])


def _frame(s: Scenario, place: np.ndarray, pan: float) -> np.ndarray:
    picture = background(s.scene, s.time, s.prop, s.jitter, float(pan)).astype(np.float32)
    _shadow(picture, place)
    subject, (left, top) = _placed(s, place)
    height, width = subject.shape[:2]
    under = picture[top : top + height, left : left + width]
    alpha = subject[..., 3:].astype(np.float32) / 255
    under += (subject[..., :3] - under) * alpha
    return (picture + 0.5).astype(np.uint8)


def _shadow(picture: np.ndarray, place: np.ndarray) -> None:
    """Darken a soft ellipse on the ground under the subject: fainter and wider the higher it is."""
    x, y, side = place
    height = max(GROUND - y - side / 2, 0.0)
    wide, flat = 0.42 * side + 0.1 * height, 4.0 + 0.05 * height
    top = int(GROUND - 3 * flat)
    rows, columns = np.arange(top, HEIGHT)[:, None], np.arange(WIDTH)[None]
    far = ((columns - x) / wide) ** 2 + ((rows - GROUND) / flat) ** 2
    light = 1 - SHADE / (1 + height / 22) * np.exp(-(far**2))
    picture[top:] *= light[..., None].astype(np.float32)


def _placed(s: Scenario, place: np.ndarray) -> tuple[np.ndarray, tuple[int, int]]:
    return placed(sprite, s.subject, s.colour, s.movement == "left", place, (WIDTH, HEIGHT))
