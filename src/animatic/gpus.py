"""What common cards can do at most, by their data sheets: for plans on a machine that is not at hand.

Reads `gpus.toml`. Knows no model, and not which card is here.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from animatic.errors import OptionError, nearest

GIB = 2**30
VARIANTS = frozenset(("ti", "super", "laptop", "mobile", "max", "d", "pcie", "nvl"))
"""Words that make another card of one of the same number."""


@dataclass(frozen=True)
class Gpu:
    """A card: bytes of memory, dense bfloat16 FLOP/s, bytes/s of its memory, bytes/s from main memory."""

    name: str
    memory: int
    flops: float
    bandwidth: float
    host_link: float


def find(name: str) -> Gpu:
    """A card by its name, however it is spelt, or by as much of it as fits one only. Raises OptionError."""
    wanted = _words(name)
    card = known(name)
    starts = [one for one in _table().values() if wanted and wanted <= _words(one.name)]
    if card is None and len(starts) == 1:
        card = starts[0]
    if card is None:
        known_names = [one.name for one in starts] or _table()
        raise OptionError(f"--gpu {name!r} is not in the table: {nearest(name, known_names)}")
    return card


def known(name: str) -> Gpu | None:
    """A card by the name that its driver gives it ("NVIDIA A100-SXM4-80GB"); None when it is not in the table.

    Of the cards all of whose words stand in `name`, the one with most; but never one without a variant that `name` has.
    """
    words = _words(name)
    found = [
        card
        for card in _table().values()
        if (own := _words(card.name)) and own <= words and own & VARIANTS == words & VARIANTS
    ]
    return max(found, key=lambda card: len(_words(card.name)), default=None)


def _words(name: str) -> frozenset[str]:
    """Letters and numbers apart, the maker's names left out: {"rtx", "4070", "ti"}."""
    words = re.findall(r"[a-z]+|[0-9]+", name.lower().replace("rtx", " rtx "))
    return frozenset(words) - {"nvidia", "geforce", "tesla", "generation"}


@cache
def _table() -> dict[str, Gpu]:
    with Path(__file__).with_name("gpus.toml").open("rb") as file:
        rows = tomllib.load(file)
    return {
        name: Gpu(name, int(row["memory"] * GIB), row["tflops"] * 1e12, row["bandwidth"] * 1e9, row["link"] * 1e9)
        for name, row in rows.items()
    }
