"""Pictures that the image autoencoder learns from: frames of many clips, where it computes.

Knows: where the subject is in a frame, and how crops are placed. Must not know: models.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from training.pocket.common import to_pixels
from training.pocket.footage import filmed, sampled
from training.pocket.world import path


class Pictures:
    """All frames of so many clips, drawn once by `workers` processes. Its draws can be captured (see replay.py)."""

    def __init__(self, seed: int, clips: int, workers: int, device: torch.device):
        scenarios = sampled(seed, clips)
        drawn = [torch.from_numpy(part.frames).flatten(0, 1) for part in filmed(scenarios, workers=workers)]
        self.frames = torch.cat(drawn).to(device)  # uint8 [n, 96, 144, 3]
        centres = np.concatenate([path(s)[:, :2] for s in scenarios])
        self.centres = torch.from_numpy(centres).float().to(device)  # of the subject, x and y in pixels
        self.room = torch.tensor(self.frames.shape[2:0:-1], device=device)  # width and height

    def whole(self, count: int) -> Tensor:
        """float [count, 3, 96, 144] in [-1, 1]."""
        return to_pixels(self.frames[self._picks(count)])

    def crops(self, count: int, side: int = 48, near: float = 0.75) -> Tensor:
        """float [count, 3, side, side] in [-1, 1]; a share `near` of the crops lies around the subject."""
        picks, (chance, place) = self._picks(count), torch.rand(2, count, 2, device=self.room.device)
        around = self.centres[picks] + (place - 0.5) * side / 2
        centre = torch.where(chance[:, :1] < near, around, place * self.room)
        corner = (centre - side / 2).clamp(min=0).minimum(self.room - side).long()
        columns, rows = (corner[:, :, None] + torch.arange(side, device=corner.device)).unbind(1)
        return to_pixels(self.frames[picks[:, None, None], rows[:, :, None], columns[:, None]])

    def _picks(self, count: int) -> Tensor:
        return torch.randint(len(self.frames), (count,), device=self.room.device)
