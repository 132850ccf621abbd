"""What was measured on this machine: the seconds and peaks of phases, the seconds of loads. Later plans use it.

One small JSON file in the platform's cache folder; a damaged or unwritable one costs accuracy, never a run. Knows no
model: a phase's shape is the numbers of its cost. Runs that share the file may lose each other's last samples.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from platformdirs import user_cache_path

from animatic import files
from animatic.errors import OutputError

KEPT = 5
"""Samples kept of each shape: a median of five withstands two disturbed runs."""

SHAPES = 12
"""Shapes kept of each phase, the latest ones."""


@dataclass(frozen=True)
class Sample:
    """One measured phase of one shot: its cost in closed form, and what it took.

    flops, passes  of the cost (see `cost`); seconds; workspace: bytes at its peak beside its components
    """

    flops: float
    passes: int
    seconds: float
    workspace: int

    @property
    def shape(self) -> tuple[float, int]:
        return self.flops, self.passes


class History:
    """Samples by what was run and on what device. Read when first asked, written by `save`."""

    def __init__(self, file: Path | None = None) -> None:
        self._file = file or user_cache_path("animatic") / "history.json"
        self._data: dict[str, dict[str, list[Any]]] | None = None

    def runs(self, device: str, model: str, phase: str) -> list[Sample]:
        """The samples of one phase of one model, oldest first."""
        return list(_samples(self._table("runs").get(_key(device, model, phase), [])))

    def of_device(self, device: str) -> Mapping[str, list[Sample]]:
        """All samples of a device, by phase."""
        found: dict[str, list[Sample]] = {}
        for key, rows in self._table("runs").items():
            where, _, phase = _split(key)
            if where == device:
                found.setdefault(phase, []).extend(_samples(rows))
        return found

    def load_seconds(self, device: str, component: str) -> float | None:
        """The median seconds that loading a component took here; None when it never was."""
        seconds = [row[1] for row in self._table("loads").get(_key(device, component, ""), []) if _is_pair(row)]
        return statistics.median(seconds) if seconds else None

    def load_rate(self, device: str, least: int = 32 << 20) -> float | None:
        """Bytes a second of the loads of at least `least` bytes here; None when there were none."""
        rows = [
            row
            for key, rows in self._table("loads").items()
            if _split(key)[0] == device
            for row in rows
            if _is_pair(row) and row[0] >= least
        ]
        seconds = sum(row[1] for row in rows)
        return sum(row[0] for row in rows) / seconds if seconds > 0 else None

    def note_run(self, device: str, model: str, phase: str, sample: Sample) -> None:
        rows = [*self.runs(device, model, phase), sample]
        self._table("runs")[_key(device, model, phase)] = [asdict(one) for one in _latest(rows)]

    def note_load(self, device: str, component: str, nbytes: int, seconds: float) -> None:
        rows = self._table("loads").setdefault(_key(device, component, ""), [])
        rows.append([nbytes, seconds])
        del rows[:-KEPT]

    def save(self) -> None:
        if self._data is None:
            return
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            files.write(self._file, json.dumps(self._data).encode())
        except (OSError, OutputError):
            pass  # A read-only home costs accuracy, not the run.

    def _table(self, name: str) -> dict[str, list[Any]]:
        if self._data is None:
            self._data = _read(self._file)
        return self._data.setdefault(name, {})


def _read(file: Path) -> dict[str, dict[str, list[Any]]]:
    try:
        data = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    tables = data.items() if isinstance(data, dict) else ()
    return {
        name: {key: rows for key, rows in table.items() if isinstance(rows, list)}
        for name, table in tables
        if isinstance(table, dict)
    }


def _samples(rows: Iterable[Any]) -> Iterator[Sample]:
    for row in rows:
        try:
            yield Sample(**row)
        except TypeError:
            continue  # Of another version, or damaged.


def _latest(samples: list[Sample]) -> list[Sample]:
    """The latest samples of each shape, and the latest shapes, in order."""
    shapes: dict[tuple[float, int], list[int]] = {}
    for index, sample in enumerate(samples):
        shapes.setdefault(sample.shape, []).append(index)
    latest = sorted(shapes.values(), key=lambda indices: indices[-1])[-SHAPES:]
    return [samples[index] for index in sorted(index for indices in latest for index in indices[-KEPT:])]


def _is_pair(row: Any) -> bool:
    return isinstance(row, list) and len(row) == 2 and all(isinstance(value, int | float) for value in row)


def _key(device: str, model: str, phase: str) -> str:
    return "|".join((device, model, phase))


def _split(key: str) -> tuple[str, str, str]:
    device, _, rest = key.partition("|")
    model, _, phase = rest.rpartition("|")
    return device, model, phase
