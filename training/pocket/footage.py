"""Draws many scenarios, by several processes where there are cores for them.

Knows: which scenarios share their backgrounds. Must not know: models, torch.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import NamedTuple

import numpy as np

from training.pocket import world
from training.pocket.scenario import Scenario, sample
from training.pocket.scenes import VARIANTS

CHUNK = 40  # scenarios that are drawn, sent and encoded together
ALIKE = 2 * VARIANTS  # backgrounds repeat after so many jitters, and scenes.py keeps what it has drawn


class Footage(NamedTuple):
    """A chunk of scenarios, drawn: the first of their frames or all of them."""

    frames: np.ndarray  # uint8 [n, f, h, w, 3]
    masks: np.ndarray  # bool [n, f, h, w], what the subject covers


def sampled(seed: int, count: int) -> list[Scenario]:
    """Scenarios of the training, those with alike backgrounds one after the other."""
    rng = np.random.default_rng(seed)
    return sorted((sample(rng) for _ in range(count)), key=lambda s: (s.scene, s.jitter % ALIKE))


def filmed(scenarios: list[Scenario], frames: int | None = None, workers: int = 1) -> Iterator[Footage]:
    """The scenarios in their order, a chunk at a time, drawn by so many processes; `frames` of each, or all."""
    frames = frames or world.FRAMES
    chunks = [(scenarios[n : n + CHUNK], frames) for n in range(0, len(scenarios), CHUNK)]
    if workers == 1:
        yield from map(_film, chunks)
        return
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _follow) as pool:
        for n in range(0, len(chunks), 8 * workers):  # not all at once: what is drawn waits in memory
            yield from pool.map(_film, chunks[n : n + 8 * workers])


def _follow() -> None:
    """End with the process that this one draws for, however that ends."""
    asking = multiprocessing.parent_process()
    assert asking is not None

    def watch() -> None:
        asking.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _film(chunk: tuple[list[Scenario], int]) -> Footage:
    scenarios, count = chunk
    pictures = [[world.still(s)] if count == 1 else world.frames(s)[:count] for s in scenarios]
    return Footage(np.array(pictures), np.array([[world.mask(s, n) for n in range(count)] for s in scenarios]))
