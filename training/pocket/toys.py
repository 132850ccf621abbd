"""Which toy world is trained on: the one of the pocket that ships, or the next one.

Knows: where a world's modules are, and how large its vocabularies become. Must not know: what is in them, or models.
The trainings are the same for both; what they draw from comes by way of `toy`.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, NamedTuple

PACKAGES = {"pocket": "training.pocket", "next": "training.pocket_next"}
SIZES = {"pocket": (1200, 800, 2048), "next": (2600, 1200, 2560)}


class Toy(NamedTuple):
    """A world's name, and its modules, which are called the same in every world.

    sizes   of the vocabularies: words of T5, merges of CLIP, tokens of the refiner
    """

    name: str
    scenario: Any
    words: Any
    text: Any
    world: Any
    oracle: Any
    sizes: tuple[int, int, int]


def toy(name: str) -> Toy:
    """A world by its name in PACKAGES. Raises KeyError for another."""
    modules = (import_module(f"{PACKAGES[name]}.{noun}") for noun in Toy._fields[1:-1])
    return Toy(name, *modules, SIZES[name])
