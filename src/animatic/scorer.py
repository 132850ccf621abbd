"""Which of several stills is the best, as far as a number can tell.

`plain` needs no model. `clip:FOLDER` asks a CLIP model that the user has. Others come as plug-ins, by the entry point
group `animatic.scorers`. Nothing heavy is imported before a scorer scores.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import entry_points
from pathlib import Path

import numpy as np

from animatic.errors import OptionError, nearest
from animatic.media import Pixels
from animatic.metrics import LUMA

Scorer = Callable[[Sequence[Pixels], str], Sequence[float]]
"""Scores stills, uint8 [height, width, 3], of one caption: higher is better."""

ENTRY_POINTS = "animatic.scorers"
CLIP = "clip:"
DARKEST, BRIGHTEST = 4, 251
"""Levels of luma beyond which a pixel is clipped."""


def scorer(name: str) -> Scorer:
    """A scorer by its name. Raises OptionError for an unknown one, and for a CLIP model that is not there."""
    if name == "plain":
        return plain
    if name.startswith(CLIP):
        folder = Path(name.removeprefix(CLIP)).expanduser()
        if not (folder / "config.json").is_file():
            raise OptionError(f"--scorer {name}: {folder} holds no CLIP model: name the folder with its config.json")
        return partial(_by_clip, folder)
    strangers = {point.name: point for point in entry_points(group=ENTRY_POINTS)}
    if name not in strangers:
        raise OptionError(f"unknown scorer {name!r}: {nearest(name, ['plain', 'clip:FOLDER', *strangers])}")
    found: Scorer = strangers[name].load()
    return found


def plain(stills: Sequence[Pixels], caption: str) -> list[float]:
    """Sharpness, as the logarithm of the variance of luma's Laplacian, times the share of pixels that are not clipped.

    The variance is that of the Laplacian after a pixel's worth of averaging: noise is no sharpness.
    """
    del caption
    return [_plain(still) for still in stills]


def _plain(still: Pixels) -> float:
    luma = still.astype(np.float32) @ LUMA
    clipped = float(((luma < DARKEST) | (luma > BRIGHTEST)).mean())
    smooth = (luma[:-1, :-1] + luma[1:, :-1] + luma[:-1, 1:] + luma[1:, 1:]) / 4
    around = smooth[:-2, 1:-1] + smooth[2:, 1:-1] + smooth[1:-1, :-2] + smooth[1:-1, 2:]
    return float(np.log1p((around - 4 * smooth[1:-1, 1:-1]).var())) * (1 - clipped)


def _by_clip(folder: Path, stills: Sequence[Pixels], caption: str) -> list[float]:
    from animatic.models import likeness

    return likeness.scores(folder, stills, caption)
