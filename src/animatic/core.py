"""The words of the project as plain data: shots, phases, components, plans.

Knows nothing of models, files or devices, and imports only the standard library.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

Stage = Literal["refine", "image", "video", "file"]
STAGES: tuple[Stage, ...] = ("refine", "image", "video", "file")

Value = str | int | float | bool | None


# ---------------------------------------------------------------------------------------------- what is asked for


@dataclass(frozen=True)
class Shot:
    """What the user asks for: one clip. All options are resolved: nothing is decided later.

    prompt   the user's sentence
    seed     the shot's seed; each stage derives its own from it (`stage_seed`)
    preset   the name of the preset that chose the models
    options  resolved options by dotted name: {"video.num_frames": 49, ...}
    caption  a caption given by the user, which skips the chat model
    still    a still given by the user, which skips the image model
    content  SHA-256 of that still's file
    name     what the user calls it: names its files, and makes no difference to what is in them
    """

    prompt: str
    seed: int
    preset: str
    options: Mapping[str, Value] = field(hash=False)
    caption: str | None = None
    still: Path | None = None
    content: str = ""
    name: str = ""

    @property
    def asked(self) -> tuple[Any, ...]:
        """All that makes a difference to the clip, as JSON-able data, besides the models."""
        return self.prompt, self.seed, self.preset, dict(self.options), self.caption, self.content

    @functools.cached_property
    def id(self) -> str:
        """Names this shot within a run, with what its user calls it: equal shots of one name have equal ids."""
        digest = hashlib.sha256(json.dumps(self.asked, sort_keys=True).encode()).hexdigest()[:12]
        return f"{digest}@{self.name}" if self.name else digest

    def option(self, name: str) -> Any:
        """The resolved value of an option by its dotted name; a wrong name is a bug and raises KeyError."""
        return self.options[name]


def stage_seed(seed: int, stage: Stage, candidate: int = 1) -> int:
    """The seed of one stage of a shot: independent streams, so that no stage's draws depend on another's.

    candidate  which of several tries of the stage alone, from 1
    """
    name = f"animatic/{seed}/{stage}" if candidate == 1 else f"animatic/{seed}/{stage}/{candidate}"
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8]) >> 1


# ------------------------------------------------------------------------------------------------- what is to be run


Subset = Literal["whole", "modulation", "rest"]
"""Which of a transformer's tensors: all, those of its adaptive norms (`spec.MODULATION`), or all but those."""


@dataclass(frozen=True, eq=False)
class Component:
    """One set of weights (or a tokenizer, or a scheduler's configuration): the unit of memory.

    Two components are equal when they hold the same tensors in the same dtype and in the same place, whatever they are
    called: one T5 may be the text encoder of two models.

    name     "image.transformer": the stage whose model it belongs to, and its part there
    model    which model: repository and revision, or folder
    holds    what it holds: a digest where the files are known, else model and part
    subset   which of the part's tensors
    nbytes   bytes it takes in device memory
    disk     bytes read from its files to load it
    role     the name a phase asks for it with, where that is another model's: "video.text_encoder"
    host     bytes it takes in main memory, where it runs on the CPU beside a GPU; then it takes no device memory
    blocks   bytes of each of its repeated blocks in device memory, in the order they run; empty: it has none that
             could be streamed
    """

    name: str
    model: str
    nbytes: int = 0
    disk: int = 0
    blocks: tuple[int, ...] = ()
    subset: Subset = "whole"
    holds: str = ""
    host: int = 0
    role: str = ""

    @property
    def identity(self) -> tuple[str, Subset, bool]:
        return self.holds or f"{self.model}/{self.part}", self.subset, bool(self.host)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Component) and self.identity == other.identity

    def __hash__(self) -> int:
        return hash(self.identity)

    @property
    def stage(self) -> Stage:
        return self.name.partition(".")[0]  # type: ignore[return-value]

    @property
    def part(self) -> str:
        return self.name.partition(".")[2]


