"""The memory planner: from phases to a list of loads, evictions and runs, with a predicted timeline.

Pure: no torch, no clock, no device. First every component gets its placement: in device memory where it fits beside
what its runs need with it, else streamed block by block. Then the search decides what is loaded when.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from animatic.blocks import passed_bytes, streamed_bytes
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
from animatic.errors import CapacityError
from animatic.search import START, Piece, Problem, Stop, bits, linger, search, step

GIB = 2**30


@dataclass(frozen=True)
class Demand:
    """What one phase of one shot takes.

    seconds    computing, with everything in device memory
    workspace  most bytes in use beside its components
    passes     how often its components' blocks are all run through: denoising steps, or tokens that are written
    held       bytes that one more shot in lockstep holds between two blocks
    """

    seconds: float
    workspace: int
    passes: int = 1
    held: int = 0


@dataclass(frozen=True)
class Capacity:
    """What a machine grants, in bytes and bytes/s.

    device, host    budgets of device memory, and of main memory for copies of weights
    disk_rate       from the disk to where it is needed
    copy_rate       from main memory to device memory
    unified         device memory is main memory (a plain CPU): copies in main memory would be of no use
    load_overhead   seconds that every load takes besides
    """

    device: int
    host: int
    disk_rate: float
    copy_rate: float
    unified: bool = False
    load_overhead: float = 0.0


Demands = Callable[[Phase], Demand]
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
    draft = _Draft(_stage_major(phases), capacity, demand, load_seconds)
    return _Script(draft, capacity, resident or {}, keep).write()


def smallest(phases: Sequence[Phase], demand: Demands) -> int:
    """The least bytes of device memory in which `phases` can run at all, streamed as far as they can be."""
    return max((_least(run, demand) for run in _stage_major(phases)), default=0)


# --------------------------------------------------------------------------------------------------------- the order


def _stage_major(phases: Sequence[Phase]) -> list[Run]:
    """Group equal phases of all shots, in an order where every phase comes after what it reads.

    A group's level is its longest path from a group that reads nothing; so encoding the text for the video comes beside
    encoding it for the image, as early as it can. What reads nothing at all comes right before what reads it.
    """
    groups: dict[tuple[str, tuple[Component, ...]], list[Phase]] = {}
    for phase in phases:
        groups.setdefault((phase.name, phase.components), []).append(phase)
    number = {id(phase): n for n, group in enumerate(groups.values()) for phase in group}
    names = [name for name, _ in groups]
    reads: list[set[int]] = [
        {number[id(given)] for phase in group for given in (*phase.inputs, *phase.aids) if id(given) in number}
        for group in groups.values()
    ]
    levels: dict[int, float] = {}
    for n in range(len(reads)):
        _level(n, reads, levels)
    for n, name in enumerate(names):
        if name.endswith(".modulate"):  # Right before the denoising that it aids: its tables need not wait about.
            levels[n] = min((levels[m] for m in range(len(reads)) if n in reads[m]), default=levels[n]) - 0.5
    order = sorted(range(len(reads)), key=lambda n: levels[n])
    listed = list(groups.values())
    return [Run(tuple(listed[n])) for n in order]


def _level(n: int, reads: Sequence[set[int]], levels: dict[int, float]) -> float:
    if n not in levels:
        levels[n] = 1 + max((_level(m, reads, levels) for m in reads[n]), default=-1.0)
    return levels[n]


# ---------------------------------------------------------------------------------------------------- the placements


@dataclass(frozen=True)
class _Way:
    """How a run is done: whole, or with its largest component that has blocks streamed; and what that takes.

    nbytes  that stream through it
    """

    run: Run
    workspace: int
    seconds: float
    placement: Placement = RESIDENT
    nbytes: int = 0


def _weighty(run: Run) -> list[Component]:
    return [one for one in dict.fromkeys(run.phases[0].components) if one.nbytes or one.host]


def _streamable(run: Run) -> Component | None:
    """The component that is streamed when a run does not fit: the largest that has blocks."""
    return max((component for component in _weighty(run) if component.blocks), key=lambda c: c.nbytes, default=None)


def _least(run: Run, demand: Demands) -> int:
    """Bytes of device memory without which a run cannot be done."""
    workspace = max(demand(phase).workspace for phase in run.phases)
    sizes = sum(component.nbytes for component in _weighty(run))
    large = _streamable(run)
    return workspace + sizes - (large.nbytes - streamed_bytes(large.nbytes, large.blocks, 0) if large else 0)


class _Draft:
    """One plan in the making."""

    def __init__(self, runs: Sequence[Run], capacity: Capacity, demand: Demands, load_seconds: LoadSeconds) -> None:
        self._capacity = capacity
        self._load_seconds = load_seconds
        totals = [_total(run, demand) for run in runs]
        found = [self._way(run, total) for run, total in zip(runs, totals, strict=True)]
        if None in found:
            raise _refusal(runs, capacity, demand)
        for one in (component for run in runs for component in _weighty(run)):
            if one.host > capacity.host:
                raise CapacityError(f"{one.name} needs {_gib(one.host)} of main memory and the budget is "
                                    f"{_gib(capacity.host)}: grant more with --host-memory, or leave out "
                                    "--set refine.device=cpu")  # fmt: skip
        ways = [way for way in found if way]
        self.placements = _placements(ways)
        self.ways = [self._settled(way, total) for way, total in zip(ways, totals, strict=True)]

    def _way(self, run: Run, total: Demand) -> _Way | None:
        """Whole if it fits, else streamed; None when even that cannot fit."""
        if self._room(run, total) >= 0:
            return _Way(run, total.workspace, total.seconds)
        component = _streamable(run)
        return self._streamed(run, total, component, len(component.blocks)) if component else None

    def _settled(self, way: _Way, total: Demand) -> _Way:
        """The same with the placement that its components have in the whole plan: one for all their runs."""
        component = _streamable(way.run)
        placement = self.placements.get(component, way.placement) if component else way.placement
        if component is None or placement == way.placement:
            return way
        again = self._streamed(way.run, total, component, placement.resident)
        assert again is not None, "fewer resident blocks never need more room"
        return replace(again, placement=placement)

    def _room(self, run: Run, total: Demand) -> int:
        """Bytes left with everything whole; below 0 where it does not fit."""
        return self._capacity.device - total.workspace - sum(component.nbytes for component in _weighty(run))

    def _streamed(self, run: Run, total: Demand, component: Component, most: int) -> _Way | None:
        """The fastest of: few shots in lockstep beside many resident blocks, at `most` so many, or the other way."""
        shots = len(run.phases)
        counts = sorted({min(shots, 1 << n) for n in range(shots.bit_length() + 1)})
        ways = (self._together(run, total, component, count, most) for count in counts)
        return min((way for way in ways if way), key=lambda way: way.seconds, default=None)

    def _together(self, run: Run, total: Demand, component: Component, count: int, most: int) -> _Way | None:
        """`count` shots in lockstep, with as many resident blocks as fit."""
        workspace = total.workspace + (count - 1) * total.held
        room = self._room(run, replace(total, workspace=workspace)) + component.nbytes
        blocks = component.blocks
        fitting = (k for k in range(most, -1, -1) if streamed_bytes(component.nbytes, blocks, k) <= room)
        resident = next(fitting, None)
        if resident is None:
            return None
        passed = passed_bytes(blocks, resident)
        hosted = not self._capacity.unified and passed <= self._capacity.host
        rate = self._capacity.copy_rate if hosted else self._capacity.disk_rate
        groups = -(-len(run.phases) // count)
        passes = groups * total.passes
        seconds = passes * (max(total.seconds / passes, passed / rate) + max(blocks) / rate)
        placement = Placement(streamed=True, resident=resident, source="host" if hosted else "disk")
        return _Way(replace(run, lockstep=count), workspace, seconds, placement, passes * passed)


def _total(run: Run, demand: Demands) -> Demand:
    """Of all shots of a run: seconds and passes of each add up to `seconds`; the largest of all else."""
    each = [demand(phase) for phase in run.phases]
    return Demand(
        sum(one.seconds for one in each),
        max(one.workspace for one in each),
        max(1, *(one.passes for one in each)),
        max(one.held for one in each),
    )


def _placements(ways: Sequence[_Way]) -> dict[Component, Placement]:
    """The placement of each streamed component: of its runs' the most modest."""
    found: dict[Component, Placement] = {}
    for way in ways:
        if way.placement.streamed:
            component = _streamable(way.run)
            assert component is not None
            known = found.get(component, way.placement)
            modest = min(known, way.placement, key=lambda one: one.resident)
            disk = "disk" in (known.source, way.placement.source)
            found[component] = replace(modest, source="disk") if disk else modest
    return found


