"""Shots on their way: what is missing is handed to an engine, and each clip is written as soon as its frames are there.

Knows no model and no device, and not why which shot is made.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from animatic import bitmap
from animatic.core import Forecast, Phase, Plan, Shot
from animatic.errors import CapacityError, OutputError, in_a_line
from animatic.events import (
    Captioned,
    Event,
    Failed,
    Loaded,
    Notice,
    PhaseBegun,
    PhaseEnded,
    Planned,
    StageBegun,
    StageEnded,
)
from animatic.outputs import Outputs, Results, encoded
from animatic.pipeline import Cascade, Until, cascades, facts, signature
from animatic.place import Capacity, Demand
from animatic.spec import Models
from animatic.store import Artifact, Store

ROUND = 256
"""Shots that go through the stages together. More would spare few loads, take memory, and show the first clip late."""

MILESTONES = ("refine.generate", "refine.given", "image.decode", "video.decode")
"""Phases whose artifacts the user is told or given."""


class Engine(Protocol):
    @property
    def capacity(self) -> Capacity: ...
    def demand(self, phase: Phase) -> Demand: ...
    def plan(self, phases: Sequence[Phase]) -> Plan: ...
    def check(self, plan: Plan) -> None: ...
    def run(self, plan: Plan, store: Store, goals: Sequence[Phase] | None = None) -> Iterator[Event]: ...


def run(
    shots: Sequence[Shot], models: Models, engine: Engine, store: Store, outputs: Outputs, until: Until = "file"
) -> Iterator[Event]:
    """prompt -> refine -> image -> video -> file, for many shots. Yields what happens; clips come as `Clip`.

    until  the last stage: "refine", "image" or "file"

    A shot that fails is told (`Failed`), and the others go on.
    """
    for first in range(0, len(shots), ROUND):
        yield from _Making(shots[first : first + ROUND], models, engine, store, outputs, until).run()
        store.forget()


class _Making:
    """Shots on their way through the stages together."""

    def __init__(
        self,
        shots: Sequence[Shot],
        models: Models,
        engine: Engine,
        store: Store,
        outputs: Outputs,
        until: Until,
    ) -> None:
        self._engine = engine
        self._store = store
        self._outputs = outputs
        self._models = models
        self._until = until
        self._every = cascades(shots, models, engine.capacity, engine.demand)
        self._waiting = {id(one): one for one in self._every}
        self._told: set[str] = set()
        self._ledger = _Ledger(store)

    def run(self) -> Iterator[Event]:
        for one in self._every:
            yield from self._or_failed(one, one.still.name, self._give)
        yield from self._deliver()
        while self._waiting:
            needed = self._needed()
            if due := self._due(needed):
                yield from self._carry_out(due)
            elif needed:
                self._wait(needed)
            yield from self._deliver()  # Also what another process has made.
        yield from map(Notice, self._store.remarks())

    def _needed(self) -> list[Phase]:
        """What an engine has to run so that all get what they wait for."""
        goals = [one.goal(self._until) for one in self._waiting.values()]
        return [phase for phase in self._store.missing(goals) if phase.name != "file.write"]

    def _due(self, needed: Sequence[Phase]) -> list[Phase]:
        """Of these, without the shots that go on only when another process has made something."""
        busy = {phase.shot.id for phase in needed if (key := self._store.key(phase)) and self._elsewhere(key)}
        return [phase for phase in needed if phase.shot.id not in busy]

    def _elsewhere(self, key: str) -> bool:
        if (claim := self._store.claim(key)) is None:
            return True
        claim.release()
        return False

    def _wait(self, needed: Sequence[Phase]) -> None:
        """Until another process is done with one of these, or a second has passed."""
        for phase in needed:
            if (key := self._store.key(phase)) and self._elsewhere(key):
                if (claim := self._store.claim(key, wait=1.0)) is not None:
                    claim.release()
                return

    def _carry_out(self, due: Sequence[Phase]) -> Iterator[Event]:
        try:
            plan = self._engine.plan(due)
        except CapacityError as error:
            yield from self._refused(due, error)
            return
        self._engine.check(plan)
        goals = [one.goal(self._until) for one in self._waiting.values()]
        yield self._planned(plan)
        self._ledger.begin(plan)
        for event in self._engine.run(plan, self._store, goals):
            self._ledger.note(event)
            yield event
            if isinstance(event, Failed):
                for one in [one for one in self._waiting.values() if one.shot.id == event.shot]:
                    del self._waiting[id(one)]
            elif isinstance(event, PhaseEnded) and event.phase in MILESTONES:
                yield from self._deliver(event.shot)
        self._drop_tables(plan)

    def _refused(self, due: Sequence[Phase], together: CapacityError) -> Iterator[Event]:
        """Give up the shots that fit no plan any more, after what was learnt: the others go on."""
        kinds: dict[int, list[Phase]] = {}
        for phase in due:
            kinds.setdefault(id(phase.shot.options), []).append(phase)
        refusals: dict[str, CapacityError] = {}
        for phases in kinds.values():
            try:
                self._engine.plan(phases)
            except CapacityError as error:
                refusals |= {phase.shot.id: error for phase in phases}
        if not refusals:
            raise together
        for one in [one for one in self._waiting.values() if one.shot.id in refusals]:
            del self._waiting[id(one)]
            why = refusals[one.shot.id]
            yield Failed(one.shot.id, one.frames.name, in_a_line(why), why)

    def _planned(self, plan: Plan) -> Planned:
        names = [run.name for run in plan.runs]
        first = self._every[0].shot
        denoising = [stage for stage in ("image", "video") if f"{stage}.denoise" in names]
        steps = {f"{stage}.denoise": int(first.option(f"{stage}.num_inference_steps")) for stage in denoising}
        last = ("file.write",) if self._until == "file" else ()
        return Planned((*names, *last), len(self._waiting), steps, plan)

    def _deliver(self, shot: str | None = None) -> Iterator[Event]:
        """Tell the captions that are there, and write the clips whose frames are: of one shot, or of all."""
        yield from map(Notice, self._store.remarks())
        for one in [one for one in self._waiting.values() if shot in (None, one.shot.id)]:
            yield from self._captioned(one)
            if self._until != "file":
                if self._store.artifact(one.goal(self._until)):
                    del self._waiting[id(one)]
            elif self._store.artifact(one.clip) or self._store.artifact(one.frames):
                yield from self._or_failed(one, one.clip.name, self._write)

    def _or_failed(self, one: Cascade, phase: str, do: Callable[[Cascade], Iterator[Event]]) -> Iterator[Event]:
        """Do something for one shot; what goes wrong with it is this shot's failure alone, but for a full disk."""
        try:
            yield from do(one)
        except OutputError:
            raise
        except Exception as error:
            del self._waiting[id(one)]
            yield Failed(one.shot.id, phase, in_a_line(error), error)

    def _give(self, one: Cascade) -> Iterator[Event]:
        give(one, self._store)
        yield from ()

    def _captioned(self, one: Cascade) -> Iterator[Event]:
        if one.shot.id in self._told or not (made := self._store.artifact(one.caption)):
            return
        self._told.add(one.shot.id)
        caption = json.loads(made.read())
        yield Captioned(one.shot.id, caption["text"])
        if caption["source"] == "fallback":
            yield Notice(f"the chat model gave no usable paragraph ({caption['reason']}): your own words are used")
        elif caption["source"] == "user" and caption["repairs"]:
            yield Notice(f"your caption was cut to the {caption['tokens']} tokens the models can read")

    def _write(self, one: Cascade) -> Iterator[Event]:
        """The file stage: the film as an artifact, then everything of one clip, at once."""
        yield StageBegun("file", 1)
        yield PhaseBegun("file.write", one.shot.id)
        begun = time.perf_counter()
        results = self._results(one)
        key = self._store.key(one.clip)
        assert key is not None
        with self._store.claims.held(key):
            try:
                film = self._store.get(key) or self._film(key, one, results)
            except FileNotFoundError:
                if not self._store.lost(one.frames):
                    raise
                return  # Another process needed them no more: they are made anew.
            self._store.drop(one.frames)  # Bulky, and quickly made again.
            # They may be there: of another process, or of one that was killed before it noted them.
            there = self._outputs.find(one.shot, results.signature)
            clip = there or self._outputs.write(results, film, self._ledger.of(one, film))
        seconds = time.perf_counter() - begun
        yield PhaseEnded("file.write", one.shot.id, seconds, 0)
        yield StageEnded("file", seconds)
        del self._waiting[id(one)]
        yield clip

    def _results(self, one: Cascade) -> Results:
        caption, still = self._store.artifact(one.caption), self._store.artifact(one.still)
        assert caption and still
        keys = {phase.name: key for phase in (*one.phases, one.clip) if (key := self._store.key(phase))}
        named = signature(one.shot, self._models)
        return Results(one.shot, json.loads(caption.read()), still.read(), facts(one.shot, self._models), keys, named)

    def _film(self, key: str, one: Cascade, results: Results) -> Artifact:
        begun = time.perf_counter()
        frames = self._store.artifact(one.frames)
        assert frames is not None
        data, measures = encoded(results, frames.path)
        record = {
            "phase": "file.write",
            "inputs": {given.name: self._store.key(given) for given in one.clip.inputs},
            "seconds": round(time.perf_counter() - begun, 4),
            "measures": measures,
            "phases": self._ledger.phases(one),
        }
        return self._store.put(key, data, ".clip.mp4", record)

    def _drop_tables(self, plan: Plan) -> None:
        """Give up the tables of what is denoised: they are bulky, and quickly made again."""
        aided = [(aid, phase) for run in plan.runs for phase in run.phases for aid in phase.aids]
        wanted = {self._store.key(aid) for aid, phase in aided if self._store.artifact(phase) is None}
        for aid, _ in aided:
            if self._store.key(aid) not in wanted:
                self._store.drop(aid)


