"""What is written on a drawing: how wide a text is, where labels go that crowd, and round numbers for axes.

Pure arithmetic in pixels, seconds and bytes. Knows no plan and draws nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

SIZE, LINE = 12, 15
"""Of labels: height of letters, and from line to line."""

ROWS = 8
"""Lines of labels at most; a label that finds no place in them is left out."""

SHARES = (0.5, 0.34, 0.0)
"""Of a crowd of labels that go left."""

APART = 7
"""Between the leaders of two labels."""

_EM = {c: em for letters, em in (("ijl.,:;'|!", 0.27), ("frtI ()", 0.38), ("mwMW%@", 0.9)) for c in letters}


def width(text: str) -> float:
    """About as wide as a sans-serif font sets it; rather too wide than too narrow."""
    return SIZE * sum(_EM.get(letter, 1.0 if ord(letter) > 0x2E7F else 0.6) for letter in text)


def fitting(room: float, *texts: str) -> str | None:
    """The first of the texts that has room."""
    return next((text for text in texts if width(text) + 8 <= room), None)


# ------------------------------------------------------------------------------------------------------------- callouts


@dataclass(frozen=True)
class Label:
    """A label that stands in a line of its own, led to from what it names.

    at        the middle of that
    x         where the leader goes to, beside which the text stands
    row       the line: 0 is the nearest
    leftward  the text ends at the leader, else it begins there
    """

    text: str
    at: float
    x: float
    row: int = 0
    leftward: bool = False

    @property
    def reach(self) -> tuple[float, float]:
        length = width(self.text) + 8
        return (self.x - length, self.x) if self.leftward else (self.x, self.x + length)


def callouts(named: Iterable[tuple[str, float]], left: float, right: float) -> list[Label]:
    """Places for labels of points (text, x) between two edges, so that none touches another or its leader.

    Of labels that crowd together, the left ones go left and the right ones right, the outer ones nearest. How many go
    left is tried out: as many labels as can be in as few lines as can be.
    """
    points: list[Label] = []
    for text, at in sorted(named, key=lambda one: one[1]):
        x = max(at, points[-1].x + APART) if points else at
        if x <= right:
            points.append(Label(text, at, x))
    tries = (_placed(_in_turn(points, left, right, share)) for share in SHARES)
    return max(tries, key=lambda placed: (len(placed), -depth(placed)))


def depth(labels: Iterable[Label]) -> int:
    """Pixels that the lines of labels take."""
    return LINE * (1 + max((label.row for label in labels), default=-1))


def _placed(points: Iterable[tuple[Label, bool]]) -> list[Label]:
    """Each in the nearest line where it is clear of those before it."""
    placed: list[Label] = []
    for point, leftward in points:
        rows = (Label(point.text, point.at, point.x, row, leftward) for row in range(ROWS))
        if label := next((one for one in rows if _clear(one, placed)), None):
            placed.append(label)
    return placed


def _in_turn(points: Sequence[Label], left: float, right: float, share: float) -> Iterator[tuple[Label, bool]]:
    """First those that go left, from the left; then those that go right, from the right."""
    crowds: list[list[Label]] = []
    for point in points:
        if crowds and point.x < crowds[-1][-1].reach[1]:
            crowds[-1].append(point)
        else:
            crowds.append([point])
    sides: dict[bool, list[Label]] = {True: [], False: []}
    for crowd in crowds:
        for n, point in enumerate(crowd):
            length = width(point.text) + 8
            leftward = n < int(share * len(crowd)) and point.x - length >= left
            sides[leftward or point.x + length > right].append(point)
    yield from ((point, True) for point in sides[True])
    yield from ((point, False) for point in reversed(sides[False]))


def _clear(label: Label, placed: Sequence[Label]) -> bool:
    """Whether a label neither touches another nor crosses, or is crossed by, what leads to one."""
    begin, end = label.reach
    for other in placed:
        left, right = other.reach
        if label.row == other.row and begin < right and left < end:
            return False
        if other.row >= label.row and begin < other.x < end:
            return False
        if label.row >= other.row and left < label.x < right:
            return False
    return True


# ----------------------------------------------------------------------------------------------------------------- axes

_CLOCK = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 4 * 3600, 6 * 3600, 12 * 3600, 24 * 3600)


def seconds_step(least: float) -> float:
    """The shortest step for an axis of time that is no shorter than `least` seconds."""
    if least <= 1:
        return _decimal(least)
    return next((step for step in _CLOCK if step >= least), _decimal(least / 86400) * 86400)


def bytes_step(about: float) -> float:
    """A power of two that is about so many bytes."""
    return 2.0 ** max(0, math.ceil(math.log2(max(about, 1.0)) - 0.25))


def tick(seconds: float, step: float) -> str:
    """A time on an axis with such steps: `0`, `40 ms`, `20 s`, `1:30`, `5 min`, `1 h 30`, `2 h`."""
    if seconds == 0:
        return "0"
    if step < 1:
        return f"{seconds * 1000:.3g} ms" if step < 0.1 else f"{seconds:.1f} s"
    if step < 60:
        minutes, rest = divmod(round(seconds), 60)
        return f"{minutes}:{rest:02}" if minutes else f"{rest} s"
    hours, rest = divmod(round(seconds / 60), 60)
    if hours == 0:
        return f"{rest} min"
    return f"{hours} h {rest:02}" if rest else f"{hours:,} h"


def _decimal(least: float) -> float:
    """1, 2 or 5 times a power of ten, no less than `least`."""
    power = 10.0 ** math.floor(math.log10(max(least, 1e-9)))
    return next(power * digit for digit in (1, 2, 5, 10, 20) if power * digit >= least * 0.999999)
