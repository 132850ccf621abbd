"""The cascade, top to bottom: what a sentence goes through to become a caption, a still, a clip, a file.

Turns shots into phases, and says all that each phase's result depends on. Runs nothing (`making.py` does), and knows no
model and no device: which components a phase needs is `parts.py`'s.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from animatic import digest, prompts
from animatic.core import Component, Phase, Shot, Stage, Subset, stage_seed
from animatic.errors import PresetError, WeightsError
from animatic.parts import component
from animatic.place import Capacity, Demand
from animatic.spec import MODULATED, PHASES, Model, Models, ModelStage

CODE: Mapping[str, int] = {}
"""The version of each phase's code, a part of its keys: raised from 1 when its result changes for equal inputs."""

DRAWS = ("refine.generate", "image.denoise", "video.anchor")
"""Phases that draw from their stage's seed (video.denoise goes on from the anchor's state). Takes share all others."""

Demands = Callable[[Phase], Demand]

Until = Literal["refine", "image", "file"]
"""The last stage that is asked for."""


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
    beside = not capacity.unified
    for shot in shots:
        if id(shot.options) not in divided:
            divided[id(shot.options)] = split(cascade(shot, models, (), beside), models, capacity, demand)
    return [cascade(shot, models, divided[id(shot.options)], beside) for shot in shots]


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


def cascade(shot: Shot, models: Models, divided: Collection[Stage] = (), beside: bool = True) -> Cascade:
    """prompt -> refine -> image -> video.

    divided  stages whose transformer is split (see `split`)
    beside   whether there is a GPU, beside which the CPU may run a model in memory of its own
    """
    caption = refine(shot, models, beside)
    drawing = image(shot, models, caption, "image" in divided)
    still = drawing[-1]
    filming = video(shot, models, caption, still, "video" in divided)
    frames = filming[-1]
    clip = file(shot, models, caption, still, frames)
    return Cascade(shot, caption, still, frames, clip, (caption, *drawing, *filming))


def refine(shot: Shot, models: Models, beside: bool = True) -> Phase:
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
        "system_prompt": _system_prompt(shot),
    }
    sampling = ("words", "max_new_tokens", "temperature", "top_p", "device")
    made = _phase("refine.generate", "caption", shot, models, (), sampling, asked)
    apart = beside and shot.option("refine.device") == "cpu"
    own = tuple(map(_on_the_cpu, made.components)) if apart else made.components
    return replace(made, components=(*own, tokenizer))


def _system_prompt(shot: Shot) -> str:
    """What the chat model is told to do; nothing where it is not asked."""
    if shot.caption is not None:
        return ""
    return prompts.system_prompt(shot.option("refine.system_prompt"), shot.option("refine.words"))


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
    guided = shot.option("image.true_cfg_scale") > 1  # Otherwise neither option has an effect, nor a place in the keys.
    text = ("max_sequence_length", *(("negative_prompt",) if guided else ()))
    sampling = (*size, "num_inference_steps", "guidance_scale", *(("true_cfg_scale",) if guided else ()))
    encode = _phase("image.encode", "embeddings", shot, models, (caption,), text)
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
        "models": facts(shot, models),
        "given": [shot.caption is not None, shot.still is not None],
    }
    return Phase("file.write", "clip", shot, recipe, (), (caption, still, frames))


def signature(shot: Shot, models: Models) -> str:
    """Names all that a shot's clip follows from: shots of one signature get the same clip, whatever lies between."""
    named = {
        stage: (m.spec.identity, m.spec.dtype, m.spec.share, dict(m.digests), dict(m.settings), m.environment)
        for stage, m in _partaking(shot, models).items()
    }
    asked = json.dumps([shot.asked, _system_prompt(shot), named, dict(CODE)], sort_keys=True, ensure_ascii=False)
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


# ----------------------------------------------------------------------------------------------------------- the models


def facts(shot: Shot, models: Models) -> dict[ModelStage, dict[str, Any]]:
    """What a clip's record says of each stage's model."""
    models = _partaking(shot, models)
    found = {stage: _facts(model) for stage, model in models.items()}
    if models["video"].spec.share == "equivalent":
        found["video"]["text_encoder"] = f"that of {models['image'].spec.repo}, taken to be equivalent"
    return found


def _partaking(shot: Shot, models: Models) -> Models:
    """The same, and nothing of the files of a model that had no part in the clip: they may be here today, and known."""
    lends = models["video"].spec.share == "equivalent"
    idle = {"refine": shot.caption is not None, "image": shot.still is not None and not lends, "video": False}
    return {
        stage: replace(model, folder=None, digests={}, settings={}) if idle[stage] else model
        for stage, model in models.items()
    }


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
    if model.folder is None or model.digests:
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
