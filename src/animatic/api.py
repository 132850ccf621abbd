"""Animatic from Python: the one place where the cascade meets an engine.

    for clip in animatic.make("an orange rocket takes off into the night sky"):
        print(clip.path, clip.caption)

Everything is checked before torch is imported, and before any model loads.
"""

from __future__ import annotations

import re
import tempfile
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from animatic import catalog, files, machine, media, pipeline, prompts
from animatic.core import Clip, Event, Notice, Shot
from animatic.errors import CapacityError, OptionError, PromptError, WeightsError
from animatic.options import resolve
from animatic.outputs import Outputs
from animatic.spec import Preset, fits, needs
from animatic.store import Store

PROMPT_LIMIT = 2000
CAPTION_LIMIT = 10_000
"""Characters. A prompt is one short sentence; a longer text is a caption."""


@dataclass(frozen=True)
class Wish:
    """What the user asks for, before it is resolved: `takes` clips of one prompt.

    preset    a preset's name; None: the best that is installed and fits, else pocket
    seed      of the first take; each further take counts one up, so that each can be made again alone
    options   by dotted names, such as {"video.num_inference_steps": 30}; they override the preset's
    caption   skips the chat model; `image`, a file, skips the image model
    """

    prompt: str
    preset: str | None = None
    seed: int = 0
    takes: int = 1
    options: Mapping[str, Any] = field(default_factory=dict)
    caption: str | None = None
    image: str | Path | None = None
    out: str | Path = "outputs"


def make(prompt: str, **wish: Any) -> list[Clip]:
    """Make the clips of a prompt and return them. Takes what `Wish` takes. Raises AnimaticError."""
    return [event for event in stream(prompt, **wish) if isinstance(event, Clip)]


def stream(prompt: str, **wish: Any) -> Iterator[Event]:
    """Make the clips of a prompt, yielding what happens as it happens. Takes what `Wish` takes.

    Everything is checked at the call, not at the first event. Raises AnimaticError.
    """
    asked = Wish(prompt, **wish)
    return run(prepare([asked]), Path(asked.out))


@dataclass(frozen=True)
class Prepared:
    """Checked shots, the models that will make them, and what the user should know first."""

    shots: tuple[Shot, ...]
    models: pipeline.Models
    notices: tuple[Notice, ...]


def prepare(wishes: Sequence[Wish]) -> Prepared:
    """Resolve and check wishes that share a preset. Reads no weights but their files' names. Raises AnimaticError."""
    preset, notices = _preset(wishes[0])
    shots = tuple(shot for wish in wishes for shot in _shots(wish, preset))
    return Prepared(shots, _models(preset, shots), tuple(notices))


def run(prepared: Prepared, out: Path) -> Iterator[Event]:
    """Make prepared shots, stage by stage for all of them, each model loaded once. The clips' files go to `out`."""
    shots = prepared.shots
    files.check_writable(out, need=len(shots) * _clip_bytes(shots[0]))
    return _run(prepared, Outputs(out))


def _run(prepared: Prepared, outputs: Outputs) -> Iterator[Event]:
    yield from prepared.notices
    from animatic.engine import Installed, LocalEngine  # here, because it imports torch

    engine = LocalEngine(Installed(model.spec, model.folder) for model in prepared.models.values())
    with tempfile.TemporaryDirectory(prefix="animatic-") as folder:
        yield from pipeline.run(prepared.shots, prepared.models, engine, Store(Path(folder)), outputs)


# --------------------------------------------------------------------------------------------- checked before anything


def _preset(wish: Wish) -> tuple[Preset, list[Notice]]:
    """The preset, and what the user should know about it."""
    preset, notices = _best() if wish.preset is None else (catalog.preset(wish.preset), [])
    if preset.vocabulary and not _knows(preset.vocabulary, wish.caption or wish.prompt):
        notices.append(Notice(f"{preset.name} knows only a toy world, and nothing in your sentence is of it; "
                              f"it knows: {', '.join(preset.vocabulary)}"))  # fmt: skip
    return preset, notices


def _best() -> tuple[Preset, list[Notice]]:
    here = machine.probe()
    preset = catalog.choose(catalog.installed(), here.memory)
    if preset.rank > 0:
        return preset, []
    return preset, [Notice(f"{preset.name} is a toy model that draws a toy world; for real films: {_advice(here)}")]


def _advice(here: machine.Machine) -> str:
    """What to pull for this machine."""
    if here.gpu_bytes is None:
        return "a GPU is needed (see: animatic models, animatic doctor)"
    fitting = [preset for preset in catalog.presets().values() if preset.rank > 0 and fits(preset, here.memory)]
    return f"animatic models pull {fitting[0].name}" if fitting else "a GPU with more memory (see: animatic models)"


