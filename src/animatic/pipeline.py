"""The cascade, top to bottom: a sentence becomes a caption, a still, a clip, a file.

Turns shots into phases, hands what is missing to an engine, and writes each clip as soon as its frames are there.
Knows no model and no device: which components a phase needs is the catalog's.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

from animatic import digest, media, prompts
from animatic.core import (
    Captioned,
    Component,
    Event,
    Failed,
    Forecast,
    Loaded,
    Notice,
    Phase,
    PhaseBegun,
    PhaseEnded,
    Plan,
    Planned,
    Shot,
    Stage,
    StageBegun,
    StageEnded,
    Subset,
    stage_seed,
)
from animatic.errors import OutputError, PresetError, WeightsError, in_a_line
from animatic.outputs import Outputs, Results, encoded
from animatic.parts import component
from animatic.place import Capacity, Demand
from animatic.spec import MODULATED, PHASES, Model, Models, ModelStage
from animatic.store import Artifact, Store

CODE: Mapping[str, int] = {}
"""The version of each phase's code, a part of its keys: raised from 1 when its result changes for equal inputs."""

ROUND = 256
"""Shots that go through the stages together. More would spare few loads, take memory, and show the first clip late."""


DRAWS = ("refine.generate", "image.denoise", "video.anchor")
"""Phases that draw from their stage's seed (video.denoise goes on from the anchor's state). Takes share all others."""


MILESTONES = ("refine.generate", "refine.given", "image.decode", "video.decode")
"""Phases whose artifacts the user is told or given."""

Demands = Callable[[Phase], Demand]

Until = Literal["refine", "image", "file"]
"""The last stage that is asked for."""


class Engine(Protocol):
    @property
    def capacity(self) -> Capacity: ...
    def demand(self, phase: Phase) -> Demand: ...
    def plan(self, phases: Sequence[Phase]) -> Plan: ...
    def check(self, plan: Plan) -> None: ...
    def run(self, plan: Plan, store: Store, goals: Sequence[Phase] | None = None) -> Iterator[Event]: ...


# ---------------------------------------------------------------------------------------------------- what is to be run


@dataclass(frozen=True)
class Cascade:
    """One shot's phases, by what they make. `phases`: those that an engine runs."""

    shot: Shot
    caption: Phase
    still: Phase
    frames: Phase
    clip: Phase
    phases: tuple[Phase, ...]

    def goal(self, until: Until) -> Phase:
        return {"refine": self.caption, "image": self.still, "file": self.clip}[until]


def cascades(shots: Sequence[Shot], models: Models, capacity: Capacity, demand: Demands) -> list[Cascade]:
    """The shots' phases, their transformers split where that saves memory which is short."""
    divided: dict[int, frozenset[Stage]] = {}
    for shot in shots:
        if id(shot.options) not in divided:
            divided[id(shot.options)] = split(cascade(shot, models), models, capacity, demand)
    return [cascade(shot, models, divided[id(shot.options)]) for shot in shots]


def split(one: Cascade, models: Models, capacity: Capacity, demand: Demands) -> frozenset[Stage]:
    """The stages whose transformer fits badly as long as its adaptive norms are part of it, and which fit themselves.

    Their tables then cost a little disk for every shot; where memory is not short, they save nothing.
    """
    return frozenset(
        phase.stage
        for phase in one.phases
        if phase.verb == "denoise"
        and sum(c.nbytes for c in phase.components) + demand(phase).workspace > capacity.device
        and 0 < component(models[phase.stage], MODULATED, "modulation").nbytes * 1.05 < capacity.device  # type: ignore[index]
    )


def cascade(shot: Shot, models: Models, divided: Collection[Stage] = ()) -> Cascade:
    """prompt -> refine -> image -> video. `divided`: stages whose transformer is split (see `split`)."""
    caption = refine(shot, models)
    drawing = image(shot, models, caption, "image" in divided)
    still = drawing[-1]
    filming = video(shot, models, caption, still, "video" in divided)
    frames = filming[-1]
    clip = file(shot, models, caption, still, frames)
    return Cascade(shot, caption, still, frames, clip, (caption, *drawing, *filming))


def refine(shot: Shot, models: Models) -> Phase:
    """The paragraph: written by the chat model, or given."""
    tokens = _token_limit(shot)
    tokenizer = component(models["video"], "tokenizer")
    if shot.caption is not None:
        recipe = {
            "model": models["refine"].spec.identity,
            "caption": shot.caption,
            "tokens": tokens,
            "counter": _counter(models),
        }
        return Phase("refine.given", "caption", shot, recipe, (tokenizer,))
    asked = {
        "prompt": shot.prompt,
        "tokens": tokens,
        "counter": _counter(models),
        "system_prompt": prompts.system_prompt(shot.option("refine.system_prompt"), shot.option("refine.words")),
    }
    sampling = ("words", "max_new_tokens", "temperature", "top_p", "device")
    made = _phase("refine.generate", "caption", shot, models, (), sampling, asked)
    own = made.components if shot.option("refine.device") == "same" else tuple(map(_on_the_cpu, made.components))
    return replace(made, components=(*own, tokenizer))


