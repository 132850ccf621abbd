"""Runs phases on this machine as a plan says, and yields what happens. Only keys and artifacts go in and out.

Decides nothing: `plan.py` does. When memory runs out all the same, what was measured goes into the estimate, and the
rest is planned anew, once.
"""

from __future__ import annotations

import contextlib
import gc
import time
import traceback
from collections.abc import Collection, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers

from animatic.arena import Arenas
from animatic.budget import Budget, reduced
from animatic.core import Component, Evict, Load, Phase, Plan, Run, Stage
from animatic.device import Cpu, Device
from animatic.errors import CapacityError, OutputError, WeightsError, in_a_line
from animatic.estimate import Estimator
from animatic.events import Event, Evicted, Failed, Loaded, Notice, PhaseBegun, PhaseEnded, StageBegun, StageEnded, Step
from animatic.lockstep import lockstep
from animatic.models import family
from animatic.models.base import Family, Made, Work, Works
from animatic.place import Capacity, Demand, computing
from animatic.plan import plan
from animatic.residency import Residency
from animatic.spec import Models
from animatic.store import Store

MARGIN = 1.15
"""What a phase that ran out of memory is taken to need, over what it had when it did: it was not at its peak yet."""

_AGAIN = "also after planning anew: grant less with --memory, so that more is streamed, or choose a smaller size"

_Name = tuple[Stage, str]
"""A model by its stage and identity."""

_Kind = tuple[str, tuple[Any, ...]]


class LocalEngine:
    """Runs the phases of these models on one device, within a budget.

    estimator  what phases are expected to take; may be changed between runs
    warm    whether weights stay after a run, as far as there is room, for the next one: until `close`
    arenas  where copies of weights in main memory lie that other processes share; None: they are this engine's own
    """

    def __init__(
        self,
        models: Models,
        device: Device,
        budget: Budget,
        estimator: Estimator,
        warm: bool = False,
        arenas: Arenas | None = None,
    ) -> None:
        _quiet()
        self._warm = warm
        here: dict[_Name, Any] = {(m.spec.stage, m.spec.identity): m for m in models.values() if m.folder is not None}
        self._device = device
        self._budget = budget
        self.estimator = estimator
        self._folders: dict[_Name, Path] = {name: model.folder for name, model in here.items()}
        self._families = {name: family(m.spec.family)(m.spec, device.torch) for name, m in here.items()}
        self._residency = Residency(device, self._source, arenas=arenas)
        # What runs on the CPU beside a GPU is loaded there; it takes no device memory.
        self._beside = Residency(Cpu(), self._source)

    def _where(self, component: Component) -> Residency:
        return self._beside if component.host else self._residency

    def close(self) -> None:
        """Drop all weights, whatever goes on."""
        self._residency.close()
        self._beside.close()

    @property
    def environment(self) -> str:
        """What the bits of a result may depend on besides its key: a denoising is not gone on with elsewhere."""
        versions = (torch.__version__, diffusers.__version__, transformers.__version__)
        # On the CPU, how a sum is divided among threads decides its last bits.
        threads = f"{torch.get_num_threads()} threads" if self._device.unified else ""
        return " ".join((self._budget.device, str(self._device.torch), threads, *versions))

    @property
    def capacity(self) -> Capacity:
        return self._budget.capacity

    @property
    def device_bytes(self) -> int:
        """Of device memory, taken by weights now."""
        return self._residency.device_bytes

    def demand(self, phase: Phase) -> Demand:
        return self.estimator.demand(phase)

    def plan(self, phases: Sequence[Phase]) -> Plan:
        here = self._residency.resident
        return plan(phases, self.capacity, self.demand, here, self.estimator.load_seconds, keep=self._warm)

    def check(self, plan: Plan) -> None:
        """See that every component the plan loads is whole and of the right shape, reading headers only."""
        for component in dict.fromkeys(a.component for a in plan.actions if isinstance(a, Load)):
            self._where(component).check(component)

    def run(self, plan: Plan, store: Store, goals: Sequence[Phase] | None = None) -> Iterator[Event]:
        """Carry the plan out. Whatever happens, nothing is resident afterwards, and no load goes on; of a warm engine,
        weights that are whole stay when the run ends well, or is stopped.

        goals  what it is all for: what they no longer need, when its turn comes, is not run. None: all of the plan

        What another process is making is left to it; a shot that fails is told (`Failed`), and the others go on.
        """
        # What is alive now stays so: each collection need look only at what the run itself made.
        gc.freeze()
        every = [phase for run in plan.runs for phase in run.phases]
        job = _Job(store, every if goals is None else goals, _StageClock(plan))
        staying: Collection[Component] = ()
        try:
            yield from self._carry_out(plan, job)
            staying = set(self._residency.resident)
        except GeneratorExit:
            # What is streamed may stand in the midst of its blocks.
            staying = {one for one, placement in self._residency.resident.items() if not placement.streamed}
            raise
        finally:
            self._end(staying if self._warm else ())
            gc.unfreeze()

    def _end(self, staying: Collection[Component]) -> None:
        if not staying:
            self.close()
            return
        self._beside.close()
        for component in set(self._residency.resident) - set(staying):
            self._residency.evict(component)
        self._device.release()

    def _carry_out(self, plan: Plan, job: _Job) -> Iterator[Event]:
        """Carry a plan out, and when memory runs out in it, a plan of what is left. What runs out again fails."""
        run_out: set[_Kind] = set()
        while True:
            errand = _Errand(self, plan, job)
            try:
                yield from errand.carry_out()
                return
            except torch.OutOfMemoryError as error:
                what = errand.learn(error)
            self.close()
            doing = errand.doing()
            if refusal := _AGAIN if doing <= run_out else self._refusal(job.left(plan)):
                yield from errand.fail(f"{what}; {refusal}")
            else:
                yield Notice(f"{what}: planning anew")
            run_out |= doing
            left = job.left(plan)
            if not left:
                return
            plan = self.plan(left)

    def _refusal(self, phases: Sequence[Phase]) -> str:
        """Why these cannot be planned, after what was learnt; nothing, if they can."""
        try:
            self.plan(phases)
        except CapacityError as error:
            return str(error)
        return ""

    def _source(self, component: Component) -> tuple[Family, Path]:
        """Who knows how to load a component, and the model's folder."""
        name = component.stage, component.model
        return self._families[name], self._folders[name]


