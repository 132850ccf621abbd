"""Which shots have their clip, and what became of the others: of single clips, and of a batch.

Single clips are known by their sidecars; a batch keeps `results.jsonl` and draws a contact sheet from it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from animatic import files, sheet
from animatic.core import Shot
from animatic.errors import BatchError
from animatic.events import Clip, Event, Failed, Notice, Sheet
from animatic.outputs import Outputs
from animatic.results import Lines, completed, failed

INDEX = "index.html"


@dataclass(frozen=True)
class Ask:
    """A shot that is asked for.

    signature  names what its clip follows from (`pipeline.signature`); empty as long as its still is not chosen
    entry      names what was asked for, and how its still is chosen: by this a batch knows the shot again
    """

    shot: Shot
    signature: str
    entry: str


def failure(failures: Sequence[Failed], asked: int) -> Exception:
    """What a caller is told in the end of shots that failed, of so many: of the only one, what it was."""
    first = failures[0]
    if asked == 1:
        return first.error
    return BatchError(f"{len(failures)} of {asked} shots failed, the others are made; "
                      f"the first: {first.phase}: {first.text}")  # fmt: skip


class Books(Protocol):
    def find(self, ask: Ask) -> bool:
        """Whether a shot has its clip already."""

    def told(self) -> Iterator[Event]:
        """What was found since it was told last."""

    def note(self, ask: Ask, event: Clip | Failed) -> None:
        """A shot has its clip now, or has failed."""

    def close(self) -> Iterator[Event]:
        """All is done, or was stopped."""


class Shelf:
    """Single clips in an output folder."""

    def __init__(self, outputs: Outputs) -> None:
        self._outputs = outputs
        self._found: list[Clip] = []

    def find(self, ask: Ask) -> bool:
        clip = self._outputs.find(ask.shot, ask.signature) if ask.signature else None
        self._found += [clip] if clip else []
        return clip is not None

    def told(self) -> Iterator[Event]:
        yield from self._found
        self._found = []

    def note(self, ask: Ask, event: Clip | Failed) -> None:
        """The sidecar, which is written with the clip, is the note."""

    def close(self) -> Iterator[Event]:
        yield from ()


class BatchBooks:
    """A batch in its folder."""

    def __init__(self, folder: Path, title: str) -> None:
        self._folder = folder
        self._title = title
        self._lines = Lines(folder)
        files.sweep(folder)
        self._made = self._lines.made()
        self._names: dict[str, bool] = {}
        self._told = False
        self._failed: set[str] = set()

    def find(self, ask: Ask) -> bool:
        found = self._made.get(ask.shot.name, ("",))[0] == ask.entry
        self._names[ask.shot.name] = found
        return found

    def told(self) -> Iterator[Event]:
        if not self._told:
            yield Notice(f"{sum(self._names.values()):,} of {len(self._names):,} shots are made already")
        self._told = True

    def note(self, ask: Ask, event: Clip | Failed) -> None:
        if isinstance(event, Clip):
            self._lines.add(completed(ask.shot, event, ask.entry))
        else:
            self._failed.add(ask.shot.name)
            self._lines.add(failed(ask.shot, event, ask.entry))

    def close(self) -> Iterator[Event]:
        self._lines.settle(self._names)
        told = {line["id"] for line in self._lines}
        missing = sum(name not in told for name in self._names)
        path = self._folder / INDEX
        files.write(path, (part.encode() for part in sheet.page(self._title, self._lines, missing)))
        yield Sheet(path, len(self._names), len(self._failed))
