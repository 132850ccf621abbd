"""Which of several stills is best: a score for each, by a scorer that is found by name.

A scorer takes stills (uint8 [height, width, 3]) and the caption, and gives a number for each, higher is better. Only
numbers of one call compare. A plug-in's package offers its own under the entry point group `animatic.scorers`: a
scorer, or a class made with what follows the colon of the name (`clip:FOLDER`), whose instances are scorers.
Must not import torch: models are imported by the scorers that need them.
"""

from __future__ import annotations

import functools
import importlib
import math
from collections.abc import Callable, Sequence
from importlib.metadata import entry_points
from typing import Any

import numpy as np
from numpy.typing import NDArray

from animatic.bitmap import Pixels
from animatic.errors import OptionError, nearest
from animatic.metrics import LUMA

Plane = NDArray[np.float32]
Scorer = Callable[[Sequence[Pixels], str], Sequence[float]]

BUILT_IN = {"plain": "animatic.scorer:plain", "clip": "animatic.models.likeness:Likeness"}
ENTRY_POINTS = "animatic.scorers"
BLACK, WHITE = 3, 252
"""Levels of luma. What is no brighter, or no darker, is lost: nothing can be seen in it."""
ENOUGH_CONTRAST = 40.0
"""Levels. More spread of luma than this makes a picture no better: what is faded loses, a night does not."""


def best(stills: Sequence[Pixels], caption: str, name: str = "plain") -> tuple[int, tuple[float, ...]]:
    """(which still is best, everyone's score). Of equal ones the first; one whose score is not a number never wins.

    Raises OptionError for an unknown scorer, or one that does not give each still a number.
    """
    if not stills:
        raise ValueError("no stills to choose from")
    scores = tuple(float(score) for score in scorer(name)(stills, caption))
    if len(scores) != len(stills):
        raise OptionError(f"the scorer {name!r} gave {len(scores)} scores for {len(stills)} stills: it is broken")
    return max(range(len(scores)), key=lambda n: -math.inf if math.isnan(scores[n]) else scores[n]), scores


@functools.lru_cache(1)  # One may hold a model, and many stills are scored by it.
def scorer(name: str) -> Scorer:
    """The scorer of that name: `plain`, `clip:FOLDER`, a plug-in's. Raises OptionError, and what its making raises."""
    kind, colon, argument = name.partition(":")
    found = {point.name: point.value for point in entry_points(group=ENTRY_POINTS)} | BUILT_IN
    if kind not in found:
        raise OptionError(f"unknown scorer {kind!r}: {nearest(kind, found)}")
    made = _imported(kind, found[kind])
    if not isinstance(made, type):
        if colon:
            raise OptionError(f"the scorer {kind!r} takes nothing after a colon, but was given {argument!r}")
        return made  # type: ignore[no-any-return]
    if not argument:
        raise OptionError(f"the scorer {kind!r} needs to be told what with: {kind}:FOLDER or {kind}:REPOSITORY")
    return made(argument)  # type: ignore[no-any-return]


def _imported(kind: str, place: str) -> Any:
    module, _, attribute = place.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise OptionError(f"the scorer {kind!r} ({place}) cannot be imported: {error}") from None


def plain(stills: Sequence[Pixels], caption: str) -> list[float]:
    """Scores from pixels alone: how sharp and how well exposed each still is. What is in it, they do not know."""
    del caption
    return [_plain(still) for still in stills]


def _plain(still: Pixels) -> float:
    """sqrt(sharpness x contrast) x clean x kept^2, each from 0 to 1, so that no one's unit outweighs another's.

    sharpness  what the Laplacian of luma has of the most it could, grain taken off: 1 is a chequerboard
    contrast   spread of luma without its grain, up to ENOUGH_CONTRAST
    clean      share of the variance of luma that is no grain
    kept       share of the pixels that are neither black nor white
    All but contrast stay as they are when light is turned up or down, so brighter is not sharper.
    """
    luma = still.astype(np.float32) @ LUMA
    variance = float(luma.var(dtype=np.float64))
    if min(luma.shape) < 3 or not variance:
        return 0.0
    grain = min(_grain(luma), variance)
    # The Laplacian's squared coefficients sum to 20, so grain adds 20 times its variance; its gain is 8 at most.
    edges = max(float(_laplacian(luma).var(dtype=np.float64)) - 20 * grain, 0.0)
    sharpness = math.sqrt(edges / variance) / 8
    contrast = min(math.sqrt(variance - grain) / ENOUGH_CONTRAST, 1.0)
    kept = 1 - float(((luma <= BLACK) | (luma >= WHITE)).mean())
    return math.sqrt(sharpness * contrast) * (1 - grain / variance) * kept**2


def _laplacian(luma: Plane) -> Plane:
    around = luma[:-2, 1:-1] + luma[2:, 1:-1] + luma[1:-1, :-2] + luma[1:-1, 2:]
    return np.asarray(around - 4 * luma[1:-1, 1:-1])


def _grain(luma: Plane) -> float:
    """The variance of the noise: Immerkaer's mask (1996), blind to straight edges, whose gain on noise is 6.

    By the median, which the few pixels at corners and textures do not move.
    """
    rows = luma[:-2] - 2 * luma[1:-1] + luma[2:]
    mask = np.abs(rows[:, :-2] - 2 * rows[:, 1:-1] + rows[:, 2:])
    return (float(np.median(mask)) / 6 / 0.6745) ** 2
