"""From wishes to shots with models and a budget: everything that is checked before torch is imported or a model loads.

Knows presets, options and what a machine grants; runs nothing.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from animatic import budget as budgets
from animatic import catalog, cost, machine, media, pipeline, prompts
from animatic.budget import Budget
from animatic.core import Notice, Plan, Shot
from animatic.errors import CapacityError, OptionError, PromptError, WeightsError
from animatic.estimate import Estimator
from animatic.history import History
from animatic.options import resolve
from animatic.plan import plan, smallest
from animatic.spec import DTYPES, Model, Models, ModelSpec, ModelStage, Preset

ANY = "anything"
"""The sentence of a wish that is only planned."""

PROMPT_LIMIT = 2000
CAPTION_LIMIT = 10_000
"""Characters. A prompt is one short sentence; a longer text is a caption."""


@dataclass(frozen=True)
class Wish:
    """What the user asks for, before it is resolved: `takes` clips of one prompt.

    preset       a preset's name; None: the best that is installed and fits, else pocket
    seed         of the first take; each further take counts one up, so that each can be made again alone
    options      by dotted names, such as {"video.num_inference_steps": 30}; they override the preset's
    caption      skips the chat model; `image`, a file, skips the image model
    memory       bytes that models may take of the memory they run in; None: what is free now, less a reserve
    host_memory  bytes that they may take of main memory; likewise
    """

    prompt: str
    preset: str | None = None
    seed: int = 0
    takes: int = 1
    options: Mapping[str, Any] = field(default_factory=dict)
    caption: str | None = None
    image: str | Path | None = None
    out: str | Path = "outputs"
    memory: int | None = None
    host_memory: int | None = None


@dataclass(frozen=True)
class Prepared:
    """Checked shots, the models that will make them, the budget they have, and what the user should know first."""

    shots: tuple[Shot, ...]
    models: Models
    budget: Budget
    estimator: Estimator
    history: History
    notices: tuple[Notice, ...]

    def plan(self) -> Plan:
        """What will be in memory when. Raises CapacityError when nothing fits, with the nearest settings that would."""
        capacity, demand = self.budget.capacity, self.estimator.demand
        cascades = pipeline.cascades(self.shots, self.models, capacity, demand)
        phases = [phase for one in cascades for phase in one.phases]
        return plan(phases, capacity, demand, load_seconds=self.estimator.load_seconds)


def prepare(wishes: Sequence[Wish], gpu: str | None = None) -> Prepared:
    """Resolve and check wishes that share a preset. Reads no weights but their headers. Raises AnimaticError.

    gpu  a card that need not be at hand: then models need not be here either, and nothing can be run
    """
    history = History()
    first = wishes[0]
    budget = (
        budgets.of_machine(machine.probe(), first.memory, first.host_memory, history)
        if gpu is None
        else budgets.of_card(gpu, first.memory, first.host_memory)
    )
    preset, notices = _preset(first, budget, history)
    shots = tuple(shot for wish in wishes for shot in _shots(wish, preset, budget))
    models = _known(preset)
    return Prepared(shots, models, budget, _estimator(models, budget, history), history, notices)


def ready(prepared: Prepared) -> Prepared:
    """The same, able to run: its models are here and identified, and it fits. Raises WeightsError, CapacityError."""
    needless = {
        stage
        for stage, given in (("refine", "caption"), ("image", "still"))
        if all(getattr(shot, given) is not None for shot in prepared.shots)
    }
    name = prepared.shots[0].preset
    for stage, model in prepared.models.items():
        if model.folder is None and stage not in needless:
            raise WeightsError(f"{name} needs {model.spec.repo}, which is not here: animatic models pull {name}")
    replace(prepared, shots=prepared.shots[:1]).plan()  # How many shots there are makes no difference to memory.
    models: dict[ModelStage, Model] = {}
    for stage, model in prepared.models.items():
        known = {} if model.folder is None or stage in needless else pipeline.digests(model.spec, model.folder)
        models[stage] = replace(model, digests=known)
    return replace(prepared, models=models)


def fits(preset: Preset, budget: Budget, history: History) -> bool:
    """Whether the preset's own shot can be made within the budget, streamed if need be."""
    wish = Wish(ANY, preset.name)
    models = _known(preset)
    estimator = _estimator(models, budget, history)
    try:
        Prepared(tuple(_shots(wish, preset, budget)), models, budget, estimator, history, ()).plan()
    except CapacityError:
        return False
    return True