@dataclass(frozen=True, eq=False)
class Phase:
    """What runs between two memory decisions, for one shot. Its artifact is named by recipe and inputs.

    makes    the kind of its artifact: caption, embeddings, tables, latents, still, anchor, frames or clip
    recipe   everything its result depends on besides its inputs, as JSON-able data
    inputs   the phases whose artifacts it reads
    aids     more phases whose artifacts it reads; they follow from its recipe and inputs, and only how it is
             computed depends on them, not what: they are no part of its key
    """

    name: str
    makes: str
    shot: Shot
    recipe: Mapping[str, Any]
    components: tuple[Component, ...] = ()
    inputs: tuple[Phase, ...] = ()
    aids: tuple[Phase, ...] = ()

    @property
    def by_content(self) -> bool:
        """Whether its artifact enters later keys by content: what a person may touch does."""
        return self.makes in ("caption", "still")

    @property
    def stage(self) -> Stage:
        return self.name.partition(".")[0]  # type: ignore[return-value]

    @property
    def verb(self) -> str:
        return self.name.partition(".")[2]


# ------------------------------------------------------------------------------------------------ what will be done


@dataclass(frozen=True)
class Placement:
    """Where a component is while it is loaded. The default: all of it in device memory.

    streamed   its blocks come one after another, through two slots of device memory, whenever they run
    resident   how many of a streamed component's blocks stay in device memory all the same, evenly spaced
    source     where streamed blocks come from at every pass: the disk, or a copy that is kept in host memory
    """

    streamed: bool = False
    resident: int = 0
    source: Literal["disk", "host"] = "disk"


RESIDENT = Placement()


@dataclass(frozen=True)
class Load:
    """Begin to bring a component in; the next Run that needs it waits. `source`: the disk, or its host copy."""

    component: Component
    placement: Placement = RESIDENT
    source: Literal["disk", "host"] = "disk"


@dataclass(frozen=True)
class Evict:
    """Drop a component from device memory. `keep`: a copy of it stays in host memory, for a later Load."""

    component: Component
    keep: bool = False


@dataclass(frozen=True)
class Run:
    """One phase for many shots, all with the same components.

    lockstep   how many shots go through each streamed block together, before the next block comes
    """

    phases: tuple[Phase, ...]
    lockstep: int = 1

    @property
    def name(self) -> str:
        return self.phases[0].name


Action = Load | Evict | Run


@dataclass(frozen=True)
class Span:
    """What one lane does for a while; seconds count from the plan's beginning.

    lane     "load" or "run"
    name     the component's or the phase's
    nbytes   read from the disk or the host's copy, by loads and by runs that stream
    device   bytes of device memory in use or reserved while a run goes on, its workspace included; 0 for loads
    waited   seconds a run's lane stood still before it, for its components
    """

    lane: Literal["load", "run"]
    name: str
    begin: float
    end: float
    nbytes: int = 0
    device: int = 0
    waited: float = 0.0


@dataclass(frozen=True)
class Forecast:
    """What a plan is expected to take: the timeline of both lanes, and the peaks, in bytes."""

    spans: tuple[Span, ...] = ()
    peak_device: int = 0
    peak_host: int = 0

    @property
    def seconds(self) -> float:
        """From the first load to the end of the last run."""
        return max((span.end for span in self.spans), default=0.0)

    @property
    def exposed(self) -> float:
        """Seconds of loading that no computing hides."""
        return sum(span.waited for span in self.spans)

    @property
    def nbytes(self) -> int:
        """Bytes that loads and streams move."""
        return sum(span.nbytes for span in self.spans)


@dataclass(frozen=True)
class Plan:
    """What will be in memory when: a list of actions, decided before anything runs."""

    actions: tuple[Action, ...]
    forecast: Forecast = Forecast()

    @property
    def runs(self) -> tuple[Run, ...]:
        return tuple(a for a in self.actions if isinstance(a, Run))
