"""Pictures for the two autoencoders: a pool of rendered clips and the crops taken from them.

Knows: the world and how crops are placed. Must not know: models.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from training.pocket.common import to_pixels


class Pool:
    """`size` rendered clips of a world (a module like world.py).

    Every draw replaces `fresh` of them, so the stream never ends and never stalls.
    """

    def __init__(self, seed: int, world: Any, size: int = 256, fresh: int = 1):
        self.rng = np.random.default_rng(seed)
        self.world, self.fresh = world, fresh
        self.clips = [self._render() for _ in range(size)]

    def _render(self) -> tuple[np.ndarray, np.ndarray]:
        scenario = self.world.sample(self.rng)
        return self.world.frames(scenario), self.world.path(scenario)

    def crops(self, count: int, frames: int, side: int, near: float = 0.75) -> Tensor:
        """float [count, 3, frames, side, side] in [-1, 1]; a share `near` of the crops lies around the subject."""
        for _ in range(self.fresh):
            self.clips[self.rng.integers(len(self.clips))] = self._render()
        return to_pixels(np.stack([self._crop(frames, side, near) for _ in range(count)])).transpose(1, 2)

    def whole(self, count: int, frames: int | None = None) -> Tensor:
        """float [count, 3, frames, 96, 144]: uncut pictures from the start of clips."""
        picks = self.rng.integers(len(self.clips), size=count)
        return to_pixels(np.stack([self.clips[pick][0][:frames] for pick in picks])).transpose(1, 2)

    def _crop(self, frames: int, side: int, near: float) -> np.ndarray:
        clip, path = self.clips[self.rng.integers(len(self.clips))]
        first = int(self.rng.integers(self.world.FRAMES - frames + 1))
        centre = np.array([self.rng.uniform(0, self.world.WIDTH), self.rng.uniform(0, self.world.HEIGHT)])
        if self.rng.random() < near:
            centre = path[first + self.rng.integers(frames), :2] + self.rng.uniform(-side / 4, side / 4, 2)
        left = int(np.clip(centre[0] - side / 2, 0, self.world.WIDTH - side))
        top = int(np.clip(centre[1] - side / 2, 0, self.world.HEIGHT - side))
        return clip[first : first + frames, top : top + side, left : left + side]
