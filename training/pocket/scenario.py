"""What a clip of the toy world shows: the four attributes and a seed for small differences.

Knows: the names of all attributes and how to draw a scenario. Must not know: how it is drawn, worded or judged.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.pocket.scenes import SCENES
from training.pocket.sprites import COLOURS, SUBJECTS

MOVEMENTS: tuple[str, ...] = ("left", "right", "up", "down", "bounce", "grow", "rest")


@dataclass(frozen=True)
class Scenario:
    """What a clip shows. Every combination is allowed; `jitter` is any non-negative seed."""

    subject: str
    colour: str
    scene: str
    movement: str
    jitter: int = 0


def sample(rng: np.random.Generator) -> Scenario:
    """A scenario with every attribute drawn evenly."""
    subject, colour, scene, movement = (
        str(names[rng.integers(len(names))]) for names in (SUBJECTS, COLOURS, SCENES, MOVEMENTS)
    )
    return Scenario(subject, colour, scene, movement, int(rng.integers(2**31)))
