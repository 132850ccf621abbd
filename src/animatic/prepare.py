"""From wishes to shots with models and a budget: everything that is checked before torch is imported or a model loads.

Knows presets, options and what a machine grants; runs nothing.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from animatic import bitmap, catalog, cost, machine, pipeline, prompts
from animatic import budget as budgets
from animatic.budget import Budget
from animatic.core import Component, Evict, Load, Placement, Plan, Shot
from animatic.errors import CapacityError, InputError, OptionError, PromptError, WeightsError
from animatic.estimate import Estimator
from animatic.events import Notice
from animatic.history import History
from animatic.options import resolve
from animatic.plan import plan, smallest
from animatic.spec import DTYPES, Model, Models, ModelSpec, ModelStage, Preset

ANY = "anything"
"""The sentence of a wish that is only planned."""

STILLS_LIMIT = 64
FAULTS_TOLD = 20
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
    content      SHA-256 of that file, where it is known to be a picture and whole; else it is read to see
    stills       draws so many candidates of the still, of which one is chosen
    pick         which: a number from 1 on, which alone is drawn then; "best", by `scorer`; None: somebody is asked
    scorer       how the best is found (scorer.py)
    memory       bytes that models may take of the memory they run in; None: what is free now, less a reserve
    host_memory  bytes that they may take of main memory; likewise
    strict_env   take only what was made by the same versions on the same kind of device
    name         what the user calls the shot; its files are named by it
    where        where it is asked for, such as "shots.csv, line 7": errors begin with it
    """

    prompt: str
    preset: str | None = None
    seed: int = 0
    takes: int = 1
    options: Mapping[str, Any] = field(default_factory=dict)
    caption: str | None = None
    image: str | Path | None = None
    content: str = ""
    stills: int = 1
    pick: int | str | None = None
    scorer: str = "plain"
    memory: int | None = None
    host_memory: int | None = None
    strict_env: bool = False
    name: str = ""
    where: str = ""

    def each_take(self) -> list[Wish]:
        """A wish for each of the clips. Raises OptionError."""
        if self.takes < 1 or not 0 <= self.seed <= 2**63 - self.takes:
            raise OptionError(f"--seed {self.seed} with --takes {self.takes}: the seed is from 0 to 2^63, takes from 1")
        if self.takes == 1:
            return [self]
        seeds = range(self.seed, self.seed + self.takes)
        return [replace(self, takes=1, seed=seed, name=self.name and f"{self.name}-s{seed}") for seed in seeds]


@dataclass(frozen=True)
class Prepared:
    """Checked shots, the models that will make them, the budget they have, and what the user should know first.

    wishes  what each of the shots came from
    """

    shots: tuple[Shot, ...]
    wishes: tuple[Wish, ...]
    models: Models
    budget: Budget
    estimator: Estimator
    history: History
    notices: tuple[Notice, ...]

    def plan(self, resident: Mapping[Component, Placement] | None = None, keep: bool = False) -> Plan:
        """What will be in memory when. Raises CapacityError when nothing fits, with the nearest settings that would.

        resident, keep  what is there now, and whether it stays as far as there is room (see plan.py)
        """
        capacity, demand = self.budget.capacity, self.estimator.demand
        cascades = pipeline.cascades(self.shots, self.models, capacity, demand)
        phases = [phase for one in cascades for phase in one.phases]
        return plan(phases, capacity, demand, resident, self.estimator.load_seconds, keep)

    def reloaded(self) -> int:
        """Bytes that the same shots would load once more if they came again, with all kept that there is room for."""
        there: dict[Component, Placement] = {}
        for action in self.plan(keep=True).actions:
            if isinstance(action, Load):
                there[action.component] = action.placement
            elif isinstance(action, Evict):
                there.pop(action.component, None)
        return self.plan(there, keep=True).forecast.nbytes


