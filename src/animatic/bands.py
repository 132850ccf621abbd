"""What a plan keeps in memory when: each component's stretch of time, and the stretches laid upon each other.

Pure: replays the plan's actions with the times of its forecast. Knows no picture.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from animatic.blocks import passed_bytes, streamed_bytes
from animatic.core import RESIDENT, Component, Evict, Load, Placement, Run
from animatic.outlook import Arrival, Outlook


@dataclass(frozen=True)
class Band:
    """A component's stretch of memory: taken from `begin` on, filled by `ready`, given back at `end`."""

    name: str
    nbytes: int
    begin: float
    ready: float
    end: float


@dataclass(frozen=True)
class Piece:
    """A part of a band: from begin to end, between two heights in bytes."""

    band: Band
    begin: float
    end: float
    low: int

    @property
    def high(self) -> int:
        return self.low + self.band.nbytes

    @property
    def early(self) -> bool:
        """Whether its bytes are still on their way."""
        return self.begin < self.band.ready


def bands(outlook: Outlook) -> tuple[list[Band], list[Band]]:
    """What components take of device memory, and the copies of them in main memory, in the order of their coming."""
    memory = _Memory()
    arrivals = iter([arrival for row in outlook.rows for arrival in row.arrivals])
    ends = iter([row.span.end for row in outlook.rows])
    for action in outlook.plan.actions:
        match action:
            case Load(component=one):
                memory.load(one, next(arrivals, None))
            case Evict(component=one, keep=keep):
                memory.evict(one, keep)
            case Run(phases=phases):
                memory.need(phases[0].components)
                memory.now = next(ends, memory.now)
    memory.close()
    return _in_order(memory.device), _in_order(memory.host)


def stacked(found: Sequence[Band]) -> list[Piece]:
    """The bands upon each other, oldest at the bottom; what lies above one that goes comes down. Ordered by time."""
    times = sorted({time for band in found for time in (band.begin, band.ready, band.end)})
    coming = list(reversed(found))
    live: list[Band] = []
    pieces: list[Piece] = []
    for begin, end in itertools.pairwise(times):
        live = [band for band in live if band.end > begin]
        while coming and coming[-1].begin <= begin:
            live.append(coming.pop())
        low = 0
        for band in live:
            pieces.append(Piece(band, begin, end, low))
            low += band.nbytes
    return pieces


def merged(pieces: Iterable[Piece]) -> list[Piece]:
    """Neighbours in time of the same band, at the same height and equally filled, as one."""
    done: list[Piece] = []
    last: dict[int, int] = {}
    for piece in pieces:
        n = last.get(id(piece.band))
        before = done[n] if n is not None else None
        if n is not None and before and (before.low, before.early, before.end) == (piece.low, piece.early, piece.begin):
            done[n] = Piece(piece.band, before.begin, piece.end, piece.low)
        else:
            last[id(piece.band)] = len(done)
            done.append(piece)
    return done


def heights(pieces: Iterable[Piece]) -> Iterator[tuple[float, float, int]]:
    """Begin, end and bytes of each slice of time of stacked pieces."""
    for (begin, end), slice_ in itertools.groupby(pieces, key=lambda piece: (piece.begin, piece.end)):
        yield begin, end, sum(piece.band.nbytes for piece in slice_)


class _Memory:
    """Device and host memory as the plan's actions go by; `now` is the end of the last run."""

    def __init__(self) -> None:
        self.now = 0.0
        self.device: list[Band] = []
        self.host: list[Band] = []
        self._held: dict[Component, tuple[int, float, float]] = {}
        self._copies: dict[Component, tuple[int, float, float]] = {}

    def load(self, one: Component, arrival: Arrival | None) -> None:
        placement = arrival.placement if arrival else RESIDENT
        begin, ready = (arrival.issued, arrival.end) if arrival else (self.now, self.now)
        self._held[one] = _device_bytes(one, placement), begin, ready
        if placement.streamed and placement.source == "host":
            self._copies.setdefault(one, (passed_bytes(one.blocks, placement.resident), begin, ready))

    def need(self, components: Iterable[Component]) -> None:
        """What a run needs and nobody loaded was there from the beginning."""
        for one in components:
            self._held.setdefault(one, (one.nbytes, 0.0, 0.0))

    def evict(self, one: Component, keep: bool = False) -> None:
        nbytes, begin, ready = self._held.pop(one, (one.nbytes, 0.0, 0.0))
        self.device.append(Band(one.name, nbytes, begin, ready, self.now))
        if keep:
            self._copies.setdefault(one, (one.nbytes, begin, ready))
        elif one in self._copies:
            self.host.append(Band(one.name, *self._copies.pop(one), self.now))

    def close(self) -> None:
        for one in list(self._held):
            self.evict(one)
        self.host += [Band(one.name, *copy, self.now) for one, copy in self._copies.items()]


def _device_bytes(one: Component, placement: Placement) -> int:
    return streamed_bytes(one.nbytes, one.blocks, placement.resident) if placement.streamed else one.nbytes


def _in_order(found: Iterable[Band]) -> list[Band]:
    return sorted((b for b in found if b.nbytes and b.end > b.begin), key=lambda band: (band.begin, band.ready))
