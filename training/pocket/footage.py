"""Draws many scenarios, by several processes where there are cores for them.

Knows: which scenarios share their backgrounds, and that drawing takes longer than sending. Must not know: models, torch.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import Any, NamedTuple

import numpy as np

from training.pocket.toys import Toy, toy

CHUNK = 40  # scenarios that are drawn, sent and encoded together
ALIKE = 24  # backgrounds repeat after so many jitters, at most: the worlds' scenes keep what they have drawn


class Footage(NamedTuple):
    """A chunk of scenarios, drawn: the first of their frames or all of them."""

    frames: np.ndarray  # uint8 [n, f, h, w, 3]
    masks: np.ndarray  # bool [n, f, h, w], what the subject covers


def sampled(world: Toy, seed: int, count: int) -> list[Any]:
    """Scenarios of the training, those with alike backgrounds one after the other."""
    rng = np.random.default_rng(seed)
    return sorted((world.scenario.sample(rng) for _ in range(count)), key=lambda s: (s.scene, s.jitter % ALIKE))


def filmed(world: Toy, scenarios: list[Any], frames: int | None = None, workers: int = 1) -> Iterator[Footage]:
    """The scenarios in their order, a chunk at a time, drawn by so many processes; `frames` of each, or all."""
    frames = frames or world.world.FRAMES
    chunks = [(world.name, scenarios[n : n + CHUNK], frames) for n in range(0, len(scenarios), CHUNK)]
    if workers == 1:
        yield from map(_film, chunks)
        return
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        for n in range(0, len(chunks), 8 * workers):  # not all at once: what is drawn waits in memory
            yield from pool.map(_film, chunks[n : n + 8 * workers])


def _film(chunk: tuple[str, list[Any], int]) -> Footage:
    name, scenarios, count = chunk
    world = toy(name).world  # modules do not travel to other processes
    pictures = [[world.still(s)] if count == 1 else world.frames(s)[:count] for s in scenarios]
    return Footage(np.array(pictures), np.array([[world.mask(s, n) for n in range(count)] for s in scenarios]))