@dataclass(frozen=True)
class Footing:
    """What wishes are prepared on: what may be used here, and what was measured here."""

    budget: Budget
    history: History


def footing(memory: int | None = None, host_memory: int | None = None, gpu: str | None = None) -> Footing:
    """This machine as it is now, or a card that need not be at hand. Raises OptionError."""
    history = History()
    if gpu is not None:
        return Footing(budgets.of_card(gpu, memory, host_memory), history)
    return Footing(budgets.of_machine(machine.probe(), memory, host_memory, history), history)


def prepare(wishes: Sequence[Wish], gpu: str | None = None, on: Footing | None = None) -> Prepared:
    """Resolve and check wishes that share a preset. Reads no weights but their headers. Raises AnimaticError.

    gpu  a card that need not be at hand: then models need not be here either, and nothing can be run
    on   what they are prepared on; None: what is here now
    """
    first = wishes[0]
    on = on or footing(first.memory, first.host_memory, gpu)
    budget, history = on.budget, on.history
    preset, notices = _preset(first, budget, history)
    shots, origins = _all_shots(wishes, _Resolver(preset, budget))
    environment = _environment(budget) if first.strict_env else ""
    models = {stage: replace(model, environment=environment) for stage, model in _known(preset).items()}
    return Prepared(shots, origins, models, budget, _estimator(models, budget, history), history, notices)


def identified(prepared: Prepared) -> Prepared:
    """The same, with the digests of its models' files: so keys can be told. Reads weights that were never read."""
    needless = _needless(prepared)
    models = {
        stage: pipeline.known(model, read=stage not in needless or model.spec.share == "equivalent")
        for stage, model in prepared.models.items()
    }
    return replace(prepared, models=models)


def ready(prepared: Prepared) -> Prepared:
    """The same, able to run: its models are here and identified, and it fits. Raises WeightsError, CapacityError."""
    check_here(prepared)
    # How many shots there are makes no difference to memory, only what they are.
    kinds = {id(shot.options): n for n, shot in enumerate(prepared.shots)}
    replace(prepared, shots=tuple(prepared.shots[n] for n in kinds.values())).plan()
    return identified(prepared)


def check_here(prepared: Prepared) -> None:
    """See that the models are on this machine, without reading them. Raises WeightsError."""
    name = prepared.shots[0].preset
    for stage, model in prepared.models.items():
        if model.folder is None and stage not in _needless(prepared):
            raise WeightsError(f"{name} needs {model.spec.repo}, which is not here: animatic models pull {name}")


def _needless(prepared: Prepared) -> set[ModelStage]:
    """Stages whose model no shot needs: all have what it would make."""
    given: tuple[tuple[ModelStage, str], ...] = (("refine", "caption"), ("image", "still"))
    return {stage for stage, made in given if all(getattr(shot, made) is not None for shot in prepared.shots)}


def _environment(budget: Budget) -> str:
    versions = (importlib.metadata.version(name) for name in ("torch", "diffusers", "transformers"))
    # On the CPU, how a sum is divided among threads decides its last bits.
    threads = os.environ.get("OMP_NUM_THREADS", str(os.cpu_count())) if budget.capacity.unified else ""
    return " ".join((budget.device, threads, *versions))


def fits(preset: Preset, budget: Budget, history: History) -> bool:
    """Whether the preset's own shot can be made within the budget, streamed if need be."""
    wish = Wish(ANY, preset.name)
    models = _known(preset)
    estimator = _estimator(models, budget, history)
    try:
        shots = tuple(_Resolver(preset, budget).shots(wish))
        Prepared(shots, (wish,), models, budget, estimator, history, ()).plan()
    except CapacityError:
        return False
    return True


def least(preset: Preset, budget: Budget, history: History) -> int:
    """Bytes of device memory without which the preset's own shot cannot be made, streamed as far as it can be."""
    models = _known(preset)
    demand = _estimator(models, budget, history).demand
    shot = _Resolver(preset, budget).shots(Wish(ANY, preset.name, options={"video.vae_tiling": "on"}))[0]
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


