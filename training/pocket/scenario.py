"""What a clip of the toy world shows: its attributes, and a seed for small differences.

Knows: the names of all attributes, how to draw a scenario, and which combinations no training may see.
Must not know: how a scenario is drawn, worded or judged.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.pocket.scenes import NOCTURNAL, PROPS, SCENES, TIMES
from training.pocket.sprites import COLOURS, SUBJECTS

MOVEMENTS: tuple[str, ...] = ("left", "right", "up", "down", "bounce", "circle", "grow", "shrink", "rest")
CAMERAS: tuple[str, ...] = ("fixed", "pan")
NAMES: dict[str, tuple[str, ...]] = {
    "subject": SUBJECTS, "colour": COLOURS, "scene": SCENES, "movement": MOVEMENTS, "time": TIMES, "prop": PROPS,
    "camera": CAMERAS,
}  # fmt: skip
ATTRIBUTES: tuple[str, ...] = tuple(NAMES)


@dataclass(frozen=True)
class Scenario:
    """What a clip shows. Every combination can be drawn; `jitter` is any non-negative seed.

    time    of day; scenes in NOCTURNAL look the same in both
    prop    a second, still object on the ground, or "none"
    camera  "pan": it turns slowly to the right, so that the background slides to the left
    """

    subject: str
    colour: str
    scene: str
    movement: str
    time: str = "day"
    prop: str = "none"
    camera: str = "fixed"
    jitter: int = 0


def unseen(s: Scenario) -> bool:
    """Whether `s` pairs its subject with a colour, scene or movement that no training shows it with.

    Each subject misses at most one of each kind; about a fifth of all scenarios has such a pair. They measure whether
    the models combine what they have learnt apart.
    """
    n = SUBJECTS.index(s.subject)
    pairs = (COLOURS.index(s.colour) + 2, SCENES.index(s.scene) + 4, MOVEMENTS.index(s.movement) + 3)
    return any((n + other) % len(SUBJECTS) == 0 for other in pairs)


def sample(rng: np.random.Generator, held_out: bool = False) -> Scenario:
    """A scenario with its attributes drawn evenly, all of them seen in training or, held out, with an unseen pair."""
    while True:
        drawn = {name: str(names[rng.integers(len(names))]) for name, names in NAMES.items()}
        if drawn["scene"] in NOCTURNAL:
            drawn["time"] = "night"
        s = Scenario(**drawn, jitter=int(rng.integers(2**31)))
        if unseen(s) == held_out:
            return s


def trials(rng: np.random.Generator, count: int) -> list[Scenario]:
    """`count` scenarios to judge a training by, every other one with an unseen pair."""
    return [sample(rng, held_out=n % 2 == 1) for n in range(count)]
