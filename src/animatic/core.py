"""The words of the project as plain data: shots, phases, components, plans, events.

Knows nothing of models, files or devices, and imports only the standard library.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
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

    Two components are equal when they hold the same tensors in the same dtype, whatever they are called: one T5 may
    be the text encoder of two models.

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
    def identity(self) -> tuple[str, Subset]:
        return self.holds or f"{self.model}/{self.part}", self.subset

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


# ------------------------------------------------------------------------------------------------------ what happened


@dataclass(frozen=True)
class Event:
    """Something that happened. Bars, job rows, pages and tests are loops over these."""

    @property
    def kind(self) -> str:
        return _snake(type(self).__name__)

    def as_dict(self) -> dict[str, Any]:
        """JSON-able: the kind and every field that is plain data (previews are pixels and stay out)."""
        plain = {f.name: getattr(self, f.name) for f in fields(self) if f.metadata.get("json", True)}
        return {"event": self.kind, **{k: _jsonable(v) for k, v in plain.items()}}

    @staticmethod
    def from_dict(data: Mapping[str, Any]) -> Event | None:
        """The inverse, but for what is left out there: there is no preview, and plan and record are empty.

        None: no event as they are known here, being of another kind, or with a field missing or of a wrong kind.
        """
        kind = _KINDS.get(str(data.get("event")))
        if kind is None:
            return None
        known = [f for f in fields(kind) if f.metadata.get("json", True) and f.name in data]
        absent: dict[str, Any] = {"error": Exception(str(data.get("text"))), "record": {}}
        try:
            return kind(**{f.name: _FROM_JSON[str(f.type)](data[f.name]) for f in known},
                        **{f.name: absent[f.name] for f in fields(kind) if f.name in absent})  # fmt: skip
        except (TypeError, ValueError, AttributeError):
            return None


@dataclass(frozen=True)
class Notice(Event):
    """One line for the user; nothing failed."""

    text: str


@dataclass(frozen=True)
class Planned(Event):
    """What will be done: phases in order, how many shots, and the whole plan, for whoever wants to tell more of it."""

    phases: tuple[str, ...]
    shots: int
    steps: Mapping[str, int] = field(default_factory=dict)
    plan: Plan = field(default=Plan(()), repr=False, metadata={"json": False})


@dataclass(frozen=True)
class StageBegun(Event):
    stage: Stage
    shots: int


@dataclass(frozen=True)
class StageEnded(Event):
    stage: Stage
    seconds: float


@dataclass(frozen=True)
class Loaded(Event):
    component: str
    nbytes: int
    seconds: float


@dataclass(frozen=True)
class Evicted(Event):
    component: str


@dataclass(frozen=True)
class PhaseBegun(Event):
    phase: str
    shot: str


@dataclass(frozen=True)
class Step(Event):
    """Denoising step `step` of `steps` is done. `preview`: uint8 RGB [frames, height, width, 3], or None."""

    phase: str
    shot: str
    step: int
    steps: int
    preview: Any = field(default=None, compare=False, metadata={"json": False})


@dataclass(frozen=True)
class PhaseEnded(Event):
    """A phase of a shot is done.

    peak   the most memory in bytes while it ran: on the GPU, else of the process
    hit    it was already made
    taken  what of it weights and work space took: what a plan foretells
    """

    phase: str
    shot: str
    seconds: float
    peak: int
    hit: bool = False
    taken: int = 0


@dataclass(frozen=True)
class Captioned(Event):
    """The paragraph is there, to be read while the still is drawn."""

    shot: str
    caption: str


@dataclass(frozen=True)
class Drawn(Event):
    """The stills of a shot among which one is to be chosen, as files; with a scorer's scores, and which is best by it.

    best  counted from 1; 0: somebody is asked
    """

    shot: str
    prompt: str
    stills: tuple[Path, ...]
    scores: tuple[float, ...] = ()
    best: int = 0


@dataclass(frozen=True)
class Failed(Event):
    """A phase of a shot went wrong: this shot gets no clip, the others go on."""

    shot: str
    phase: str
    text: str
    error: Exception = field(compare=False, repr=False, metadata={"json": False})


@dataclass(frozen=True)
class Clip(Event):
    """A finished clip: where its files are, and its record. `hit`: it was there already."""

    shot: str
    path: Path
    still: Path
    card: Path
    text: Path
    sidecar: Path
    caption: str
    record: Mapping[str, Any] = field(metadata={"json": False}, repr=False)
    hit: bool = False


@dataclass(frozen=True)
class Sheet(Event):
    """The contact sheet of a batch is written. `failed`: shots without a clip, of `shots`."""

    path: Path
    shots: int
    failed: int


@dataclass(frozen=True)
class Sketch(Event):
    """The cheap stages are done, as was asked: a file to edit, and to go on from. `stills`: the pictures drawn."""

    path: Path
    stills: tuple[Path, ...] = ()


def _stage(value: Any) -> Stage:
    return STAGES[STAGES.index(value)]


_FROM_JSON: dict[str, Callable[[Any], Any]] = {
    "str": str,
    "int": int,
    "float": float,
    "bool": bool,
    "Stage": _stage,
    "Path": Path,
    "tuple[str, ...]": lambda values: tuple(map(str, values)),
    "tuple[float, ...]": lambda values: tuple(map(float, values)),
    "tuple[Path, ...]": lambda values: tuple(map(Path, values)),
    "Mapping[str, int]": lambda value: {str(name): int(number) for name, number in value.items()},
}
"""What an event's field is made with, by its type as it is written."""


def _snake(name: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_")


def _jsonable(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_jsonable(one) for one in value]
    return str(value) if isinstance(value, Path) else value


_KINDS = {_snake(kind.__name__): kind for kind in Event.__subclasses__()}
