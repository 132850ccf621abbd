"""Plans and runs phases on this machine, and yields what happens. Only keys and artifacts go in and out."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers

from animatic import machine
from animatic.core import (
    Action,
    Component,
    Event,
    Evict,
    Evicted,
    Load,
    Loaded,
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
from animatic.models import family
from animatic.models.base import Family, Made, Work
from animatic.plan import plan
from animatic.residency import Residency
from animatic.spec import ModelSpec
from animatic.store import Store


@dataclass(frozen=True)
class Installed:
    """A model and the folder it lies in."""

    spec: ModelSpec
    folder: Path


_Name = tuple[Stage, str]
"""A model by its stage and identity."""


class LocalEngine:
    """Runs the phases of these models on one device: the GPU that torch sees, else the CPU."""

    def __init__(self, models: Iterable[Installed], device: str | None = None) -> None:
        _quiet()
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        here: dict[_Name, Installed] = {(model.spec.stage, model.spec.identity): model for model in models}
        self._folders = {name: model.folder for name, model in here.items()}
        self._families = {name: family(m.spec.family)(m.spec, self.device) for name, m in here.items()}
        self._residency = Residency(self.device, self._bring)

    def plan(self, phases: Sequence[Phase]) -> Plan:
        return plan(phases, self._residency.resident)

    def check(self, plan: Plan) -> None:
        """See that every component the plan loads is whole and of the right shape, reading headers only."""
        for component in dict.fromkeys(a.component for a in plan.actions if isinstance(a, Load)):
            self._family(component).check(component.part, self._folder(component))

    def run(self, plan: Plan, store: Store) -> Iterator[Event]:
        """Carry the plan out. Whatever happens, nothing is resident afterwards."""
        stages = _StageClock(plan)
        # What is alive now stays so: each eviction's collection need look only at what the run itself made.
        gc.collect()
        gc.freeze()
        try:
            for kind, actions in groupby(enumerate(plan.actions), key=lambda numbered: type(numbered[1])):
                if kind is Evict:
                    components = [action.component for _, action in actions if isinstance(action, Evict)]
                    self._residency.evict(components)
                    yield from (Evicted(component.name) for component in components)
                    continue
                for number, action in actions:
                    if isinstance(action, Load):
                        yield from stages.begin(_next_stage(plan.actions[number:]))
                        yield self._load(action.component)
                    elif isinstance(action, Run):
                        yield from stages.begin(action.phases[0].stage)
                        yield from self._run(action, store)
                        yield from stages.end(action)
        finally:
            gc.unfreeze()
            self._residency.evict(list(self._residency.resident))

    def _load(self, component: Component) -> Loaded:
        begun = time.perf_counter()
        self._residency.load(component)
        return Loaded(component.name, component.nbytes, time.perf_counter() - begun)

    def _run(self, run: Run, store: Store) -> Iterator[Event]:
        works = _missing(run, store)
        for phase in run.phases:
            if all(phase is not work.phase for work in works):
                yield PhaseEnded(phase.name, phase.shot.id, 0.0, 0, hit=True)
        if not works:
            return
        parts = self._residency.parts(run.phases[0].components)
        method = getattr(self._families[_owner(run.phases[0])], run.phases[0].verb)
        meter = _Meter(self.device)
        yield PhaseBegun(run.name, works[0].phase.shot.id)
        for done, result in _numbered(method(parts, works)):
            if isinstance(result, Step):
                yield result
                continue
            yield self._finish(result, store, meter)
            if done < len(works):
                meter = _Meter(self.device)
                yield PhaseBegun(run.name, works[done].phase.shot.id)

    def _finish(self, made: Made, store: Store, meter: _Meter) -> PhaseEnded:
        phase = made.work.phase
        seconds, peak = meter.read()
        key = store.key(phase)
        assert key is not None, f"{phase.name} ran before its inputs were there"
        facts = {"phase": phase.name, "seconds": seconds, "peak": peak, "device": str(self.device)}
        store.put(key, made.data, made.suffix, facts, made.identity)
        return PhaseEnded(phase.name, phase.shot.id, seconds, peak)

    def _bring(self, component: Component) -> Any:
        return self._family(component).load(component.part, self._folder(component))

    def _family(self, component: Component) -> Family:
        return self._families[component.stage, component.model]

    def _folder(self, component: Component) -> Path:
        return self._folders[component.stage, component.model]


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
    """Seconds and peak memory from its making to its reading: of the GPU's allocator, else of this process."""

    def __init__(self, device: torch.device) -> None:
        self._cuda = device if device.type == "cuda" else None
        if self._cuda:
            torch.cuda.reset_peak_memory_stats(self._cuda)
        else:
            machine.reset_peak()
        self._begun = time.perf_counter()

    def read(self) -> tuple[float, int]:
        if self._cuda:
            torch.cuda.synchronize(self._cuda)
        seconds = time.perf_counter() - self._begun
        return seconds, torch.cuda.max_memory_allocated(self._cuda) if self._cuda else machine.peak_bytes()


def _missing(run: Run, store: Store) -> list[Work]:
    """The run's phases whose artifacts are not there yet; shots that share an artifact make it once."""
    works: dict[str, Work] = {}
    for phase in run.phases:
        key = store.key(phase)
        assert key is not None, f"{phase.name} was planned before its inputs"
        if key not in works and store.get(key) is None:
            inputs = {given.makes: artifact for given in phase.inputs if (artifact := store.artifact(given))}
            works[key] = Work(phase, inputs)
    return list(works.values())


def _owner(phase: Phase) -> _Name:
    """The model whose family runs the phase: the recipe names it."""
    return phase.stage, phase.recipe["model"]


def _next_stage(actions: Sequence[Action]) -> Stage:
    """The stage of the next phase: what a load is for."""
    return next(action.phases[0].stage for action in actions if isinstance(action, Run))


def _numbered(results: Iterator[Step | Made]) -> Iterator[tuple[int, Step | Made]]:
    """Each result with how many works are done once it is."""
    done = 0
    for result in results:
        done += isinstance(result, Made)
        yield done, result


def _quiet() -> None:
    """Progress is told in events; the libraries' own bars and remarks would break the terminal's picture."""
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    diffusers.utils.logging.set_verbosity_error()
    diffusers.utils.logging.disable_progress_bar()
