"""The cascade, top to bottom: a sentence becomes a caption, a still, a clip, a file.

Turns shots into phases, hands what is missing to an engine, and writes each clip as soon as its frames are there.
Knows no model and no device: which components a phase needs is the catalog's.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from animatic import digest, media, prompts
from animatic.core import (
    Captioned,
    Component,
    Event,
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
from animatic.errors import PresetError
from animatic.outputs import Outputs, Results
from animatic.parts import component
from animatic.place import Capacity, Demand
from animatic.spec import MODULATED, PHASES, Model, Models, ModelSpec
from animatic.store import Store

CODE = 1
"""The version of the phases' code, a part of every key: raised when a phase's result changes for equal inputs."""


DRAWS = ("refine.generate", "image.denoise", "video.anchor")
"""Phases that draw from their stage's seed (video.denoise goes on from the anchor's state). Takes share all others."""


Demands = Callable[[Phase], Demand]


class Engine(Protocol):
    @property
    def capacity(self) -> Capacity: ...
    def demand(self, phase: Phase) -> Demand: ...
    def plan(self, phases: Sequence[Phase]) -> Plan: ...
    def check(self, plan: Plan) -> None: ...
    def run(self, plan: Plan, store: Store) -> Iterator[Event]: ...


# ---------------------------------------------------------------------------------------------------- what is to be run


@dataclass(frozen=True)
class Cascade:
    """One shot's phases, by what they make."""

    shot: Shot
    caption: Phase
    still: Phase
    frames: Phase
    phases: tuple[Phase, ...]


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
    return Cascade(shot, caption, still, filming[-1], (caption, *drawing, *filming))


def refine(shot: Shot, models: Models) -> Phase:
    """The paragraph: written by the chat model, or given."""
    tokens = _token_limit(shot)
    tokenizer = component(models["video"], "tokenizer")
    if shot.caption is not None:
        recipe = {"model": models["refine"].spec.identity, "caption": shot.caption, "tokens": tokens}
        return Phase("refine.given", "caption", shot, recipe, (tokenizer,))
    asked = {
        "prompt": shot.prompt,
        "tokens": tokens,
        "system_prompt": prompts.system_prompt(shot.option("refine.system_prompt"), shot.option("refine.words")),
    }
    sampling = ("words", "max_new_tokens", "temperature", "top_p", "device")
    made = _phase("refine.generate", "caption", shot, models, (), sampling, asked)
    own = made.components if shot.option("refine.device") == "same" else tuple(map(_on_the_cpu, made.components))
    return replace(made, components=(*own, tokenizer))


def _on_the_cpu(one: Component) -> Component:
    return replace(one, nbytes=0, host=one.nbytes, blocks=())


def image(shot: Shot, models: Models, caption: Phase, divided: bool = False) -> tuple[Phase, ...]:
    """The still: drawn from the paragraph, or given."""
    if shot.still is not None:
        return (Phase("image.given", "still", shot, {"still": str(shot.still)}),)
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
    text = ("negative_prompt", "max_sequence_length", "guidance_scale")
    schedule = ("num_inference_steps", "scheduler", "timestep_spacing", "guidance_scale")
    encode = _borrowing(_phase("video.encode", "embeddings", shot, models, (caption,), text), models)
    anchor = _phase("video.anchor", "anchor", shot, models, (still,), (*size, "fit"))
    denoise = _phase("video.denoise", "latents", shot, models, (encode, anchor),
                     (*size, *schedule, "num_frames", "use_dynamic_cfg"))  # fmt: skip
    decode = _phase("video.decode", "frames", shot, models, (denoise,), ("vae_tiling",))
    if not divided:
        return encode, anchor, denoise, decode
    modulate = _phase("video.modulate", "tables", shot, models, (), schedule)
    denoise = _divided(denoise, modulate, models)
    return encode, anchor, modulate, denoise, replace(decode, inputs=(denoise,))


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
        "dtype": model.spec.dtype,
        "code": CODE,
        **({"seed": stage_seed(shot.seed, stage)} if name in DRAWS else {}),  # type: ignore[arg-type]
        "options": {option: shot.option(f"{stage}.{option}") for option in options},
        **(more or {}),
    }
    subset: Subset = "modulation" if verb == "modulate" else "whole"
    own = tuple(component(model, part, subset if part == MODULATED else "whole") for part in parts)
    return Phase(name, makes, shot, recipe, own, inputs)


def _token_limit(shot: Shot) -> int:
    """Both text encoders read the same caption: the shorter limit holds, and the video model's tokenizer counts."""
    limits = [shot.option("video.max_sequence_length"), shot.option("image.max_sequence_length")]
    return int(limits[0] if shot.still is not None else min(limits))


# ----------------------------------------------------------------------------------------------------------- running it


def run(shots: Sequence[Shot], models: Models, engine: Engine, store: Store, outputs: Outputs) -> Iterator[Event]:
    """prompt -> refine -> image -> video -> file, for many shots. Yields what happens; clips come as `Clip`."""
    every = cascades(shots, models, engine.capacity, engine.demand)
    for one in every:
        _give(one, store)
    plan = engine.plan(_needed(every, store))
    engine.check(plan)
    yield _planned(plan, shots)
    ledger = _Ledger(models, plan)
    waiting = list(every)
    for event in engine.run(plan, store):
        ledger.note(event)
        yield event
        if isinstance(event, PhaseEnded):
            yield from _captioned(event, every, store)
            for one in [one for one in waiting if store.artifact(one.frames)]:
                waiting.remove(one)
                yield from _write(one, store, outputs, ledger)


