"""What happens while clips are made, as plain data, and as JSON that a program far away reads back.

Producers yield events, consumers decide: bars, job rows, pages and tests are loops over these. Knows no models or
devices, and imports only the standard library beside the words.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from animatic.core import STAGES, Plan, Stage


@dataclass(frozen=True)
class Event:
    """Something that happened."""

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
