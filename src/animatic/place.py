"""How each run is done: with everything in device memory where that fits, else with a component streamed.

Pure arithmetic: bytes, rates and seconds come in as numbers. Lossless choices only: what changes a result is an option.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from animatic.blocks import passed_bytes, streamed_bytes
from animatic.core import RESIDENT, Component, Phase, Placement, Run
from animatic.errors import CapacityError
from animatic.sizes import gib

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


def least(run: Run, demand: Demands) -> int:
    """Bytes of device memory without which a run cannot be done."""
    workspace = max(demand(phase).workspace for phase in run.phases)
    sizes = sum(component.nbytes for component in weighty(run))
    large = _streamable(run)
    return workspace + sizes - (large.nbytes - streamed_bytes(large.nbytes, large.blocks, 0) if large else 0)


class Ways:
    """The ways of all runs of a plan, in order, and the placements that they agree on.

    Raises CapacityError when a run cannot fit.
    """

    def __init__(self, runs: Sequence[Run], capacity: Capacity, demand: Demands) -> None:
        self._capacity = capacity
        totals = [_total(run, demand) for run in runs]
        found = [self._way(run, total) for run, total in zip(runs, totals, strict=True)]
        if None in found:
            raise _refusal(runs, capacity, demand)
        for one in (component for run in runs for component in weighty(run)):
            if one.host > capacity.host:
                raise CapacityError(f"{one.name} needs {gib(one.host)} of main memory and the budget is "
                                    f"{gib(capacity.host)}: grant more with --host-memory, or leave out "
                                    "--set refine.device=cpu")  # fmt: skip
        ways = [way for way in found if way]
        self.placements = _placements(ways)
        self.each = [self._settled(way, total) for way, total in zip(ways, totals, strict=True)]

    def _way(self, run: Run, total: Demand) -> Way | None:
        """Whole if it fits, else streamed; None when even that cannot fit."""
        if self._room(run, total) >= 0:
            return Way(run, total.workspace, total.seconds)
        component = _streamable(run)
        return self._streamed(run, total, component, len(component.blocks)) if component else None

    def _settled(self, way: Way, total: Demand) -> Way:
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
        return self._capacity.device - total.workspace - sum(component.nbytes for component in weighty(run))

    def _streamed(self, run: Run, total: Demand, component: Component, most: int) -> Way | None:
        """The fastest of: few shots in lockstep beside many resident blocks, at `most` so many, or the other way."""
        shots = len(run.phases)
        counts = sorted({min(shots, 1 << n) for n in range(shots.bit_length() + 1)})
        ways = (self._together(run, total, component, count, most) for count in counts)
        return min((way for way in ways if way), key=lambda way: way.seconds, default=None)

    def _together(self, run: Run, total: Demand, component: Component, count: int, most: int) -> Way | None:
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
        return Way(replace(run, lockstep=count), workspace, seconds, placement, passes * passed)


def _total(run: Run, demand: Demands) -> Demand:
    """Of all shots of a run: seconds and passes of each add up to `seconds`; the largest of all else."""
    each = [demand(phase) for phase in run.phases]
    return Demand(
        sum(one.seconds for one in each),
        max(one.workspace for one in each),
        max(1, *(one.passes for one in each)),
        max(one.held for one in each),
    )


def _placements(ways: Sequence[Way]) -> dict[Component, Placement]:
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
    worst = max(runs, key=lambda run: least(run, demand))
    need = least(worst, demand)
    return CapacityError(
        f"{worst.name} needs {gib(need)} at least and the budget is {gib(capacity.device)}: "
        f"grant {_option(need)}, or choose a smaller size, --set video.vae_tiling=on, or another preset"
    )


def _option(nbytes: int) -> str:
    return f"--memory {-(-nbytes * 10 // GIB) / 10:g}GiB" if nbytes >= GIB else f"--memory {-(-nbytes // 2**20)}MiB"