def _all_shots(wishes: Sequence[Wish], resolver: _Resolver) -> tuple[tuple[Shot, ...], tuple[Wish, ...]]:
    """The shots of all wishes, and each one's wish. Raises InputError with all that is wrong, a line each."""
    shots: list[Shot] = []
    origins: list[Wish] = []
    faults: list[InputError] = []
    for wish in wishes:
        try:
            made = resolver.shots(wish)
        except InputError as error:
            faults.append(type(error)(f"{wish.where}: {error}") if wish.where else error)
            continue
        shots += made
        origins += [wish] * len(made)
    if faults:
        raise faults[0] if len(faults) == 1 else InputError(listed(faults))
    return tuple(shots), tuple(origins)


def listed(faults: Sequence[Exception]) -> str:
    """Many faults as one message, a line each."""
    more = [f"and {len(faults) - FAULTS_TOLD} more"] if len(faults) > FAULTS_TOLD else []
    return "\n  ".join((f"{len(faults)} faults, and nothing was run:", *map(str, faults[:FAULTS_TOLD]), *more))


class _Resolver:
    """Wishes to shots of one preset. Shots of equal options share one mapping: planning counts on that."""

    def __init__(self, preset: Preset, budget: Budget) -> None:
        self._preset = preset
        self._budget = budget
        self._resolved: dict[tuple[Any, ...], dict[str, Any]] = {}

    def shots(self, wish: Wish) -> list[Shot]:
        """Raises InputError."""
        prompt = _plain(wish.prompt, "prompt", PROMPT_LIMIT)
        caption = None if wish.caption is None else _plain(wish.caption, "caption", CAPTION_LIMIT)
        still = None if wish.image is None else Path(wish.image)
        sha = wish.content or content(still) if still is not None else ""
        takes = wish.each_take()
        options = self._options(wish, still is not None)
        one = Shot(prompt, wish.seed, self._preset.name, options, caption, still, sha)
        return [replace(one, seed=take.seed, name=take.name) for take in takes]

    def _options(self, wish: Wish, given_still: bool) -> dict[str, Any]:
        chosen = dict(wish.options) | _picked(wish, given_still)
        key = (*sorted((name, repr(value)) for name, value in chosen.items()), given_still, wish.memory)
        if key not in self._resolved:
            preset = self._preset
            options = _sized(resolve(preset.options, chosen), preset, given_still)
            options["video.vae_tiling"] = _tiling(options, preset.models["video"], wish.memory or self._budget.whole)
            prompts.system_prompt(options["refine.system_prompt"], options["refine.words"])
            self._resolved[key] = options
        return self._resolved[key]


def _picked(wish: Wish, given_still: bool) -> dict[str, int]:
    """The option that a picked candidate is. Raises OptionError for a choice that cannot be."""
    if not 1 <= wish.stills <= STILLS_LIMIT:
        raise OptionError(f"--stills {wish.stills}: from 1 to {STILLS_LIMIT} candidates can be drawn")
    if given_still and (wish.stills > 1 or wish.pick is not None):
        raise OptionError("--image gives the still, and --stills or --pick would choose one: leave one of them out")
    if wish.pick is None or wish.pick == "best":
        return {}
    try:
        pick = int(wish.pick)
    except ValueError:
        raise OptionError(f"--pick {wish.pick}: give a candidate's number, or best") from None
    if not pick >= 1 or (wish.stills > 1 and pick > wish.stills):
        raise OptionError(f"--pick {pick} of --stills {wish.stills}: candidates are counted from 1")
    return {"image.candidate": pick}


def content(still: Path) -> str:
    """SHA-256 of a picture's file, once it was seen to be one. Raises ImageError."""
    bitmap.read_image(still)
    return hashlib.sha256(still.read_bytes()).hexdigest()


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
