"""Which of several stills is the best, as far as a number can tell."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from animatic.errors import OptionError
from animatic.media import Pixels
from animatic.metrics import LUMA

Scorer = Callable[[Sequence[Pixels], str], Sequence[float]]
"""Scores stills, uint8 [height, width, 3], of one caption: higher is better."""


def plain(stills: Sequence[Pixels], caption: str) -> list[float]:
    """Without a model: sharpness (variance of the Laplacian of luma), less what is clipped to black or white."""
    del caption
    return [_plain(still) for still in stills]


def scorer(name: str) -> Scorer:
    """A scorer by its name. Raises OptionError."""
    if name != "plain":
        raise OptionError(f"unknown scorer {name!r}: known: plain")
    return plain


def _plain(still: Pixels) -> float:
    luma = still.astype(np.float32) @ LUMA
    inner = luma[1:-1, 1:-1]
    laplacian = luma[:-2, 1:-1] + luma[2:, 1:-1] + luma[1:-1, :-2] + luma[1:-1, 2:] - 4 * inner
    clipped = float(((luma < 4) | (luma > 251)).mean())
    return float(np.log1p(laplacian.var())) * (1 - clipped)
