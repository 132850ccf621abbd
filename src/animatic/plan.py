"""The memory planner: from phases to a list of loads, evictions and runs, with a predicted timeline.

Pure: no torch, no clock, no device. First every component gets its placement: in device memory where it fits beside
what its runs need with it, else streamed block by block. Then the search decides what is loaded when. Resident blocks
spare copying, but take the room in which the next component could come: both ways are planned, the better one is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from animatic.core import (
    RESIDENT,
    Action,
    Component,
    Evict,
    Forecast,
    Load,
    Phase,
    Placement,
    Plan,
    Run,
    Span,
)
from animatic.place import Capacity, Demands, Ways, check, least, sizes_of, total_of, weighty
from animatic.search import START, Piece, Problem, Stop, bits, linger, search, step

LoadSeconds = Callable[[Component], float | None]


def plan(
    phases: Sequence[Phase],
    capacity: Capacity,
    demand: Demands,
    resident: Mapping[Component, Placement] | None = None,
    load_seconds: LoadSeconds = lambda _: None,
    keep: bool = False,
) -> Plan:
    """Plan `phases` of any number of shots.

    demand        what a phase takes; asked once for all shots with the same options
    resident      what is in device memory now
    load_seconds  what loading a component took when it was measured; None: by the rates
    keep          whether what was there and what came stays as long as there is room, for the next plan; else all is
                  evicted in the end

    Raises CapacityError when a phase cannot fit, with the numbers and the least budget that would do.
    """
    runs = _stage_major(phases)
    totals = [total_of(run, demand) for run in runs]
    check(runs, totals, capacity)
    tries = [Ways(runs, totals, capacity, lean=False), Ways(runs, totals, capacity, lean=True)]
    if tries[0].placements == tries[1].placements:
        tries.pop()
    made = (_Script(ways, capacity, resident or {}, load_seconds, keep).write() for ways in tries)
    return min(made, key=lambda one: (one.forecast.seconds, one.forecast.nbytes))


def smallest(phases: Sequence[Phase], demand: Demands) -> int:
    """The least bytes of device memory in which `phases` can run at all, streamed as far as they can be."""
    return max((least(run, total_of(run, demand)) for run in _stage_major(phases)), default=0)


# --------------------------------------------------------------------------------------------------------- the order


def _stage_major(phases: Sequence[Phase]) -> list[Run]:
    """Group equal phases of all shots, in an order where every phase comes after what it reads.

    A group's level is its longest path from a group that reads nothing; so encoding the text for the video comes beside
    encoding it for the image, as early as it can. What only aids comes right before what it aids.
    """
    groups: dict[tuple[str, tuple[Component, ...]], list[Phase]] = {}
    for phase in phases:
        groups.setdefault((phase.name, phase.components), []).append(phase)
    number = {id(phase): n for n, group in enumerate(groups.values()) for phase in group}
    reads: list[set[int]] = [
        {number[id(given)] for phase in group for given in (*phase.inputs, *phase.aids) if id(given) in number}
        for group in groups.values()
    ]
    levels: dict[int, float] = {}
    for n in range(len(reads)):
        _level(n, reads, levels)
    for n in {number[id(aid)] for phase in phases for aid in phase.aids if id(aid) in number}:
        # Right before what it aids: its artifact need not wait about.
        levels[n] = min(levels[m] for m in range(len(reads)) if n in reads[m]) - 0.5
    order = sorted(range(len(reads)), key=lambda n: levels[n])
    listed = list(groups.values())
    return [Run(tuple(listed[n])) for n in order]


def _level(n: int, reads: Sequence[set[int]], levels: dict[int, float]) -> float:
    if n not in levels:
        levels[n] = 1 + max((_level(m, reads, levels) for m in reads[n]), default=-1.0)
    return levels[n]


# ------------------------------------------------------------------------------------------------ the actions, in order


class _Script:
    """Writes down a way of doing it: actions, and the timeline that they will take."""

    def __init__(
        self,
        ways: Ways,
        capacity: Capacity,
        resident: Mapping[Component, Placement],
        load_seconds: LoadSeconds,
        keep: bool,
    ) -> None:
        self._keep = keep
        self._ways = ways.each
        self._placements = ways.placements
        self._capacity = capacity
        self._load_seconds = load_seconds
        needed = dict.fromkeys(c for way in self._ways for c in way.run.phases[0].components)
        staying = dict.fromkeys(c for c, p in resident.items() if self._placement(c) == p and (keep or c in needed))
        self._resident = set(staying)
        self._strangers = [c for c in resident if c not in staying]
        self._weighty = [c for c in {**needed, **staying} if c.nbytes or c.host]
        self._number = {component: n for n, component in enumerate(self._weighty)}
        self._light = [_light(way.run) for way in self._ways]

    def write(self) -> Plan:
        problem = self._problem()
        masks = search(problem).held
        masks = linger(problem, masks) if self._keep else masks
        label, before = START, problem.resident
        light = {component for component in self._resident if not (component.nbytes or component.host)}
        actions: list[Action] = [Evict(component) for component in self._strangers]
        spans: list[Span] = []
        for run, (way, held) in enumerate(zip(self._ways, masks, strict=True)):
            actions += [Evict(self._weighty[n]) for n in bits(before & ~held)]
            order = sorted(bits(held & ~before), key=lambda n: (problem.next_use(n, run), n))
            actions += self._arrivals(run, [(problem.next_use(n, run), self._weighty[n]) for n in order], light)
            actions.append(way.run)
            made = step(problem, run, before, held, label)
            spans += self._loads(problem, order, max(label.lane, label.clock))
            begin = made.clock - way.seconds
            device = problem.size(held) + way.workspace
            spans.append(Span("run", way.run.name, begin, made.clock, way.nbytes, device, begin - label.clock))
            label, before = made, held
            done = {c for c in light if not any(c in later for later in self._light[run + 1 :])}
            if not self._keep:
                actions += [Evict(component) for component in sorted(done, key=lambda c: c.name)]
                light -= done
        if not self._keep:
            actions += [Evict(self._weighty[n]) for n in bits(before)]
        host = max(map(problem.hosted, masks), default=0)
        return Plan(tuple(actions), Forecast(tuple(spans), max((s.device for s in spans), default=0), host))

    def _arrivals(self, run: int, weighty: Sequence[tuple[int, Component]], light: set[Component]) -> Iterator[Load]:
        """Loads by when they are due. Those without weights come before the weights of the same run or a later one.

        Loaded only when their own run comes, they would wait in the lane for all that is fetched ahead by then.
        """
        for due, component in (*weighty, (run, None)):
            early = dict.fromkeys(one for later in self._light[run : due + 1] for one in later if one not in light)
            light |= set(early)
            yield from map(Load, early)
            if component:
                yield Load(component, self._placement(component))

    def _problem(self) -> Problem:
        pieces = tuple(self._piece(component) for component in self._weighty)
        stops = tuple(Stop(self._mask(weighty(way.run)), way.workspace, way.seconds) for way in self._ways)
        here = self._mask(component for component in self._resident if component in self._number)
        return Problem(pieces, stops, self._capacity.device, here, self._capacity.host)

    def _piece(self, component: Component) -> Piece:
        placement = self._placement(component)
        if not placement.streamed:
            seconds = self._load_seconds(component)
            if seconds is None:
                seconds = self._capacity.load_overhead + component.disk / self._capacity.disk_rate
            return Piece(component.nbytes, component.disk, seconds, component.host)
        size, passed = sizes_of(component)[placement.resident]
        hosted = placement.source == "host"
        nbytes = component.disk if hosted else component.disk * (component.nbytes - passed) // component.nbytes
        seconds = self._capacity.load_overhead + nbytes / self._capacity.disk_rate
        return Piece(size, nbytes, seconds, passed if hosted else 0)

    def _loads(self, problem: Problem, order: Sequence[int], lane: float) -> Iterator[Span]:
        for n in order:
            piece = problem.pieces[n]
            yield Span("load", self._weighty[n].name, lane, lane + piece.seconds, piece.nbytes)
            lane += piece.seconds

    def _placement(self, component: Component) -> Placement:
        return self._placements.get(component, RESIDENT)

    def _mask(self, components: Iterable[Component]) -> int:
        return sum(1 << self._number[component] for component in components)


def _light(run: Run) -> list[Component]:
    """Components without weights: tokenizers and schedulers. They take no room and stay until their last use."""
    return [one for one in dict.fromkeys(run.phases[0].components) if not (one.nbytes or one.host)]
