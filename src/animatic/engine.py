"""Runs phases on this machine as a plan says, and yields what happens. Only keys and artifacts go in and out.

Decides nothing: `plan.py` does. When memory runs out all the same, what was measured goes into the estimate, and the
rest is planned anew, once.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers

from animatic.budget import Budget, reduced
from animatic.core import (
    Component,
    Event,
    Evict,
    Evicted,
    Load,
    Loaded,
    Notice,
    Phase,
    PhaseBegun,
    PhaseEnded,
    Plan,
    Run,
    Stage,
    StageBegun,
    StageEnded,
    Step,
)
from animatic.device import Cpu, Device
from animatic.errors import CapacityError
from animatic.estimate import Estimator
from animatic.lockstep import lockstep
from animatic.models import family
from animatic.models.base import Family, Made, Work, Works
from animatic.place import Capacity, Demand
from animatic.plan import plan
from animatic.residency import Residency
from animatic.spec import Models
from animatic.store import Store

MARGIN = 1.15
"""What a phase that ran out of memory is taken to need, over what it had when it did: it was not at its peak yet."""

_Name = tuple[Stage, str]
"""A model by its stage and identity."""


class LocalEngine:
    """Runs the phases of these models on one device, within a budget."""

    def __init__(self, models: Models, device: Device, budget: Budget, estimator: Estimator) -> None:
        _quiet()
        here: dict[_Name, Any] = {(m.spec.stage, m.spec.identity): m for m in models.values() if m.folder is not None}
        self._device = device
        self._budget = budget
        self._estimator = estimator
        self._folders: dict[_Name, Path] = {name: model.folder for name, model in here.items()}
        self._families = {name: family(m.spec.family)(m.spec, device.torch) for name, m in here.items()}
        self._residency = Residency(device, self._source)
        # What runs on the CPU beside a GPU is loaded there; it takes no device memory.
        self._beside = Residency(Cpu(), self._source)

    def _where(self, component: Component) -> Residency:
        return self._beside if component.host else self._residency

    def _close(self) -> None:
        self._residency.close()
        self._beside.close()

    @property
    def capacity(self) -> Capacity:
        return self._budget.capacity

    def demand(self, phase: Phase) -> Demand:
        return self._estimator.demand(phase)

    def plan(self, phases: Sequence[Phase]) -> Plan:
        return plan(phases, self.capacity, self.demand, self._residency.resident, self._estimator.load_seconds)

    def check(self, plan: Plan) -> None:
        """See that every component the plan loads is whole and of the right shape, reading headers only."""
        for component in dict.fromkeys(a.component for a in plan.actions if isinstance(a, Load)):
            self._where(component).check(component)

    def run(self, plan: Plan, store: Store) -> Iterator[Event]:
        """Carry the plan out. Whatever happens, nothing is resident afterwards, and no load goes on."""
        # What is alive now stays so: each collection need look only at what the run itself made.
        gc.freeze()
        stages = _StageClock(plan)
        try:
            yield from self._carry_out_twice(plan, store, stages)
        finally:
            self._close()
            gc.unfreeze()

    def _carry_out_twice(self, plan: Plan, store: Store, stages: _StageClock) -> Iterator[Event]:
        errand = _Errand(self, plan, store, stages)
        try:
            yield from errand.carry_out()
            return
        except torch.OutOfMemoryError as error:
            what = errand.learn(error)
        self._close()
        yield Notice(f"{what}: planning anew")
        again = _Errand(self, self.plan(_left(plan, store)), store, stages)
        try:
            yield from again.carry_out()
        except torch.OutOfMemoryError as error:
            raise CapacityError(f"{again.learn(error)}, also after planning anew: grant less with --memory, "
                                "so that more is streamed, or choose a smaller size") from error  # fmt: skip

    def _source(self, component: Component) -> tuple[Family, Path]:
        """Who knows how to load a component, and the model's folder."""
        name = component.stage, component.model
        return self._families[name], self._folders[name]


