"""What became of a batch: `results.jsonl` in its folder, a line a shot, from which the contact sheet is drawn.

Lines are added as shots are done, by any number of processes; in the end it is one line a shot, in the batch's order.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from animatic import files
from animatic.core import Shot
from animatic.events import Clip, Failed

FILE = "results.jsonl"
_STAGES = ("refine", "image", "video", "file")


class Lines:
    """The lines in a batch's folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._file = folder / FILE

    def made(self) -> dict[str, tuple[str, str]]:
        """The shots that have their clip, by id: what they follow from (`books.Ask.entry`), and the clip's file."""
        done = {line["id"]: (line["signature"], line["clip"]) for line in self if line["status"] == "completed"}
        return {name: made for name, made in done.items() if (self.folder / made[1]).exists()}

    def add(self, line: Mapping[str, Any]) -> None:
        """Add a line, at once and whole; after one that a kill cut short, on a line of its own. Raises OutputError."""
        text = json.dumps(line, ensure_ascii=False, separators=(",", ":"))
        with files.reported(self._file), self._file.open("ab+", buffering=0) as file:
            whole = file.tell() == 0 or (file.seek(-1, os.SEEK_END) >= 0 and file.read(1) == b"\n")
            file.write((text if whole else f"\n{text}").encode() + b"\n")

    def settle(self, names: Iterable[str]) -> None:
        """One line a shot, the last that was said of it, in the order of `names`; others, below."""
        places = [(line["id"], place) for place, line in self._placed()]
        last = dict(places)
        order = [name for name in dict.fromkeys((*names, *last)) if name in last]
        if order != [name for name, _ in places]:
            with files.reported(self._file), self._file.open("rb") as file:
                files.write(self._file, (_line_at(file, last[name]) for name in order))

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """The lines, one by one; one that a kill cut short says nothing."""
        return (line for _, line in self._placed())

    def _placed(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Each line, and where in the file it begins."""
        place = 0
        with contextlib.suppress(FileNotFoundError, NotADirectoryError), self._file.open("rb") as file:
            for text in file:
                with contextlib.suppress(ValueError):
                    line = json.loads(text)
                    if isinstance(line, dict) and "id" in line and "status" in line:
                        yield place, line
                place += len(text)


def _line_at(file: BinaryIO, place: int) -> bytes:
    file.seek(place)
    return file.readline().rstrip(b"\n") + b"\n"


def completed(shot: Shot, clip: Clip, signature: str) -> dict[str, Any]:
    """The line of a shot that has its clip."""
    record = clip.record
    container = record.get("measures", {}).get("container", {})
    return {
        **_asked(shot, "completed", signature),
        "caption": clip.caption,
        "clip": clip.path.name,
        "still": clip.still.name,
        "card": clip.card.name,
        "sidecar": clip.sidecar.name,
        "size": [container.get("width"), container.get("height")],
        "frames": container.get("frames"),
        "fps": container.get("fps"),
        "seconds": _seconds(record),
        "measures": record.get("measures", {}),
        "made": record.get("made"),
    }


def failed(shot: Shot, failure: Failed, signature: str) -> dict[str, Any]:
    """The line of a shot that failed."""
    return {**_asked(shot, "failed", signature), "error": f"{failure.phase}: {failure.text}"}


def _asked(shot: Shot, status: str, signature: str) -> dict[str, Any]:
    return {
        "id": shot.name,
        "status": status,
        "signature": signature,
        "prompt": shot.prompt,
        "seed": shot.seed,
        "preset": shot.preset,
    }


def _seconds(record: Mapping[str, Any]) -> dict[str, float]:
    """Seconds by stage, of its phases alone: loading is shared by all shots."""
    phases = record.get("phases", {})
    sums = {
        stage: sum(phase["seconds"] for name, phase in phases.items() if name.startswith(f"{stage}."))
        for stage in _STAGES
    }
    return {stage: round(seconds, 3) for stage, seconds in sums.items() if seconds}
