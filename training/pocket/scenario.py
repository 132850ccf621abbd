"""What a clip of the toy world shows: the four attributes and a seed for small differences.

Knows: the names of all attributes and how to draw a scenario. Must not know: how it is drawn, worded or judged.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.pocket.scenes import SCENES
from training.pocket.sprites import COLOURS, SUBJECTS

MOVEMENTS: tuple[str, ...] = ("left", "right", "up", "down", "bounce", "grow", "rest")
NAMES: dict[str, tuple[str, ...]] = {"subject": SUBJECTS, "colour": COLOURS, "scene": SCENES, "movement": MOVEMENTS}
ATTRIBUTES: tuple[str, ...] = tuple(NAMES)


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
    drawn = {name: str(names[rng.integers(len(names))]) for name, names in NAMES.items()}
    return Scenario(**drawn, jitter=int(rng.integers(2**31)))


def trials(rng: np.random.Generator, count: int) -> list[Scenario]:
    """`count` scenarios to judge a training by."""
    return [sample(rng) for _ in range(count)]