def least(preset: Preset, budget: Budget, history: History) -> int:
    """Bytes of device memory without which the preset's own shot cannot be made, streamed as far as it can be."""
    models = _known(preset)
    demand = _estimator(models, budget, history).demand
    shot = _shots(Wish(ANY, preset.name, options={"video.vae_tiling": "on"}), preset, budget)[0]
    return smallest(pipeline.cascade(shot, models).phases, demand)


def _estimator(models: Models, budget: Budget, history: History) -> Estimator:
    return Estimator(models, budget.rates, history, budget.device, budget.cpu)


# -------------------------------------------------------------------------------------------------- preset and models


def _preset(wish: Wish, budget: Budget, history: History) -> tuple[Preset, tuple[Notice, ...]]:
    """The preset, and what the user should know about it."""
    preset, notices = _best(budget, history) if wish.preset is None else (catalog.preset(wish.preset), ())
    if wish.prompt != ANY and preset.vocabulary and not _knows(preset.vocabulary, wish.caption or wish.prompt):
        notices += (Notice(f"{preset.name} knows only a toy world, and nothing in your sentence is of it; "
                           f"it knows: {', '.join(preset.vocabulary)}"),)  # fmt: skip
    return preset, notices


def _best(budget: Budget, history: History) -> tuple[Preset, tuple[Notice, ...]]:
    preset = catalog.choose(catalog.installed(), lambda one: fits(one, budget, history))
    if preset.rank > 0:
        return preset, ()
    advice = _advice(budget, history)
    return preset, (Notice(f"{preset.name} is a toy model that draws a toy world; for real films: {advice}"),)


def _advice(budget: Budget, history: History) -> str:
    """What to pull for this machine."""
    if budget.capacity.unified:
        return "a GPU is needed (see: animatic models, animatic doctor)"
    fitting = [p for p in catalog.presets().values() if p.rank > 0 and fits(p, budget, history)]
    return f"animatic models pull {fitting[0].name}" if fitting else "a GPU with more memory (see: animatic models)"


def _knows(vocabulary: Sequence[str], text: str) -> bool:
    words = "|".join(re.escape(word) for word in vocabulary)
    return re.search(rf"\b({words})(e?s)?\b", text, re.IGNORECASE) is not None


def _known(preset: Preset) -> dict[ModelStage, Model]:
    """The preset's models, with their folders where they are here."""
    return {stage: Model(spec, catalog.locate(spec)) for stage, spec in preset.models.items()}


# --------------------------------------------------------------------------------------------------------------- shots


def _shots(wish: Wish, preset: Preset, budget: Budget) -> list[Shot]:
    prompt = _plain(wish.prompt, "prompt", PROMPT_LIMIT)
    caption = None if wish.caption is None else _plain(wish.caption, "caption", CAPTION_LIMIT)
    still = None if wish.image is None else Path(wish.image)
    if still is not None:
        media.read_image(still)
    if wish.takes < 1 or not 0 <= wish.seed <= 2**63 - wish.takes:
        raise OptionError(f"--seed {wish.seed} with --takes {wish.takes}: the seed is from 0 to 2^63, takes from 1")
    options = _sized(resolve(preset.options, wish.options), preset, still is not None)
    options["video.vae_tiling"] = _tiling(options, preset.models["video"], wish.memory or budget.whole)
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
    return options | {"image.width": size[0], "image.height": size[1]}


def _tiling(options: Mapping[str, Any], video: ModelSpec, memory: int) -> str:
    """`auto`, resolved before keys are made: tiled only when decoding untiled would not fit in `memory`.

    It depends on what the user grants, else on the device's whole memory, never on what happens to be free: the same
    command gives the same clip.
    """
    if options["video.vae_tiling"] != "auto":
        return str(options["video.vae_tiling"])
    whole = dict(options) | {"video.vae_tiling": "off"}
    workspace = cost.cost(video.family, "decode", catalog.configs(video), whole, DTYPES[video.dtype]).workspace
    return "on" if video.components.get("vae", 0) + workspace > memory else "off"
