"""The toy world that pocket is trained on: short procedurally drawn clips with an exact text.

Knows: how a subject moves and how a clip is rendered. What a clip can show is in scenario.py, the pictures of the subjects
are in sprites.py, those of the scenes in scenes.py, the words in text.py. Must not know: models, training, files.

A clip is 17 frames of 144 x 96 at 8 a second. The background stands still, one big subject moves on a path that its
movement decides; `jitter` seeds only small differences of place and size, so equal scenarios give equal pixels.
"""

from __future__ import annotations

import numpy as np

from training.pocket.scenario import MOVEMENTS, Scenario, sample
from training.pocket.scenes import HEIGHT, SCENES, WIDTH, background
from training.pocket.sprites import COLOURS, SUBJECTS, sprite
from training.pocket.stickers import box, cover, placed
from training.pocket.text import paragraph, sentence

__all__ = [
    "COLOURS", "FPS", "FRAMES", "HEIGHT", "MOVEMENTS", "SCENES", "SUBJECTS", "WIDTH", "Scenario",
    "boxes", "frames", "mask", "paragraph", "path", "sample", "sentence", "still",
]  # fmt: skip

FRAMES, FPS = 17, 8


def path(s: Scenario) -> np.ndarray:
    """float [17, 3]: centre x, centre y and side of the sprite in pixels, frame by frame."""
    wobble = np.random.default_rng(s.jitter).uniform(-1, 1, 3)
    t = np.linspace(0.0, 1.0, FRAMES)
    still_ = np.ones(FRAMES)
    x, y, side = 72 * still_, 58 * still_, 44 * still_
    if s.movement in ("left", "right"):
        x = 25 + 94 * (t if s.movement == "right" else 1 - t)
    elif s.movement in ("up", "down"):
        y = 25 + 46 * (t if s.movement == "down" else 1 - t)
    elif s.movement == "bounce":
        y = 69 - 34 * np.abs(np.sin(2 * np.pi * t))
    elif s.movement == "grow":
        side, y = 30 + 26 * t, 56 * still_
    slack = (2.0, 6.0)[s.movement not in ("left", "right")]
    x, y = x + slack * wobble[0], y + (2.0, 3.0)[s.movement in ("left", "right", "rest")] * wobble[1]
    return np.stack([x, y, side * (1 + 0.04 * wobble[2])], 1)


def frames(s: Scenario) -> np.ndarray:
    """The clip, uint8 [17, 96, 144, 3]."""
    return np.stack([_frame(s, row) for row in path(s)])


def still(s: Scenario) -> np.ndarray:
    """The first frame, uint8 [96, 144, 3]."""
    return _frame(s, path(s)[0])


def mask(s: Scenario, frame: int) -> np.ndarray:
    """Which pixels the subject covers in a frame (halo included), bool [96, 144]."""
    return cover(*_placed(s, path(s)[frame]), (WIDTH, HEIGHT))


def boxes(s: Scenario) -> np.ndarray:
    """The subject's box x0, y0, x1, y1 (last ones exclusive) in every frame, int [17, 4]."""
    return np.array([box(mask(s, n)) for n in range(FRAMES)])


def _frame(s: Scenario, place: np.ndarray) -> np.ndarray:
    picture = background(s.scene, s.jitter).copy()
    subject, (left, top) = _placed(s, place)
    height, width = subject.shape[:2]
    under = picture[top : top + height, left : left + width]
    alpha = subject[..., 3:].astype(np.float32) / 255
    under[:] = (under * (1 - alpha) + subject[..., :3] * alpha + 0.5).astype(np.uint8)
    return picture


def _placed(s: Scenario, place: np.ndarray) -> tuple[np.ndarray, tuple[int, int]]:
    return placed(sprite, s.subject, s.colour, s.movement == "left", place, (WIDTH, HEIGHT))