def _needed(every: Sequence[Cascade], store: Store) -> list[Phase]:
    """The phases that are missing; those that only aid others, where one of the others is."""
    missing = store.missing(phase for one in every for phase in one.phases)
    aided = {id(aid) for phase in missing for aid in phase.aids}
    return [phase for phase in missing if phase.makes != "tables" or id(phase) in aided]


def _give(one: Cascade, store: Store) -> None:
    """Put a still by the user's hand into the store: read in full and encoded anew."""
    if one.shot.still is not None and store.artifact(one.still) is None:
        key = store.key(one.still)
        assert key is not None
        store.put(key, media.png_bytes(media.read_image(one.shot.still)), ".png", {"phase": one.still.name})


def _planned(plan: Plan, shots: Sequence[Shot]) -> Planned:
    names = [run.name for run in plan.runs]
    denoising = [stage for stage in ("image", "video") if f"{stage}.denoise" in names]
    steps = {f"{stage}.denoise": int(shots[0].option(f"{stage}.num_inference_steps")) for stage in denoising}
    return Planned((*names, "file.write"), len(shots), steps, plan)


def _captioned(event: PhaseEnded, every: Sequence[Cascade], store: Store) -> Iterator[Event]:
    for one in every:
        if one.caption.name == event.phase and one.shot.id == event.shot and (made := store.artifact(one.caption)):
            caption = json.loads(made.read())
            yield Captioned(one.shot.id, caption["text"])
            if caption["source"] == "fallback":
                yield Notice(f"the chat model gave no usable paragraph ({caption['reason']}): your own words are used")
            elif caption["source"] == "user" and caption["repairs"]:
                yield Notice(f"your caption was cut to the {caption['tokens']} tokens the models can read")


def _write(one: Cascade, store: Store, outputs: Outputs, ledger: _Ledger) -> Iterator[Event]:
    """The file stage: everything of one clip, at once."""
    yield StageBegun("file", 1)
    yield PhaseBegun("file.write", one.shot.id)
    begun = time.perf_counter()
    caption, still, frames = (store.artifact(phase) for phase in (one.caption, one.still, one.frames))
    assert caption and still and frames
    results = Results(one.shot, json.loads(caption.read()), still.read(), frames.path, ledger.models)
    clip = outputs.write(results, ledger.of(one))
    seconds = time.perf_counter() - begun
    yield PhaseEnded("file.write", one.shot.id, seconds, 0)
    yield StageEnded("file", seconds)
    yield clip


class _Ledger:
    """What each phase of each shot took, and which models there were: the facts for a clip's record."""

    def __init__(self, models: Models, plan: Plan) -> None:
        self._forecast = plan.forecast
        self._begun = time.perf_counter()
        self._peak = 0
        self.models = {stage: _model_facts(model) for stage, model in models.items()}
        if models["video"].spec.share == "equivalent":
            self.models["video"]["text_encoder"] = f"that of {models['image'].spec.repo}, taken to be equivalent"
        self._phases: dict[tuple[str, str], PhaseEnded] = {}
        self._loads: dict[str, float] = {}

    def note(self, event: Event) -> None:
        if isinstance(event, PhaseEnded):
            self._phases[event.phase, event.shot] = event
            self._peak = max(self._peak, event.taken)
        elif hasattr(event, "component") and hasattr(event, "seconds"):
            self._loads[event.component] = self._loads.get(event.component, 0.0) + event.seconds

    def of(self, one: Cascade) -> dict[str, Any]:
        phases = {
            phase.name: {"seconds": round(ended.seconds, 3), "peak_bytes": ended.peak}
            for phase in one.phases
            if (ended := self._phases.get((phase.name, one.shot.id)))
        }
        needed = {component.name for phase in one.phases for component in phase.components}
        loads = {name: round(seconds, 3) for name, seconds in self._loads.items() if name in needed}
        return {"phases": phases, "loads": loads, "plan": self._plan()}

    def _plan(self) -> dict[str, Any]:
        """What was foretold of the whole run, all shots together, and what it has taken so far."""
        return {
            "predicted_seconds": round(self._forecast.seconds, 3),
            "measured_seconds": round(time.perf_counter() - self._begun, 3),
            "predicted_peak_bytes": self._forecast.peak_device,
            "measured_peak_bytes": self._peak,
        }


def _model_facts(model: Model) -> dict[str, Any]:
    facts: dict[str, Any] = {"repo": model.spec.repo, "licence": model.spec.licence, "dtype": model.spec.dtype}
    if not model.spec.is_local and model.folder is not None:
        # A cached snapshot lies in a folder named by its commit, also where the preset asked for a branch.
        commit = re.fullmatch("[0-9a-f]{40}", model.folder.name)
        facts["revision"] = commit[0] if commit else model.spec.revision
    if model.digests:
        facts["sha256"] = dict(model.digests)
    return facts


def digests(spec: ModelSpec, folder: Path) -> dict[str, str]:
    """SHA-256 of each of a model's weighty components."""
    return {part: digest.digest(folder / spec.folder_of(part)) for part in spec.weights}
