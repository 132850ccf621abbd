"""What each phase will take: seconds, work space and passes, from closed forms and from what was measured here.

Pure but for the history it is handed: no clock, no device. Seconds of a shape that was measured are the measured ones;
of other shapes of the same phase, scaled; of what was never run, the closed form over the machine's rates.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from animatic import catalog
from animatic.core import Component, Phase
from animatic.cost import Cost, cost
from animatic.errors import WeightsError
from animatic.history import History, Sample
from animatic.place import Demand
from animatic.spec import DTYPES, Models

FILE_SECONDS = 0.05
"""Phases without a model (a given caption or still): they read a file."""

EFFICIENCY: Mapping[str, float] = {"decode": 0.15, "anchor": 0.15}
"""The share of a device's rate that a phase reaches, by verb, until it was measured: convolutions stay far below."""

TRANSFORMER_EFFICIENCY = 0.45
"""Of transformers, an assumption: CogVideo's README gives 90 s on an H100, which is 0.37 of its rate; FLUX.1, with less
attention in it, should reach more."""


@dataclass(frozen=True)
class Rates:
    """What a device can do at most: FLOP/s in the models' dtype, and bytes/s of its own memory."""

    flops: float
    memory: float


class Estimator:
    """Demands of phases on one device. `device` names it in the history."""

    def __init__(self, models: Models, rates: Rates, history: History, device: str, cpu: Rates | None = None) -> None:
        self._models = models
        self._rates = rates
        self._cpu = cpu or rates
        self._history = history
        self._device = device
        self._known: dict[tuple[Any, ...], Demand] = {}
        self._configs: dict[str, Mapping[str, Mapping[str, Any]]] = {}
        self._raised: dict[tuple[Any, ...], int] = {}
        self._ratio: float | None = None

    def demand(self, phase: Phase) -> Demand:
        """Of one phase of one shot. Phases of shots with the same options are asked for once."""
        key = self._key(phase)
        if key not in self._known:
            self._known[key] = self._demand(phase, self._raised.get(key, 0))
        return self._known[key]

    def load_seconds(self, component: Component) -> float | None:
        """What loading it took here; None when it never was loaded."""
        return self._history.load_seconds(self._device, component_name(component))

    @property
    def measured(self) -> bool:
        """Whether anything was measured on this device."""
        return bool(self._history.of_device(self._device))

    def cost(self, phase: Phase) -> Cost:
        """In closed form; zero for phases that run no model."""
        model = self._models[phase.stage]  # type: ignore[index]
        if not phase.components or phase.verb == "given":
            return Cost(0.0, 0, 1, 0, 0.0)
        if phase.stage not in self._configs:
            self._configs[phase.stage] = catalog.configs(model.spec)
        try:
            return cost(model.spec.family, phase.verb, self._configs[phase.stage], phase.shot.options,
                        DTYPES[model.spec.dtype])  # fmt: skip
        except (WeightsError, KeyError):
            # A configuration that is not here, or a stranger's family: what the preset declares must do.
            return Cost(0.0, model.spec.activations.get(phase.verb, 0), 1, 0, 0.0)

    def raise_workspace(self, phase: Phase, nbytes: int) -> None:
        """From now on this phase is known to need at least `nbytes` beside its components."""
        key = self._key(phase)
        self._raised[key] = max(nbytes, self._raised.get(key, 0))
        self._known.pop(key, None)

    def note(self, phase: Phase, seconds: float, workspace: int | None) -> None:
        """A phase took so much: for the plans to come. `workspace` None: it could not be told."""
        known = self.cost(phase)
        if known.flops and not any(component.host for component in phase.components):
            sample = Sample(known.flops, known.passes, seconds, known.workspace if workspace is None else workspace)
            self._history.note_run(self._device, phase.recipe["model"], phase.name, sample)
            self._known.clear()

    def note_load(self, component: Component, seconds: float) -> None:
        self._history.note_load(self._device, component_name(component), component.disk, seconds)

    def _key(self, phase: Phase) -> tuple[Any, ...]:
        return phase.name, tuple(phase.shot.options.items()), any(component.host for component in phase.components)

    def _demand(self, phase: Phase, least: int) -> Demand:
        known = self.cost(phase)
        if not known.flops:
            return Demand(FILE_SECONDS, known.workspace)
        samples = self._history.runs(self._device, phase.recipe["model"], phase.name)
        if any(component.host for component in phase.components):
            return Demand(self._computed(phase.verb, known, self._cpu), 0)
        same = [sample for sample in samples if sample.shape == (known.flops, known.passes)]
        seconds = statistics.median(s.seconds for s in same) if same else self._scaled(phase.verb, known, samples)
        workspace = int(statistics.median(s.workspace for s in same)) if same else known.workspace
        return Demand(seconds, max(workspace, least), known.passes, known.held)

    def _scaled(self, verb: str, known: Cost, samples: Sequence[Sample]) -> float:
        """Seconds of a shape that was not measured: from the shapes that were, else from the rates."""
        if samples:
            return known.passes * _per_pass(known.flops / known.passes, samples)
        return self._computed(verb, known, self._rates) * self._slowness()

    def _computed(self, verb: str, known: Cost, rates: Rates) -> float:
        """Seconds by rates alone: arithmetic or memory, whichever takes longer."""
        arithmetic = known.flops / (rates.flops * EFFICIENCY.get(verb, TRANSFORMER_EFFICIENCY))
        return max(arithmetic, known.traffic / rates.memory)

    def _slowness(self) -> float:
        """How much longer than by its rates this device took, over all that was measured on it."""
        if self._ratio is None:
            ratios = [
                sample.seconds * self._rates.flops * EFFICIENCY.get(phase.partition(".")[2], TRANSFORMER_EFFICIENCY)
                / sample.flops
                for phase, samples in self._history.of_device(self._device).items()
                for sample in samples
                if sample.flops
            ]  # fmt: skip
            self._ratio = statistics.median(ratios) if ratios else 1.0
        return self._ratio


def component_name(component: Component) -> str:
    """A component in the history: its model and part, and which of the part's tensors, since they take other times."""
    return f"{component.model}/{component.part}/{component.subset}"


def _per_pass(flops: float, samples: Sequence[Sample]) -> float:
    """Seconds a pass at `flops` a pass: between the two nearest measured shapes linearly, beyond them in proportion."""
    points: dict[float, list[float]] = {}
    for sample in samples:
        points.setdefault(sample.flops / sample.passes, []).append(sample.seconds / sample.passes)
    known = sorted((at, statistics.median(seconds)) for at, seconds in points.items())
    below = [point for point in known if point[0] <= flops]
    above = [point for point in known if point[0] > flops]
    if below and above:
        (x0, y0), (x1, y1) = below[-1], above[0]
        return y0 + (y1 - y0) * (flops - x0) / (x1 - x0)
    x, y = below[-1] if below else above[0]
    return y * flops / x