class _Errand:
    """One carrying out of one plan: what runs now, and what to learn when memory runs out in it."""

    def __init__(self, engine: LocalEngine, plan: Plan, store: Store, stages: _StageClock) -> None:
        self._plan = plan
        self._store = store
        self._stages = stages
        self._engine = engine
        self._device = engine._device
        self._residency = engine._residency
        self._now: Run | None = None
        self._floor = self._device.used()

    def carry_out(self) -> Iterator[Event]:
        dropped = False
        for action in self._plan.actions:
            if dropped and not isinstance(action, Evict):
                self._device.release()
                dropped = False
            match action:
                case Load(component, placement, source):
                    self._engine._where(component).begin(component, placement, source)
                case Evict(component, keep):
                    self._engine._where(component).evict(component, keep)
                    dropped = True
                    yield Evicted(component.name)
                case Run():
                    yield from self._stages.begin(action.phases[0].stage)
                    yield from self._wait(action)
                    self._now = action
                    yield from self._run(action)
                    self._now = None
                    yield from self._stages.end(action)

    def learn(self, error: torch.OutOfMemoryError) -> str:
        """Put what was measured into the estimate, and say in a clause what happened."""
        held = self._device.peak()
        if self._now is None:
            self._engine._budget = reduced(self._engine._budget, int(held / MARGIN))
            return f"memory ran out while loading, with {held / 2**30:.1f} GiB in use"
        expected = self._engine.demand(self._now.phases[0]).workspace
        workspace = int(MARGIN * max(held - self._residency.device_bytes, expected))
        for phase in self._now.phases:
            self._engine._estimator.raise_workspace(phase, workspace)
        first = next(iter(str(error).splitlines()), "")
        return f"{self._now.name} ran out of memory at {held / 2**30:.1f} GiB ({first[:120]})"

    def _wait(self, run: Run) -> Iterator[Event]:
        for needed in run.phases[0].components:
            residency = self._engine._where(needed)
            for component, seconds in residency.wait([needed]):
                # Of what is streamed, only a part was read.
                if not residency.resident[component].streamed:
                    self._engine._estimator.note_load(component, seconds)
                yield Loaded(component.name, component.nbytes, seconds)

    def _run(self, run: Run) -> Iterator[Event]:
        works = _missing(run, self._store)
        for phase in run.phases:
            if all(phase is not work.phase for work in works):
                yield PhaseEnded(phase.name, phase.shot.id, 0.0, 0, hit=True)
        size = max(run.lockstep, 1)
        for first in range(0, len(works), size):
            yield from self._run_together(run, works[first : first + size])

    def _run_together(self, run: Run, works: Works) -> Iterator[Event]:
        """Run one phase for some shots: through each block together if they are several, else one by one."""
        parts: dict[str, Any] = {}
        for component in run.phases[0].components:
            parts |= self._engine._where(component).parts([component])
        method = getattr(self._engine._families[_owner(run.phases[0])], run.phases[0].verb)
        for work in works:
            yield PhaseBegun(run.name, work.phase.shot.id)
        if len(works) > 1:
            results = lockstep([partial(method, parts, [work]) for work in works])
        else:
            results = method(parts, works)
        meter = _Meter(self._device, self._residency, len(works))
        for result in self._device.within(results):
            yield result if isinstance(result, Step) else self._finish(result, meter)

    def _finish(self, made: Made, meter: _Meter) -> PhaseEnded:
        phase = made.work.phase
        seconds, peak, workspace = meter.read()
        key = self._store.key(phase)
        assert key is not None, f"{phase.name} ran before its inputs were there"
        facts = {"phase": phase.name, "seconds": seconds, "peak": peak, "device": str(self._device.torch)}
        self._store.put(key, made.data, made.suffix, facts, made.identity)
        if meter.alone:
            self._engine._estimator.note(phase, seconds, workspace)
        taken = max(0, peak - self._floor)
        return PhaseEnded(phase.name, phase.shot.id, seconds, peak, taken=taken)


class _StageClock:
    """Tells when a stage begins and ends: its phases need not follow one another."""

    def __init__(self, plan: Plan) -> None:
        self._left: dict[Stage, int] = {}
        self._shots: dict[Stage, int] = {}
        self._begun: dict[Stage, float] = {}
        for run in plan.runs:
            stage = run.phases[0].stage
            self._left[stage] = self._left.get(stage, 0) + 1
            self._shots[stage] = max(self._shots.get(stage, 0), len(run.phases))

    def begin(self, stage: Stage) -> Iterator[Event]:
        if stage not in self._begun:
            self._begun[stage] = time.perf_counter()
            yield StageBegun(stage, self._shots[stage])

    def end(self, run: Run) -> Iterator[Event]:
        stage = run.phases[0].stage
        self._left[stage] -= 1
        if not self._left[stage]:
            yield StageEnded(stage, time.perf_counter() - self._begun[stage])


class _Meter:
    """Seconds and peak memory of a phase, from its making to its reading; of shots in lockstep, each one's share."""

    def __init__(self, device: Device, residency: Residency, together: int) -> None:
        self.alone = together == 1
        self._device = device
        self._share = 1 / together
        # Main memory is taken page by page as a load goes on: then nobody can tell what of it was work space.
        self._blurred = device.unified and residency.loading
        self._before = device.used()
        self._begun = time.perf_counter()
        device.reset_peak()

    def read(self) -> tuple[float, int, int | None]:
        """Seconds, peak bytes, and the bytes beyond what was there before; None where that cannot be told."""
        self._device.synchronize()
        seconds = (time.perf_counter() - self._begun) * self._share
        peak = self._device.peak()
        return seconds, peak, None if self._blurred else max(0, peak - self._before)


def _missing(run: Run, store: Store) -> list[Work]:
    """The run's phases whose artifacts are not there yet; shots that share an artifact make it once."""
    works: dict[str, Work] = {}
    for phase in run.phases:
        key = store.key(phase)
        assert key is not None, f"{phase.name} was planned before its inputs"
        if key not in works and store.get(key) is None:
            reads = (*phase.inputs, *phase.aids)
            inputs = {given.makes: artifact for given in reads if (artifact := store.artifact(given))}
            works[key] = Work(phase, inputs)
    return list(works.values())


def _left(plan: Plan, store: Store) -> list[Phase]:
    """The phases of a plan that are not done."""
    return store.missing(phase for run in plan.runs for phase in run.phases)


def _owner(phase: Phase) -> _Name:
    """The model whose family runs the phase: the recipe names it."""
    return phase.stage, phase.recipe["model"]


def _quiet() -> None:
    """Progress is told in events; the libraries' own bars and remarks would break the terminal's picture."""
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    diffusers.utils.logging.set_verbosity_error()
    diffusers.utils.logging.disable_progress_bar()
