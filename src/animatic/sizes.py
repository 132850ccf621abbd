"""Bytes and seconds as people write and read them.

Memory is counted in GiB everywhere it is planned, so that two numbers in one line can be compared. Knows nothing of
what is measured.
"""

from __future__ import annotations

import re

from animatic.errors import OptionError

UNITS: dict[str, int] = {
    "b": 1,
    **{f"{letter}ib": 1 << shift for letter, shift in (("k", 10), ("m", 20), ("g", 30), ("t", 40))},
    **{letter: 1 << shift for letter, shift in (("k", 10), ("m", 20), ("g", 30), ("t", 40))},
    **{f"{letter}b": 10**power for letter, power in (("k", 3), ("m", 6), ("g", 9), ("t", 12))},
}
"""Bytes of each unit, in small letters: 1 GiB is 2^30 bytes, 1 GB is 10^9; 1 g is taken for a GiB."""

_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?|\.[0-9]+)\s*([A-Za-z]*)")

MOST = 1 << 60
"""Bytes; nothing has more, and a longer number is a slip of the finger."""


def parse_bytes(text: str, option: str) -> int:
    """`12GiB`, `12GB`, `12g`, `800MiB` or `12` (GiB) as bytes. Raises OptionError, naming the option."""
    found = _SIZE.fullmatch(text.strip())
    unit = UNITS.get(found[2].lower() or "gib") if found else None
    if found is None or unit is None:
        raise OptionError(f"{option} {text!r} is no amount of memory: write such as 12GiB or 800MiB")
    nbytes = float(found[1]) * unit
    if not 1 <= nbytes <= MOST:
        raise OptionError(f"{option} {text!r} is {'too little' if nbytes < 1 else 'more than any machine has'}")
    return round(nbytes)


def parse_age(text: str, option: str) -> float:
    """`30d`, `12h`, `90m` or `30` (days) in seconds. Raises OptionError, naming the option."""
    found = re.fullmatch(r"([0-9]{1,6})\s*([dhm]?)", text.strip().lower())
    if found is None:
        raise OptionError(f"{option} {text!r} is no age: write such as 30d or 12h")
    return float(found[1]) * {"d": 86_400, "h": 3600, "m": 60}[found[2] or "d"]


def gib(nbytes: float) -> str:
    """`17.4 GiB`, `430 MiB`, `12 KiB`: three digits or so, in the unit that fits."""
    for unit, shift in (("KiB", 10), ("MiB", 20)):
        if round(nbytes / (1 << shift)) < 1024:
            value = nbytes / (1 << shift)
            return f"{value:.1f} {unit}" if unit == "MiB" and value < 9.95 else f"{value:.0f} {unit}"
    value = nbytes / (1 << 30)
    return f"{value:.1f} GiB" if value < 99.95 else f"{value:,.0f} GiB"


def share(part: float, whole: float) -> str:
    """`17.4 of 24.0 GiB`; each with its own unit where these differ."""
    number, unit = gib(part).split(" ")
    return f"{number} of {gib(whole)}" if gib(whole).endswith(f" {unit}") else f"{gib(part)} of {gib(whole)}"


def duration(seconds: float) -> str:
    """`340 ms`, `4.2 s`, `52 s`, `1 min 52 s`, `2 h 05 min`, `3 days 4 h`."""
    if round(seconds * 1000) < 1000:
        return _short(seconds)
    if round(seconds, 1) < 10:
        return f"{seconds:.1f} s"
    if (whole := round(seconds)) < 60:
        return f"{whole} s"
    if whole < 3600:
        return _two(whole, 60, "min", "s")
    minutes = round(seconds / 60)
    return _two(minutes, 60, "h", "min") if minutes < 48 * 60 else _two(round(seconds / 3600), 24, "days", "h")


def _short(seconds: float) -> str:
    if seconds < 0.0005:
        return "< 1 ms" if seconds > 0 else "0 s"
    return f"{seconds * 1000:.0f} ms"


def _two(count: int, ratio: int, large: str, small: str) -> str:
    """A count of small units as large and small ones; the small ones left out where there are none."""
    whole, rest = divmod(count, ratio)
    digits = f"{rest}" if small == "h" else f"{rest:02}"
    return f"{whole} {large} {digits} {small}" if rest else f"{whole} {large}"
