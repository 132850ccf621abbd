"""What unfinished runs still need: a file of keys for each, which the collection of garbage respects.

A run's file is named by what it makes, so the same command, given again after a crash, goes on with the same file. It
is removed when all is made.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

SUFFIX = ".keys"


@dataclass
class Hold:
    """One run's keys. Nothing is written before the first, so a run that finds all made leaves no trace."""

    file: Path
    title: str
    _keys: set[str] = field(default_factory=set)

    def add(self, key: str) -> None:
        """Note a key, before its artifact is written. Several processes may add to one file."""
        if key in self._keys:
            return
        new = not self.file.exists()
        with self.file.open("ab", buffering=0) as file:
            file.write((f"# {self.title}\n{key}\n" if new else f"{key}\n").encode())
        self._keys.add(key)

    def finish(self) -> None:
        with contextlib.suppress(OSError):  # Where it cannot be removed, it cannot have been made.
            self.file.unlink(missing_ok=True)


class Holds:
    """The unfinished runs of a store."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def of(self, run: str, title: str) -> Hold:
        """The hold of a run. `run` names it; `title` is what people are told of it."""
        return Hold(self.folder / f"{run}{SUFFIX}", " ".join(title.split()))

    def unfinished(self) -> dict[str, frozenset[str]]:
        """The keys that unfinished runs need, by the runs' titles."""
        found: dict[str, frozenset[str]] = {}
        for title, keys in map(_read, sorted(self.folder.glob(f"*{SUFFIX}"))):
            found[title] = found.get(title, frozenset()) | keys
        return found

    def abandon(self) -> None:
        """Give up all unfinished runs: their artifacts stay, and may be collected."""
        for file in self.folder.glob(f"*{SUFFIX}"):
            file.unlink(missing_ok=True)


def _read(file: Path) -> tuple[str, frozenset[str]]:
    lines: Iterator[str] = iter(())
    with contextlib.suppress(FileNotFoundError):
        lines = iter(file.read_text("utf-8", errors="replace").split("\n"))
    title, keys = file.stem, set()
    for line in lines:
        if line.startswith("# "):
            title = line[2:]
        elif len(line) == 64:  # A line that a kill cut short names nothing.
            keys.add(line)
    return title, frozenset(keys)