def _knows(vocabulary: Sequence[str], text: str) -> bool:
    words = "|".join(re.escape(word) for word in vocabulary)
    return re.search(rf"\b({words})(e?s)?\b", text, re.IGNORECASE) is not None


def _shots(wish: Wish, preset: Preset) -> list[Shot]:
    prompt = _plain(wish.prompt, "prompt", PROMPT_LIMIT)
    caption = None if wish.caption is None else _plain(wish.caption, "caption", CAPTION_LIMIT)
    still = None if wish.image is None else Path(wish.image)
    if still is not None:
        media.read_image(still)
    if wish.takes < 1 or not 0 <= wish.seed <= 2**63 - wish.takes:
        raise OptionError(f"--seed {wish.seed} with --takes {wish.takes}: the seed is from 0 to 2^63, takes from 1")
    options = _sized(resolve(preset.options, wish.options), preset, still is not None)
    prompts.system_prompt(options["refine.system_prompt"], options["refine.words"])
    return [Shot(prompt, wish.seed + take, preset.name, options, caption, still) for take in range(wish.takes)]


def _plain(text: str, what: str, limit: int) -> str:
    """One line of printable text. Raises PromptError."""
    if len(text) > limit:
        raise PromptError(f"the {what} has {len(text):,} characters and the limit is {limit:,}: say it shorter")
    line = " ".join(text.split())
    if not line:
        raise PromptError(f"the {what} is empty: say in one sentence what the clip should show")
    for character in line:
        if unicodedata.category(character) in ("Cc", "Cs"):
            raise PromptError(f"the {what} contains the control character U+{ord(character):04X}: remove it")
    return line


def _sized(options: dict[str, Any], preset: Preset, given_still: bool) -> dict[str, Any]:
    """Sizes resolved and checked: the still takes the clip's size, as near as the image model can make it."""
    image, video = preset.models["image"], preset.models["video"]
    clip = (options["video.width"], options["video.height"])
    if video.geometry:
        video.geometry.check(video.name, clip, options["video.num_frames"])
    size = (options["image.width"] or clip[0], options["image.height"] or clip[1])
    if image.geometry and size == clip:
        size = image.geometry.nearest_size(size)
    elif image.geometry and not given_still:
        image.geometry.check(image.name, size)
    tiling = _tiling(options["video.vae_tiling"], preset)
    return options | {"image.width": size[0], "image.height": size[1], "video.vae_tiling": tiling}


def _tiling(asked: str, preset: Preset) -> str:
    """`auto`, resolved before keys are made: tiled only when decoding untiled would not fit this machine."""
    if asked != "auto":
        return asked
    video = preset.models["video"]
    need = video.components.get("vae", 0) + video.activations.get("decode", 0)
    return "on" if need > machine.probe().memory else "off"


def _models(preset: Preset, shots: Sequence[Shot]) -> pipeline.Models:
    """The preset's models on this machine. Raises WeightsError when one that is needed is not here."""
    given = {"refine": all(shot.caption is not None for shot in shots), "image": all(shot.still for shot in shots)}
    needless = {stage for stage, every in given.items() if every}
    _check_memory(preset, needless, tiled=shots[0].option("video.vae_tiling") == "on")
    models: dict[Any, pipeline.Model] = {}
    for stage, spec in preset.models.items():
        folder = catalog.locate(spec)
        if folder is None and stage not in needless:
            way = f"animatic models pull {preset.name}"
            raise WeightsError(f"{preset.name} needs {spec.repo}, which is not here: {way}")
        digests = {} if folder is None or stage in needless else pipeline.digests(spec, folder)
        models[stage] = pipeline.Model(spec, folder or Path(), digests)
    return models


def _check_memory(preset: Preset, needless: set[str], tiled: bool) -> None:
    """Refuse what cannot fit before anything is read. Raises CapacityError with the numbers."""
    memory = machine.probe().memory
    for phase, need in needs(preset, tiled).items():
        if need > memory and phase.partition(".")[0] not in needless:
            raise CapacityError(
                f"{phase} of {preset.name} needs {need / 2**30:.1f} GiB and this machine has {memory / 2**30:.1f} GiB: "
                "choose a preset that fits (see: animatic models)"
            )


def _clip_bytes(shot: Shot) -> int:
    """Bytes to keep free for a clip's files: what x264 needs at its worst for such frames, and the pictures."""
    pixels = shot.option("video.width") * shot.option("video.height")
    return int(pixels * (shot.option("video.num_frames") + 6) + 2_000_000)