def _refusal(runs: Sequence[Run], capacity: Capacity, demand: Demands) -> CapacityError:
    """Names the neediest phase, what it needs at least, and the budget in which all would run."""
    worst = max(runs, key=lambda run: _least(run, demand))
    need = _least(worst, demand)
    return CapacityError(
        f"{worst.name} needs {_gib(need)} at least and the budget is {_gib(capacity.device)}: "
        f"grant {_option(need)}, or choose a smaller size, --set video.vae_tiling=on, or another preset"
    )


def _gib(nbytes: int) -> str:
    return f"{nbytes / GIB:.1f} GiB" if nbytes >= GIB // 10 else f"{nbytes / 2**20:.0f} MiB"


def _option(nbytes: int) -> str:
    return f"--memory {-(-nbytes * 10 // GIB) / 10:g}GiB" if nbytes >= GIB else f"--memory {-(-nbytes // 2**20)}MiB"


# ------------------------------------------------------------------------------------------------ the actions, in order


class _Script:
    """Writes down a way of doing it: actions, and the timeline that they will take."""

    def __init__(
        self, draft: _Draft, capacity: Capacity, resident: Mapping[Component, Placement], keep: bool
    ) -> None:
        self._keep = keep
        self._ways = draft.ways
        self._placements = draft.placements
        self._capacity = capacity
        self._load_seconds = draft._load_seconds
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
            actions += [Load(component) for component in self._light[run] if component not in light]
            order = sorted(bits(held & ~before), key=lambda n: (problem.next_use(n, run), n))
            actions += [Load(self._weighty[n], self._placement(self._weighty[n])) for n in order]
            actions.append(way.run)
            made = step(problem, run, before, held, label)
            spans += self._loads(problem, order, max(label.lane, label.clock))
            begin = made.clock - way.seconds
            device = problem.size(held) + way.workspace
            spans.append(Span("run", way.run.name, begin, made.clock, way.nbytes, device, begin - label.clock))
            label, before = made, held
            light |= set(self._light[run])
            done = {c for c in light if not any(c in later for later in self._light[run + 1 :])}
            if not self._keep:
                actions += [Evict(component) for component in sorted(done, key=lambda c: c.name)]
                light -= done
        if not self._keep:
            actions += [Evict(self._weighty[n]) for n in bits(before)]
        return Plan(tuple(actions), Forecast(tuple(spans), max((s.device for s in spans), default=0), self._host()))

    def _problem(self) -> Problem:
        pieces = tuple(self._piece(component) for component in self._weighty)
        stops = tuple(Stop(self._mask(_weighty(way.run)), way.workspace, way.seconds) for way in self._ways)
        here = self._mask(component for component in self._resident if component in self._number)
        return Problem(pieces, stops, self._capacity.device, here)

    def _piece(self, component: Component) -> Piece:
        placement = self._placement(component)
        if not placement.streamed:
            seconds = self._load_seconds(component)
            if seconds is None:
                seconds = self._capacity.load_overhead + component.disk / self._capacity.disk_rate
            return Piece(component.nbytes, component.disk, seconds)
        size = streamed_bytes(component.nbytes, component.blocks, placement.resident)
        staying = component.nbytes - passed_bytes(component.blocks, placement.resident)
        share = 1.0 if placement.source == "host" else staying / component.nbytes
        nbytes = int(component.disk * share)
        return Piece(size, nbytes, self._capacity.load_overhead + nbytes / self._capacity.disk_rate)

    def _loads(self, problem: Problem, order: Sequence[int], lane: float) -> Iterator[Span]:
        for n in order:
            piece = problem.pieces[n]
            yield Span("load", self._weighty[n].name, lane, lane + piece.seconds, piece.nbytes)
            lane += piece.seconds

    def _host(self) -> int:
        """Bytes of main memory for what runs or is streamed from there: one component at a time."""
        hosted = [passed_bytes(c.blocks, p.resident) for c, p in self._placements.items() if p.source == "host"]
        return max([*hosted, *(component.host for component in self._weighty)], default=0)

    def _placement(self, component: Component) -> Placement:
        return self._placements.get(component, RESIDENT)

    def _mask(self, components: Iterable[Component]) -> int:
        return sum(1 << self._number[component] for component in components)


def _light(run: Run) -> list[Component]:
    """Components without weights: tokenizers and schedulers. They take no room and stay until their last use."""
    return [one for one in dict.fromkeys(run.phases[0].components) if not (one.nbytes or one.host)]