def give(one: Cascade, store: Store) -> None:
    """Put a still by the user's hand into the store: read in full and encoded anew."""
    if one.shot.still is not None and store.artifact(one.still) is None:
        key = store.key(one.still)
        assert key is not None
        store.put(key, bitmap.png_bytes(bitmap.read_image(one.shot.still)), ".still.png", {"phase": one.still.name})


class _Ledger:
    """What making shots was foretold to take, and what it took: the facts for a clip's record."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._forecast = Forecast()
        self._begun = time.perf_counter()
        self._peak = 0
        self._loads: dict[str, float] = {}

    def begin(self, plan: Plan) -> None:
        self._forecast = plan.forecast
        self._begun = time.perf_counter()

    def note(self, event: Event) -> None:
        if isinstance(event, PhaseEnded):
            self._peak = max(self._peak, event.taken)
        elif isinstance(event, Loaded):
            self._loads[event.component] = self._loads.get(event.component, 0.0) + event.seconds

    def phases(self, one: Cascade) -> dict[str, Any]:
        """What each phase took when its artifact was made, by whomever."""
        return {
            phase.name: {"seconds": round(made.record["seconds"], 3), "peak_bytes": made.record["peak_bytes"]}
            for phase in one.phases
            if (made := self._store.artifact(phase)) and "peak_bytes" in made.record
        }

    def of(self, one: Cascade, film: Artifact) -> dict[str, Any]:
        """What a clip took: its phases as its film knows them, and the loads of this run."""
        needed = {component.name for phase in one.phases for component in phase.components}
        loads = {name: round(seconds, 3) for name, seconds in self._loads.items() if name in needed}
        return {"phases": film.record.get("phases", {}), "loads": loads, "plan": self._plan()}

    def _plan(self) -> dict[str, Any]:
        """What was foretold of the whole run, all shots together, and what it has taken so far."""
        return {
            "predicted_seconds": round(self._forecast.seconds, 3),
            "measured_seconds": round(time.perf_counter() - self._begun, 3),
            "predicted_peak_bytes": self._forecast.peak_device,
            "measured_peak_bytes": self._peak,
        }