def _counter(models: Models) -> list[str]:
    """What counts a caption's tokens: the video model's tokenizer."""
    return [models["video"].spec.identity, models["video"].settings.get("tokenizer", "")]


def _on_the_cpu(one: Component) -> Component:
    return replace(one, nbytes=0, host=one.nbytes, blocks=())


def image(shot: Shot, models: Models, caption: Phase, divided: bool = False) -> tuple[Phase, ...]:
    """The still: drawn from the paragraph, or given."""
    if shot.still is not None:
        return (Phase("image.given", "still", shot, {"sha256": shot.content}),)
    size = ("width", "height")
    sampling = (*size, "num_inference_steps", "guidance_scale")
    encode = _phase("image.encode", "embeddings", shot, models, (caption,), ("max_sequence_length",))
    denoise = _phase("image.denoise", "latents", shot, models, (encode,), sampling)
    decode = _phase("image.decode", "still", shot, models, (denoise,), size)
    if not divided:
        return encode, denoise, decode
    modulate = _phase("image.modulate", "tables", shot, models, (encode,), sampling)
    denoise = _divided(denoise, modulate, models)
    return encode, modulate, denoise, replace(decode, inputs=(denoise,))


def video(shot: Shot, models: Models, caption: Phase, still: Phase, divided: bool = False) -> tuple[Phase, ...]:
    """The clip's frames: from the still *and* the paragraph."""
    size = ("width", "height")
    text = ("negative_prompt", "max_sequence_length")
    guided = {"guided": shot.option("video.guidance_scale") > 1}  # With guidance, the negative prompt is encoded too.
    schedule = ("num_inference_steps", "scheduler", "timestep_spacing", "guidance_scale")
    encode = _borrowing(_phase("video.encode", "embeddings", shot, models, (caption,), text, guided), models)
    anchor = _phase("video.anchor", "anchor", shot, models, (still,), (*size, "fit"))
    denoise = _phase("video.denoise", "latents", shot, models, (encode, anchor),
                     (*size, *schedule, "num_frames", "use_dynamic_cfg"))  # fmt: skip
    decode = _phase("video.decode", "frames", shot, models, (denoise,), ("vae_tiling",))
    if not divided:
        return encode, anchor, denoise, decode
    modulate = _phase("video.modulate", "tables", shot, models, (), schedule)
    denoise = _divided(denoise, modulate, models)
    return encode, anchor, modulate, denoise, replace(decode, inputs=(denoise,))


def file(shot: Shot, models: Models, caption: Phase, still: Phase, frames: Phase) -> Phase:
    """The film. Its provenance is a part of it, and so of its key."""
    recipe = {
        "code": CODE.get("file.write", 1),
        "prompt": shot.prompt,
        "seed": shot.seed,
        "preset": shot.preset,
        "options": dict(shot.options),
        "models": facts(models),
        "given": [shot.caption is not None, shot.still is not None],
    }
    return Phase("file.write", "clip", shot, recipe, (), (caption, still, frames))


