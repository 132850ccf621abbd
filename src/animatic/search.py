"""Which components are in memory during which run: the exact search, and the simple policies it starts from.

Pure arithmetic over numbers: components are bits, runs are a mask of needs, bytes of work space and seconds.

The rules (design, section 6): one load lane, first in, first out; one compute lane. Loads are issued at the boundary
before a run, when the run before has ended and what it evicts is gone, in the order in which they will be needed. A run
begins when the one before has ended and all loads of its components have. During every run, what is loaded or being
loaded and the run's work space fit the budget, and copies in main memory fit theirs. Wanted: the least seconds, then
the fewest bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice

NODES = 20_000
"""Transitions looked at before the best found so far must do."""

SLACK = 1e-9
"""Seconds that are no difference: sums of floats in another order differ so much."""


@dataclass(frozen=True)
class Piece:
    """A component: bytes of device memory, bytes to load, seconds to load, bytes of main memory that its copy takes."""

    size: int
    nbytes: int
    seconds: float
    host: int = 0


@dataclass(frozen=True)
class Stop:
    """A run: the bits of the components it needs, bytes of work space, seconds of computing."""

    needs: int
    workspace: int
    seconds: float


@dataclass(frozen=True)
class Problem:
    """budget, host: bytes of device and of main memory; resident: the bits that are loaded before anything runs."""

    pieces: tuple[Piece, ...]
    stops: tuple[Stop, ...]
    budget: int
    resident: int = 0
    host: int = 1 << 62

    @cached_property
    def future(self) -> tuple[int, ...]:
        """By run: the bits that it or a later one needs; and none at the end."""
        masks = [0]
        for stop in reversed(self.stops):
            masks.append(masks[-1] | stop.needs)
        return tuple(reversed(masks))

    @cached_property
    def remaining(self) -> tuple[float, ...]:
        """By run: seconds of computing from it on."""
        sums = [0.0]
        for stop in reversed(self.stops):
            sums.append(sums[-1] + stop.seconds)
        return tuple(reversed(sums))

    @cached_property
    def stays(self) -> tuple[int, ...]:
        """By run, and at the end: the bits that can stay from then on until they are needed.

        Beside others there is no room in some run before: to have them already would be in vain.
        """
        masks = [0]
        for stop in reversed(self.stops):
            beside = (1 << n for n in bits(masks[-1] & ~stop.needs) if self.fits(stop.needs | 1 << n, stop))
            masks.append(stop.needs | sum(beside))
        return tuple(reversed(masks))

    def fits(self, mask: int, stop: Stop) -> bool:
        return self.size(mask) + stop.workspace <= self.budget and self.hosted(mask) <= self.host

    def size(self, mask: int) -> int:
        if mask not in self._sizes:
            self._sizes[mask] = sum(self.pieces[i].size for i in bits(mask))
        return self._sizes[mask]

    def hosted(self, mask: int) -> int:
        return sum(self.pieces[i].host for i in bits(mask))

    def next_use(self, piece: int, run: int) -> int:
        """The first run from `run` on that needs the piece; the number of runs, when none does."""
        return self._uses[run][piece]

    def trips(self, run: int, held: int) -> tuple[_Trip, ...]:
        """The loads that cannot be spared from `run` on when `held` is there, by when they can be issued."""
        known = self._trips.get((run, held))
        if known is None:
            known = self._trips[run, held] = tuple(sorted(self._find_trips(run, held)))
        return known

    def _find_trips(self, run: int, held: int) -> Iterator[_Trip]:
        there = held & self.stays[run]
        for due in range(run, len(self.stops)):
            needs = self.stops[due].needs
            for piece in bits(needs & ~there):
                yield self._since(piece, due, run), due, piece
            there = (there | needs) & self.stays[due + 1]

    def _since(self, piece: int, due: int, run: int) -> int:
        """The first run from `run` on from which the piece can stay until it is due."""
        while due > run and self.stays[due - 1] >> piece & 1:
            due -= 1
        return due

    @cached_property
    def _uses(self) -> tuple[tuple[int, ...], ...]:
        rows = [(len(self.stops),) * len(self.pieces)]
        for run in range(len(self.stops) - 1, -1, -1):
            needs = self.stops[run].needs
            rows.append(tuple(run if needs >> n & 1 else use for n, use in enumerate(rows[-1])))
        return tuple(reversed(rows))

    @cached_property
    def _sizes(self) -> dict[int, int]:
        return {}

    @cached_property
    def _trips(self) -> dict[tuple[int, int], tuple[_Trip, ...]]:
        return {}


_Trip = tuple[int, int, int]
"""A load that cannot be spared: the first run before which it can be issued, the run it is due at, its piece."""


@dataclass(frozen=True)
class Found:
    """Which bits are loaded or being loaded during each run, what it takes, and whether nothing better exists."""

    held: tuple[int, ...]
    seconds: float
    nbytes: int
    proven: bool = False


@dataclass(frozen=True)
class _Label:
    """Where one way of doing it stands after a run: clock, load lane, loads in flight, bytes, and the way there."""

    clock: float
    lane: float
    nbytes: int
    ready: tuple[tuple[int, float], ...]
    held: tuple[int, ...]


def bits(mask: int) -> Iterator[int]:
    while mask:
        low = mask & -mask
        yield low.bit_length() - 1
        mask ^= low


# ------------------------------------------------------------------------------------------------------ the timeline


def step(problem: Problem, run: int, before: int, held: int, label: _Label) -> _Label:
    """Go through one boundary and one run: `before` and `held` are what is in memory until and during the run."""
    order = sorted(bits(held & ~before), key=lambda piece: (problem.next_use(piece, run), piece))
    lane, nbytes = label.lane, label.nbytes
    ready = {piece: at for piece, at in label.ready if held >> piece & 1}
    for piece in order:
        lane = max(lane, label.clock) + problem.pieces[piece].seconds
        ready[piece] = lane
        nbytes += problem.pieces[piece].nbytes
    stop = problem.stops[run]
    begin = max([label.clock, *(at for piece, at in ready.items() if stop.needs >> piece & 1)])
    clock = begin + stop.seconds
    flying = tuple(sorted((piece, at) for piece, at in ready.items() if at > clock))
    return _Label(clock, lane, nbytes, flying, (*label.held, held))


START = _Label(0.0, 0.0, 0, (), ())


def simulate(problem: Problem, held: Sequence[int]) -> Found:
    """What a way of doing it takes."""
    label, before = START, problem.resident
    for run, mask in enumerate(held):
        label = step(problem, run, before, mask, label)
        before = mask
    return Found(label.held, label.clock, label.nbytes)


# ------------------------------------------------------------------------------------------------------- the policies


def policy(problem: Problem, prefetch: bool) -> Found:
    """Furthest-next-use: what is needed last leaves first; with `prefetch`, what is needed next comes when it fits."""
    held, before = [], problem.resident
    for run, stop in enumerate(problem.stops):
        mask = stop.needs
        kept = sorted(bits(before & problem.future[run] & ~mask), key=lambda piece: problem.next_use(piece, run))
        coming = sorted(bits(problem.future[run] & ~mask & ~before), key=lambda piece: problem.next_use(piece, run))
        for piece in (*kept, *(coming if prefetch else ())):
            if problem.fits(mask | 1 << piece, stop):
                mask |= 1 << piece
            elif piece in coming:
                break
        held.append(mask)
        before = mask
    return simulate(problem, held)


def linger(problem: Problem, held: Sequence[int]) -> tuple[int, ...]:
    """The same, but what is not needed again stays as long as there is room: the next plan may need it.

    Rather what was needed first, since the next plan most likely begins as this one did.
    """
    wider, before = [], problem.resident
    for stop, mask in zip(problem.stops, held, strict=True):
        for piece in sorted(bits(before & ~mask), key=lambda piece: problem.next_use(piece, 0)):
            if problem.fits(mask | 1 << piece, stop):
                mask |= 1 << piece  # noqa: PLW2901 - it grows
        wider.append(mask)
        before = mask
    return tuple(wider)


# --------------------------------------------------------------------------------------------------- the exact search


def search(problem: Problem, nodes: int = NODES) -> Found:
    """The best way: proven where the search ends within `nodes`, and never worse than either policy."""
    best = min(policy(problem, False), policy(problem, True), key=_worth)
    if _hopeless(_bound(problem, 0, problem.resident, START), best):
        return Found(best.held, best.seconds, best.nbytes, True)
    frontier: dict[int, list[_Label]] = {problem.resident & problem.stays[0]: [START]}
    looked = 0
    for run in range(len(problem.stops)):
        after: dict[int, list[_Label]] = {}
        for before, labels in frontier.items():
            choices = list(islice(_choices(problem, run, before), nodes - looked + 1))
            looked += len(choices) * len(labels)
            if looked > nodes:
                return best
            for label in labels:
                for held in choices:
                    made = step(problem, run, before, held, label)
                    if _hopeless(_bound(problem, run + 1, held, made), best):
                        continue
                    if run + 1 == len(problem.stops):
                        best = Found(made.held, made.clock, made.nbytes)
                    _keep(after.setdefault(held & problem.stays[run + 1], []), made)
        frontier = after
    return Found(best.held, best.seconds, best.nbytes, True)


def _choices(problem: Problem, run: int, before: int) -> Iterator[int]:
    """What may be in memory during a run: its needs, some prefetched, and of the rest as much as there is room for.

    What cannot stay until it is needed again is dropped. What can, is dropped only for room: to keep it costs nothing.
    """
    stop = problem.stops[run]
    useful = problem.stays[run] & problem.stays[run + 1] & ~stop.needs
    keepable = list(bits(before & useful))
    for held in _widened(problem, stop, stop.needs, list(bits(useful & ~before))):
        for mask in _widened(problem, stop, held, keepable):
            if all(mask >> piece & 1 or not problem.fits(mask | 1 << piece, stop) for piece in keepable):
                yield mask


def _widened(problem: Problem, stop: Stop, mask: int, pieces: Sequence[int]) -> Iterator[int]:
    """`mask` with every subset of the pieces that fits beside it."""
    if not pieces:
        yield mask
        return
    yield from _widened(problem, stop, mask, pieces[1:])
    if problem.fits(wider := mask | 1 << pieces[0], stop):
        yield from _widened(problem, stop, wider, pieces[1:])


def _bound(problem: Problem, run: int, held: int, label: _Label) -> tuple[float, int]:
    """Less than this no way of going on takes: loads that cannot be spared, each as early as it can be, in one lane.

    What is needed sooner may interrupt what is needed later, which the lane itself never does: so it is a bound.
    """
    trips = problem.trips(run, held & problem.stays[run])
    clock, lane = label.clock, max(label.lane, label.clock)
    nbytes = label.nbytes + sum(problem.pieces[piece].nbytes for _, _, piece in trips)
    dues, begins = {due for _, due, _ in trips}, []
    for at in range(run, len(problem.stops)):
        begins.append(clock)
        stop = problem.stops[at]
        for piece, landed in label.ready:
            if stop.needs >> piece & 1 and held >> piece & 1:
                clock = max(clock, landed)
        if at in dues:
            done = lane
            for release, due, piece in trips:
                if due <= at:
                    done = max(done, begins[release - run]) + problem.pieces[piece].seconds
            clock = max(clock, done)
        clock += stop.seconds
    return clock, nbytes


def _worth(found: Found) -> tuple[float, int]:
    return found.seconds, found.nbytes


def _hopeless(bound: tuple[float, int], best: Found) -> bool:
    """Whether what takes at least so much is no better: neither faster, nor as fast with fewer bytes."""
    seconds, nbytes = bound
    return seconds > best.seconds - SLACK and (nbytes >= best.nbytes or seconds > best.seconds + SLACK)


def _keep(labels: list[_Label], made: _Label) -> None:
    """Add a label, unless another is as good in everything; and drop those that it is as good as."""
    if any(_dominates(one, made) for one in labels):
        return
    labels[:] = [one for one in labels if not _dominates(made, one)]
    labels.append(made)


def _dominates(one: _Label, other: _Label) -> bool:
    if one.clock > other.clock or one.lane > max(other.lane, other.clock) or one.nbytes > other.nbytes:
        return False
    theirs = dict(other.ready)
    return all(at <= theirs.get(piece, other.clock) for piece, at in one.ready)