class _Job:
    """What all is to be made, whatever plan it goes by: the store, the goals, and the shots that failed."""

    def __init__(self, store: Store, goals: Sequence[Phase], stages: _StageClock) -> None:
        self.store = store
        self.stages = stages
        self.failed: set[str] = set()
        self._goals = goals

    def needed(self) -> set[int]:
        """The phases that the goals of the shots that did not fail still need, by identity."""
        return {id(phase) for phase in self.store.missing(goal for goal in self._goals if not self._lost(goal))}

    def needs(self, phase: Phase) -> bool:
        """Whether a phase's own shot still needs it: another process may have made all of it meanwhile."""
        goals = [goal for goal in self._goals if goal.shot.id == phase.shot.id]
        return any(one is phase for one in self.store.missing(goals))

    def left(self, plan: Plan) -> list[Phase]:
        """The phases of a plan that are still to be run."""
        needed = self.needed()
        return [phase for run in plan.runs for phase in run.phases if id(phase) in needed]

    def _lost(self, phase: Phase) -> bool:
        return phase.shot.id in self.failed


class _Errand:
    """One carrying out of one plan: what runs now, and what to learn when memory runs out in it."""

    def __init__(self, engine: LocalEngine, plan: Plan, job: _Job) -> None:
        self._plan = plan
        self._job = job
        self._store = job.store
        self._stages = job.stages
        self._engine = engine
        self._device = engine._device
        self._residency = engine._residency
        self._now: Run | None = None
        self._works: Works = ()
        self._floor = max(0, self._device.used() - self._residency.device_bytes)

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

    def doing(self) -> set[_Kind]:
        """The phases at work, by name and options: what memory ran out in, if it did."""
        if self._now is None:
            return {("loading", ())}
        return {_kind(work.phase) for work in self._works}

    def fail(self, why: str) -> Iterator[Failed]:
        """Give up the shots at work, and those of the same run that would need as much."""
        error = CapacityError(why)
        if self._now is None:
            raise error
        doomed = self.doing()
        lost = [one for one in self._now.phases if _kind(one) in doomed]
        if not lost:
            raise error
        for phase in lost:
            if phase.shot.id not in self._job.failed:
                yield self._failed(phase, error)

    def _failed(self, phase: Phase, error: Exception) -> Failed:
        self._job.failed.add(phase.shot.id)
        return Failed(phase.shot.id, phase.name, in_a_line(error), error)

    def learn(self, error: torch.OutOfMemoryError) -> str:
        """Put what was measured into the estimate, and say in a clause what happened."""
        held = self._device.peak()
        if self._now is None:
            self._engine._budget = reduced(self._engine._budget, int(held / MARGIN))
            return f"memory ran out while loading, with {held / 2**30:.1f} GiB in use"
        phases = [work.phase for work in self._works] or self._now.phases
        expected = self._engine.demand(phases[0]).workspace
        workspace = int(MARGIN * max(held - self._residency.device_bytes, expected))
        for phase in phases:
            self._engine.estimator.raise_workspace(phase, workspace)
        first = next(iter(str(error).splitlines()), "")
        return f"{self._now.name} ran out of memory at {held / 2**30:.1f} GiB ({first[:120]})"

    def _wait(self, run: Run) -> Iterator[Event]:
        for needed in run.phases[0].components:
            residency = self._engine._where(needed)
            for component, seconds in residency.wait([needed]):
                # Of what is streamed, only a part was read.
                if not residency.resident[component].streamed:
                    self._engine.estimator.note_load(component, seconds)
                yield Loaded(component.name, component.nbytes, seconds)

    def _run(self, run: Run) -> Iterator[Event]:
        needed = self._job.needed()
        due = []
        for phase in run.phases:
            if id(phase) in needed:
                due.append(phase)
            elif self._store.artifact(phase) is not None:
                yield _hit(phase)
        size = max(run.lockstep, 1)
        for first in range(0, len(due), size):
            yield from self._make(run, due[first : first + size])

    def _make(self, run: Run, phases: Sequence[Phase]) -> Iterator[Event]:
        """Make what of these is not there and nobody else is making. A failure ends its own shot alone."""
        with contextlib.ExitStack() as claims:
            works = []
            for phase in phases:
                work = self._claimed(phase, claims)
                if isinstance(work, Work):
                    works.append(work)
                elif work is not None:
                    yield work
            if not works:
                return
            self._works = works
            try:
                yield from self._run_together(run, works)
                self._works = ()
                return
            except (torch.OutOfMemoryError, OutputError, WeightsError):
                raise  # These concern all shots, not this one.
            except Exception as error:
                traceback.clear_frames(error.__traceback__)  # Their tensors would live as long as the error does.
                failure = error
            self._works = ()
            self._device.release()
            if self._lost_inputs(works):
                return  # They are made anew, and what reads them then.
            if len(works) == 1:
                yield self._failed(works[0].phase, failure)
        if len(works) > 1:  # One of those that went together failed: each goes by itself.
            for work in works:
                yield from self._make(run, [work.phase])

    def _lost_inputs(self, works: Works) -> bool:
        """Whether another process has given up what these read, since it needed it no more."""
        read = (given for work in works for given in (*work.phase.inputs, *work.phase.aids))
        return bool([given for given in read if self._store.lost(given)])

    def _claimed(self, phase: Phase, claims: contextlib.ExitStack) -> Work | PhaseEnded | None:
        """The work, claimed; or a hit; or None: someone else is at it, or an input is not there."""
        reads = (*phase.inputs, *phase.aids)
        inputs = {given.makes: artifact for given in reads if (artifact := self._store.artifact(given))}
        key = self._store.key(phase)
        if key is None or len(inputs) < len(reads) or phase.shot.id in self._job.failed:
            return None
        if (claim := self._store.claim(key)) is None:
            return None
        claims.callback(claim.release)
        if self._store.get(key) is not None:
            return _hit(phase)
        if not self._job.needs(phase):
            return None
        checkpoint = self._store.checkpoint(key, self._engine.environment) if phase.verb == "denoise" else None
        return Work(phase, inputs, checkpoint)

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
        facts = {
            "phase": phase.name,
            "inputs": {given.name: self._store.key(given) for given in phase.inputs},
            "seconds": round(seconds, 4),
            "peak_bytes": peak,
            "environment": self._engine.environment,
        }
        self._store.put(key, made.data, f".{phase.makes}{made.suffix}", facts, made.identity)
        if meter.alone and (computed := self._computed(phase, seconds)) is not None:
            self._engine.estimator.note(phase, computed, workspace)
        taken = max(0, peak - self._floor)
        return PhaseEnded(phase.name, phase.shot.id, seconds, peak, taken=taken)

    def _computed(self, phase: Phase, seconds: float) -> float | None:
        """What of them would pass with everything in device memory, as demands are told; None: cannot be told."""
        resident = self._residency.resident
        streamed = next((one for one in phase.components if one in resident and resident[one].streamed), None)
        if streamed is None:
            return seconds
        passes = self._engine.demand(phase).passes
        return computing(seconds, streamed, resident[streamed], passes, self._engine.capacity)


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


def _kind(phase: Phase) -> _Kind:
    """Alike in phases that take the same."""
    return phase.name, tuple(phase.shot.options.items())


def _hit(phase: Phase) -> PhaseEnded:
    return PhaseEnded(phase.name, phase.shot.id, 0.0, 0, hit=True)


def _owner(phase: Phase) -> _Name:
    """The model whose family runs the phase: the recipe names it."""
    return phase.stage, phase.recipe["model"]


def _quiet() -> None:
    """Progress is told in events; the libraries' own bars and remarks would break the terminal's picture."""
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    diffusers.utils.logging.set_verbosity_error()
    diffusers.utils.logging.disable_progress_bar()
