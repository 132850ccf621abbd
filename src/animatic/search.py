"""Which components are in memory during which run: the exact search, and the simple policies it starts from.

Pure arithmetic over numbers: components are bits, runs are a mask of needs, bytes of work space and seconds.

The rules (design, section 6): one load lane, first in, first out; one compute lane. Loads are issued at the boundary
before a run, when the run before has ended and what it evicts is gone, in the order in which they will be needed. A run
begins when the one before has ended and all loads of its components have. During every run, what is loaded or being
loaded and the run's work space fit the budget. Wanted: the least seconds, then the fewest bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

NODES = 20_000
"""Transitions looked at before the best found so far must do."""

SLACK = 1e-9
"""Seconds that are no difference: sums of floats in another order differ so much."""


@dataclass(frozen=True)
class Piece:
    """A component: bytes of device memory, bytes to load, seconds to load."""

    size: int
    nbytes: int
    seconds: float


@dataclass(frozen=True)
class Stop:
    """A run: the bits of the components it needs, bytes of work space, seconds of computing."""

    needs: int
    workspace: int
    seconds: float


@dataclass(frozen=True)
class Problem:
    pieces: tuple[Piece, ...]
    stops: tuple[Stop, ...]
    budget: int
    resident: int = 0

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

    def size(self, mask: int) -> int:
        return sum(self.pieces[i].size for i in bits(mask))

    def next_use(self, piece: int, run: int) -> int:
        """The first run from `run` on that needs the piece; the number of runs, when none does."""
        for r in range(run, len(self.stops)):
            if self.stops[r].needs >> piece & 1:
                return r
        return len(self.stops)


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
        room = problem.budget - stop.workspace - problem.size(mask)
        kept = sorted(bits(before & problem.future[run] & ~mask), key=lambda piece: problem.next_use(piece, run))
        coming = sorted(bits(problem.future[run] & ~mask & ~before), key=lambda piece: problem.next_use(piece, run))
        for piece in (*kept, *(coming if prefetch else ())):
            if problem.pieces[piece].size <= room:
                mask |= 1 << piece
                room -= problem.pieces[piece].size
            elif piece in coming:
                break
        held.append(mask)
        before = mask
    return simulate(problem, held)


def linger(problem: Problem, held: Sequence[int]) -> tuple[int, ...]:
    """The same, but what is not needed again stays as long as there is room: the next plan may need it."""
    wider, before = [], problem.resident
    for stop, mask in zip(problem.stops, held, strict=True):
        room = problem.budget - stop.workspace - problem.size(mask)
        for piece in sorted(bits(before & ~mask), key=lambda piece: -problem.pieces[piece].size):
            if problem.pieces[piece].size <= room:
                mask |= 1 << piece  # noqa: PLW2901 - it grows
                room -= problem.pieces[piece].size
        wider.append(mask)
        before = mask
    return tuple(wider)


# --------------------------------------------------------------------------------------------------- the exact search


def search(problem: Problem, nodes: int = NODES) -> Found:
    """The best way: proven where the search ends within `nodes`, and never worse than either policy."""
    best = min(policy(problem, False), policy(problem, True), key=_worth)
    if _hopeless(_bound(problem, 0, problem.resident, START), best):
        return Found(best.held, best.seconds, best.nbytes, True)
    frontier: dict[int, list[_Label]] = {problem.resident: [START]}
    looked = 0
    for run in range(len(problem.stops)):
        after: dict[int, list[_Label]] = {}
        for before, labels in frontier.items():
            choices = list(_choices(problem, run, before))
            for label in labels:
                for held in choices:
                    looked += 1
                    if looked > nodes:
                        return best
                    made = step(problem, run, before, held, label)
                    if _hopeless(_bound(problem, run + 1, held, made), best):
                        continue
                    if run + 1 == len(problem.stops):
                        best = Found(made.held, made.clock, made.nbytes)
                    _keep(after.setdefault(held & problem.future[run + 1], []), made)
        frontier = after
    return Found(best.held, best.seconds, best.nbytes, True)


def _choices(problem: Problem, run: int, before: int) -> Iterator[int]:
    """What may be in memory during a run: its needs, some prefetched, and of the rest as much as there is room for.

    What is not needed again is dropped. What is, is dropped only for room: to keep it costs nothing.
    """
    stop, later = problem.stops[run], problem.future[run + 1]
    room = problem.budget - stop.workspace - problem.size(stop.needs)
    keepable = list(bits(before & later & ~stop.needs))
    loadable = list(bits(later & ~before & ~stop.needs))
    for coming in _subsets(problem, loadable, room):
        left = room - problem.size(coming)
        for kept in _subsets(problem, keepable, left):
            spare = left - problem.size(kept)
            if all(kept >> piece & 1 or problem.pieces[piece].size > spare for piece in keepable):
                yield stop.needs | coming | kept


def _subsets(problem: Problem, pieces: Sequence[int], room: int) -> Iterator[int]:
    """Masks of all subsets that fit into `room`."""
    if not pieces:
        yield 0
        return
    first, rest = pieces[0], pieces[1:]
    yield from _subsets(problem, rest, room)
    if problem.pieces[first].size <= room:
        for mask in _subsets(problem, rest, room - problem.pieces[first].size):
            yield mask | 1 << first


def _bound(problem: Problem, run: int, held: int, label: _Label) -> tuple[float, int]:
    """Less than this no way of going on takes: every run waits at least for the loads up to it, in one lane."""
    seconds = label.clock + problem.remaining[run]
    lane, nbytes, seen = max(label.lane, label.clock), label.nbytes, held
    for later in range(run, len(problem.stops)):
        missing = problem.stops[later].needs & ~seen
        if missing:
            seen |= missing
            for piece in bits(missing):
                lane += problem.pieces[piece].seconds
                nbytes += problem.pieces[piece].nbytes
            seconds = max(seconds, lane + problem.remaining[later])
    for piece, at in label.ready:
        use = problem.next_use(piece, run)
        if use < len(problem.stops):
            seconds = max(seconds, at + problem.remaining[use])
    return seconds, nbytes


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