def signature(shot: Shot, models: Models) -> str:
    """Names all that a shot's clip follows from: shots of one signature get the same clip, whatever lies between."""
    named = {
        stage: (m.spec.identity, m.spec.dtype, m.spec.share, dict(m.digests), dict(m.settings), m.environment)
        for stage, m in models.items()
    }
    asked = json.dumps([shot.asked, named, dict(CODE)], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(asked.encode()).hexdigest()


def _borrowing(encode: Phase, models: Models) -> Phase:
    """The same, with the image model's text encoder, where the preset takes both to be equivalent: that is opted for,
    since the embeddings differ a little. It stands in the recipe, and so in the key.
    """
    image, video = models["image"], models["video"]
    if video.spec.share != "equivalent" or (image.folder is None and video.folder is not None):
        return encode
    borrowed = replace(component(image, "text_encoder_2"), role="video.text_encoder")
    own = component(video, "text_encoder")
    if borrowed.nbytes != own.nbytes:
        sizes = f"{borrowed.nbytes:,} and {own.nbytes:,} bytes"
        raise PresetError(f'share = "equivalent": {image.spec.repo} and {video.spec.repo} have encoders of {sizes}')
    lender = {"model": image.spec.identity, "digest": image.digests.get("text_encoder_2", "")}
    parts = tuple(borrowed if one.part == "text_encoder" else one for one in encode.components)
    return replace(encode, components=parts, recipe={**encode.recipe, "text_encoder": lender})


def _divided(denoise: Phase, modulate: Phase, models: Models) -> Phase:
    """The same denoising, with the adaptive norms' part of it done beforehand."""
    model = models[denoise.stage]  # type: ignore[index]
    lean = tuple(component(model, c.part, "rest") if c.part == MODULATED else c for c in denoise.components)
    return replace(denoise, components=lean, aids=(modulate,))


def _phase(
    name: str,
    makes: str,
    shot: Shot,
    models: Models,
    inputs: tuple[Phase, ...],
    options: tuple[str, ...],
    more: Mapping[str, Any] | None = None,
) -> Phase:
    stage, _, verb = name.partition(".")
    model = models[stage]  # type: ignore[index]
    parts = PHASES[model.spec.family]["denoise" if verb == "modulate" else verb]
    recipe = {
        "model": model.spec.identity,
        "digests": {part: model.digests[part] for part in parts if part in model.digests},
        "settings": {part: model.settings[part] for part in parts if part in model.settings},
        "dtype": model.spec.dtype,
        "code": CODE.get(name, 1),
        **({"environment": model.environment} if model.environment else {}),
        **({"seed": stage_seed(shot.seed, stage, _candidate(shot, stage))} if name in DRAWS else {}),  # type: ignore[arg-type]
        "options": {option: shot.option(f"{stage}.{option}") for option in options},
        **(more or {}),
    }
    subset: Subset = "modulation" if verb == "modulate" else "whole"
    own = tuple(component(model, part, subset if part == MODULATED else "whole") for part in parts)
    return Phase(name, makes, shot, recipe, own, inputs)


def _candidate(shot: Shot, stage: str) -> int:
    return int(shot.option("image.candidate")) if stage == "image" else 1


def _token_limit(shot: Shot) -> int:
    """Both text encoders read the same caption: the shorter limit holds, and the video model's tokenizer counts."""
    limits = [shot.option("video.max_sequence_length"), shot.option("image.max_sequence_length")]
    return int(limits[0] if shot.still is not None else min(limits))


# ----------------------------------------------------------------------------------------------------------- running it


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
        while needed := self._needed():
            if due := self._due(needed):
                yield from self._carry_out(due)
                yield from self._deliver()
            else:
                self._wait(needed)
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
        plan = self._engine.plan(due)
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
                self._waiting.pop(id(one), None)

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
            film = self._store.get(key) or self._film(key, one, results)
            self._store.drop(one.frames)  # Bulky, and quickly made again.
            # They may be there: of another process, or of one that was killed before it noted them.
            there = self._outputs.find(one.shot, results.signature)
            clip = there or self._outputs.write(results, film, self._ledger.of(one, film))
        seconds = time.perf_counter() - begun
        yield PhaseEnded("file.write", one.shot.id, seconds, 0)
        yield StageEnded("file", seconds)
        yield clip

    def _results(self, one: Cascade) -> Results:
        caption, still = self._store.artifact(one.caption), self._store.artifact(one.still)
        assert caption and still
        keys = {phase.name: key for phase in (*one.phases, one.clip) if (key := self._store.key(phase))}
        named = signature(one.shot, self._models)
        return Results(one.shot, json.loads(caption.read()), still.read(), facts(self._models), keys, named)

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
        store.put(key, media.png_bytes(media.read_image(one.shot.still)), ".still.png", {"phase": one.still.name})


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


def facts(models: Models) -> dict[ModelStage, dict[str, Any]]:
    """What a record says of each stage's model."""
    found = {stage: _facts(model) for stage, model in models.items()}
    if models["video"].spec.share == "equivalent":
        found["video"]["text_encoder"] = f"that of {models['image'].spec.repo}, taken to be equivalent"
    return found


def _facts(model: Model) -> dict[str, Any]:
    facts: dict[str, Any] = {"repo": model.spec.repo, "licence": model.spec.licence, "dtype": model.spec.dtype}
    if not model.spec.is_local and model.folder is not None:
        # A cached snapshot lies in a folder named by its commit, also where the preset asked for a branch.
        commit = re.fullmatch("[0-9a-f]{40}", model.folder.name)
        facts["revision"] = commit[0] if commit else model.spec.revision
    if model.digests:
        facts["sha256"] = dict(model.digests)
    return facts


def known(model: Model, read: bool = True) -> Model:
    """The same, with the digests of all its files, weights and small ones.

    read  whether weights may be read for it; without it, they are told only if all are known already
    """
    if model.folder is None:
        return model
    folders = {part: model.folder / model.spec.folder_of(part) for part in model.spec.components}
    try:
        digests = {part: digest.digest(folders[part], read) for part in model.spec.weights}
    except WeightsError:
        if read:
            raise
        return model
    whole = {part: sha for part, sha in digests.items() if sha is not None}
    if len(whole) < len(digests):
        return model
    return replace(model, digests=whole, settings={part: digest.settings(where) for part, where in folders.items()})
