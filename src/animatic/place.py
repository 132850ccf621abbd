"""How each run is done: with everything in device memory where that fits, else with a component streamed.

Pure arithmetic: bytes, rates and seconds come in as numbers. Lossless choices only: what changes a result is an option.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from animatic.blocks import passed_bytes, streamed_bytes
from animatic.core import RESIDENT, Component, Phase, Placement, Run
from animatic.errors import CapacityError
from animatic.sizes import gib

GIB = 2**30

AS_FAST = 1.01
"""How much longer a run may take that is called as fast as another."""

HIDDEN = 1.25
"""How much longer than its transfer a streamed run has to take for its seconds to be those of computing."""


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


@dataclass(frozen=True)
class Way:
    """How a run is done: whole, or with its largest component that has blocks streamed; and what that takes.

    nbytes  that stream through it
    """

    run: Run
    workspace: int
    seconds: float
    placement: Placement = RESIDENT
    nbytes: int = 0


def weighty(run: Run) -> list[Component]:
    return [one for one in dict.fromkeys(run.phases[0].components) if one.nbytes or one.host]


def _streamable(run: Run) -> Component | None:
    """The component that is streamed when a run does not fit: the largest that has blocks."""
    return max((component for component in weighty(run) if component.blocks), key=lambda c: c.nbytes, default=None)


def least(run: Run, total: Demand) -> int:
    """Bytes of device memory without which a run cannot be done."""
    sizes = sum(component.nbytes for component in weighty(run))
    large = _streamable(run)
    return total.workspace + sizes - (max(0, large.nbytes - sizes_of(large)[0][0]) if large else 0)


def total_of(run: Run, demand: Demands) -> Demand:
    """Of all shots of a run: seconds together, the most of all else. Shots with the same options take the same."""
    counts: dict[int, int] = {}
    first: dict[int, Phase] = {}
    for phase in run.phases:
        options = id(phase.shot.options)
        counts[options] = counts.get(options, 0) + 1
        first.setdefault(options, phase)
    each = {options: demand(phase) for options, phase in first.items()}
    return Demand(
        sum(one.seconds * counts[options] for options, one in each.items()),
        max(one.workspace for one in each.values()),
        max(1, *(one.passes for one in each.values())),
        max(one.held for one in each.values()),
    )


def sizes_of(component: Component) -> tuple[tuple[int, int], ...]:
    """Of a streamed component, by how many of its blocks are resident: bytes of device memory, and bytes that pass."""
    return _tabulated(component.nbytes, component.blocks)


@lru_cache(maxsize=256)
def _tabulated(nbytes: int, blocks: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
    return tuple((streamed_bytes(nbytes, blocks, k), passed_bytes(blocks, k)) for k in range(len(blocks) + 1))


class Ways:
    """The ways of all runs of a plan, in order, and the placements that they agree on.

    lean  with as few resident blocks as are as fast, rather than as many as fit
    """

    def __init__(self, runs: Sequence[Run], totals: Sequence[Demand], capacity: Capacity, lean: bool) -> None:
        self._capacity = capacity
        self._lean = lean
        ways = [self._way(run, total) for run, total in zip(runs, totals, strict=True)]
        self.placements = self._placements(ways, totals)
        self.each = [self._settled(way, total) for way, total in zip(ways, totals, strict=True)]

    def _way(self, run: Run, total: Demand) -> Way:
        """Whole if it fits, else streamed: in the fastest way there is."""
        if self._room(run, total.workspace) >= 0:
            return Way(run, total.workspace, total.seconds)
        component = _streamable(run)
        assert component is not None, "what cannot fit was refused"
        fastest = min(self._streamed(run, total, component), key=lambda way: way.seconds)
        return self._leaner(fastest, total, component) if self._lean else fastest

    def _settled(self, way: Way, total: Demand) -> Way:
        """The same with the placement that its component has in the whole plan: one for all its runs."""
        component = _streamable(way.run)
        placement = self.placements.get(component, way.placement) if component else way.placement
        if component is None or placement == way.placement:
            return way
        return min(self._streamed(way.run, total, component, placement), key=lambda way: way.seconds)

    def _room(self, run: Run, workspace: int) -> int:
        """Bytes left with everything whole; below 0 where it does not fit."""
        return self._capacity.device - workspace - sum(component.nbytes for component in weighty(run))

    def _streamed(
        self, run: Run, total: Demand, component: Component, placement: Placement | None = None
    ) -> Iterator[Way]:
        """Few shots in lockstep beside many resident blocks, and the other way; of one placement, if it is given."""
        shots = len(run.phases)
        for count in sorted({min(shots, 1 << n) for n in range(shots.bit_length() + 1)}):
            room = self._room(run, total.workspace + (count - 1) * total.held) + component.nbytes
            numbers = range(len(component.blocks), -1, -1) if placement is None else (placement.resident,)
            resident = next((k for k in numbers if sizes_of(component)[k][0] <= room), None)
            if resident is not None:
                yield self._together(run, total, component, count, placement or self._placement(component, resident))

    def _leaner(self, fastest: Way, total: Demand, component: Component) -> Way:
        """As fast, with as few resident blocks as that takes."""
        room = self._room(fastest.run, fastest.workspace) + component.nbytes
        for resident in range(fastest.placement.resident):
            placement = self._placement(component, resident)
            way = self._together(fastest.run, total, component, fastest.run.lockstep, placement)
            if way.seconds <= AS_FAST * fastest.seconds and sizes_of(component)[resident][0] <= room:
                return way
        return fastest

    def _placements(self, ways: Sequence[Way], totals: Sequence[Demand]) -> dict[Component, Placement]:
        """Of each streamed component: with as many resident blocks as all its runs leave room for."""
        most: dict[Component, int] = {}
        for way in ways:
            component = _streamable(way.run)
            if component and way.placement.streamed:
                most[component] = min(most.get(component, len(component.blocks)), way.placement.resident)
        room = {component: component.nbytes for component in most}
        for way, total in zip(ways, totals, strict=True):
            component = _streamable(way.run)
            if component in most:
                room[component] = min(room[component], self._room(way.run, total.workspace) + component.nbytes)
        return {
            component: self._placement(component, next(
                k for k in range(most[component], -1, -1) if sizes_of(component)[k][0] <= room[component]
            ))
            for component in most
        }  # fmt: skip

    def _placement(self, component: Component, resident: int) -> Placement:
        """Streamed from a copy in main memory where there is room for one."""
        hosted = not self._capacity.unified and sizes_of(component)[resident][1] <= self._capacity.host
        return Placement(streamed=True, resident=resident, source="host" if hosted else "disk")

    def _together(self, run: Run, total: Demand, component: Component, count: int, placement: Placement) -> Way:
        """With so many shots in lockstep. What one pass computes hides what passes, but for the first block."""
        passing, first = _pass(component, placement, self._capacity)
        passes = -(-len(run.phases) // count) * total.passes
        seconds = passes * (max(total.seconds / passes, passing) + first)
        workspace = total.workspace + (count - 1) * total.held
        nbytes = passes * sizes_of(component)[placement.resident][1]
        return Way(replace(run, lockstep=count), workspace, seconds, placement, nbytes)


def computing(
    seconds: float, component: Component, placement: Placement, passes: int, capacity: Capacity
) -> float | None:
    """Of the seconds that a run with a streamed component took, those that it would compute with everything there.

    None where it waited for what passes: how long it computed meanwhile cannot be told.
    """
    passing, first = _pass(component, placement, capacity)
    computed = seconds - passes * first
    return computed if computed > HIDDEN * passes * passing else None


def _pass(component: Component, placement: Placement, capacity: Capacity) -> tuple[float, float]:
    """Seconds in which all that is streamed passes once, and in which its first block comes, which nothing hides."""
    passed = sizes_of(component)[placement.resident][1]
    rate = capacity.copy_rate if placement.source == "host" else capacity.disk_rate
    return passed / rate, (max(component.blocks) if passed else 0) / rate


def check(runs: Sequence[Run], totals: Sequence[Demand], capacity: Capacity) -> None:
    """Raises CapacityError when a run cannot fit, streamed as far as it can be: it names the neediest."""
    for one in (component for run in runs for component in weighty(run)):
        if one.host > capacity.host:
            raise CapacityError(f"{one.name} needs {gib(one.host)} of main memory and the budget is "
                                f"{gib(capacity.host)}: grant more with --host-memory, or leave out "
                                "--set refine.device=cpu")  # fmt: skip
    worst = max(zip(runs, totals, strict=True), key=lambda one: least(*one), default=None)
    if worst and least(*worst) > capacity.device:
        raise _refusal(*worst, capacity)


def _refusal(run: Run, total: Demand, capacity: Capacity) -> CapacityError:
    """Names the neediest phase, what it needs at least, and what would make it fit."""
    need = least(run, total)
    tiled = run.name != "video.decode" or run.phases[0].shot.options.get("video.vae_tiling") == "on"
    ways = f"grant {_option(need)}, or choose a smaller size or another preset"
    return CapacityError(
        f"{run.name} needs {gib(need)} at least and the budget is {gib(capacity.device)}: "
        f"{ways if tiled else f'add --set video.vae_tiling=on, {ways}'}"
    )


def _option(nbytes: int) -> str:
    return f"--memory {-(-nbytes * 10 // GIB) / 10:g}GiB" if nbytes >= GIB else f"--memory {-(-nbytes // 2**20)}MiB"
