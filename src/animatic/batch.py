"""Many shots from one file: JSON Lines, CSV or plain text, one shot a line.

Turns lines into wishes and says of each where it stands. Everything is read before anything is checked further, so
nothing runs of a file with a fault in it. Knows no preset and no model.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from animatic.core import Shot
from animatic.errors import InputError, OptionError, PromptError, nearest
from animatic.options import NAMES
from animatic.outputs import stem
from animatic.prepare import Wish, listed

STDIN = Path("-")
MAX_BYTES = 256 << 20
_TEXTS, _NUMBERS = ("prompt", "id", "preset", "caption", "image", "scorer"), ("seed", "takes")
COLUMNS = (*_TEXTS, *_NUMBERS, "stills", "pick", *NAMES)
"""What can be said of a shot; `id` names it and its files."""
_ID = re.compile(r"[^\W_][\w.+-]{0,99}")

Row = tuple[int, Mapping[str, Any]]
"""A line's number, and what stands in it by column."""


def read(file: Path, defaults: Wish) -> list[Wish]:
    """The wishes of a file; `-` is standard input. What a line does not say is as in `defaults`.

    Raises InputError with the line numbers of all that is wrong.
    """
    name, text = _text(file)
    faults: list[Exception] = []
    wishes: list[Wish] = []
    for line, row in _rows(name, text, faults):
        try:
            wishes.append(_wish(row, replace(defaults, where=f"{name}, line {line}")))
        except InputError as error:
            faults.append(type(error)(f"{name}, line {line}: {error}"))
    faults += _repeated(wishes)
    if faults:
        raise faults[0] if len(faults) == 1 else InputError(listed(faults))
    if not wishes:
        raise PromptError(f"{name} has no shot in it: write one a line")
    return wishes


def title(file: Path) -> str:
    """What the batch of a file is called, and its folder."""
    return "batch" if file == STDIN else re.sub(r"[^\w.+-]+", "-", file.stem).strip("-.") or "batch"


def named(shots: Sequence[Shot]) -> list[Shot | None]:
    """Every shot with a name of its own; None in the place of one without a name that was asked for before.

    A derived name comes from the shot alone, and stays the same when lines are added below it.
    """
    taken: set[str] = {shot.name.casefold() for shot in shots if shot.name}
    seen: set[str] = set()
    found: list[Shot | None] = []
    for shot in shots:
        if shot.name:
            found.append(shot)
        elif shot.id in seen:
            found.append(None)
        else:
            name = stem(shot)
            name = name if name.casefold() not in taken else f"{name}-{shot.id[:6]}"
            taken.add(name.casefold())
            seen.add(shot.id)
            found.append(replace(shot, name=name))
    return found


def shard(text: str) -> tuple[int, int]:
    """`2/4`: the second of four parts. Raises OptionError."""
    if not (match := re.fullmatch(r"(\d+)/(\d+)", text)) or not 1 <= int(match[1]) <= int(match[2]):
        raise OptionError(f"--shard {text}: write I/N, from 1/N to N/N, such as 1/4")
    return int(match[1]), int(match[2])


# ----------------------------------------------------------------------------------------------------------- formats


def _text(file: Path) -> tuple[str, str]:
    name = "standard input" if file == STDIN else str(file)
    try:
        with contextlib.nullcontext(sys.stdin.buffer) if file == STDIN else file.open("rb") as opened:
            data = opened.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise InputError(f"{name} has more than {MAX_BYTES >> 20} MiB: divide it")
        return name, data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise InputError(f"{name}, line {line}: not UTF-8: save the file as UTF-8") from None
    except OSError as error:
        raise InputError(f"{name} cannot be read: {error.strerror or error}") from None


def _rows(name: str, text: str, faults: list[Exception]) -> Iterator[Row]:
    first = next((line.strip() for line in text.splitlines() if line.strip()), "")
    if Path(name).suffix in (".json", ".jsonl", ".ndjson") or first.startswith(("{", "[{")) or first == "[":
        return _json_rows(name, text, faults)
    if Path(name).suffix == ".csv" or _is_header(first):
        return _csv_rows(name, text, faults)
    return _text_rows(text)


def _json_rows(name: str, text: str, faults: list[Exception]) -> Iterator[Row]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            if not isinstance(row, dict):
                raise ValueError("write one JSON object a line")
        except (ValueError, RecursionError) as error:
            faults.append(InputError(f"{name}, line {number}: not JSON Lines: {error}"))
            continue
        yield number, {column: value for column, value in row.items() if value is not None}


def _csv_rows(name: str, text: str, faults: list[Exception]) -> Iterator[Row]:
    reader = csv.reader(io.StringIO(text), strict=True)
    header: list[str] | None = None
    begins = 1
    try:
        for cells in reader:
            number, begins = begins, reader.line_num + 1
            if not any(cell.strip() for cell in cells):
                continue
            if header is None:
                header = [cell.strip() for cell in cells]
            elif len(cells) > len(header):
                faults.append(InputError(f"{name}, line {number}: {len(cells)} cells under {len(header)} columns: "
                                         'put a text with commas into "quotes"'))  # fmt: skip
            else:
                yield number, {column: cell for column, cell in zip(header, cells, strict=False) if cell.strip()}
    except csv.Error as error:
        faults.append(InputError(f"{name}, line {reader.line_num}: not CSV: {error}"))


def _is_header(line: str) -> bool:
    cells = [cell.strip() for cell in line.split(",")]
    return "prompt" in cells and all(cell in COLUMNS for cell in cells)


def _text_rows(text: str) -> Iterator[Row]:
    """One prompt a line; empty lines and lines that begin with # are none."""
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip() and not line.lstrip().startswith("#"):
            yield number, {"prompt": line.strip()}


# ------------------------------------------------------------------------------------------------------------ a line


def _wish(row: Mapping[str, Any], defaults: Wish) -> Wish:
    """Raises InputError."""
    for column in row:
        if column not in COLUMNS:
            raise OptionError(f"unknown column {column!r}: {nearest(column, COLUMNS)}")
    if "prompt" not in row:
        raise PromptError("no prompt: say in one sentence what the clip should show")
    said: dict[str, Any] = {column: _words(column, row[column]) for column in _TEXTS if column in row}
    said |= {column: _number(column, row[column]) for column in _NUMBERS if column in row}
    if "stills" in row:  # Those that were drawn already are listed, for a person to look at.
        stills = row["stills"]
        said["stills"] = len(stills) if isinstance(stills, list) else _number("stills", stills)
    if "pick" in row:
        pick = row["pick"]
        said["pick"] = pick if pick == "best" else _number("pick", pick, "a candidate's number, or best")
    chosen = {column: value for column, value in row.items() if column in NAMES}
    name = said.pop("id", "")
    if name and not _ID.fullmatch(name):
        raise OptionError(f"id {name!r}: it names files, so give letters, digits and . + - _ only, at most 100")
    options = {**defaults.options, **chosen} if chosen else defaults.options
    return replace(defaults, **said, name=name, options=options)


def _words(column: str, value: Any) -> str:
    if not isinstance(value, str):
        raise OptionError(f"{column} = {value!r}: give a text")
    return value


def _number(column: str, value: Any, what: str = "a whole number") -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and re.fullmatch(r"\s*-?\d{1,20}\s*", value):
        return int(value)
    raise OptionError(f"{column} = {value!r}: give {what}")


def _repeated(wishes: Iterable[Wish]) -> Iterator[Exception]:
    first: dict[str, Wish] = {}
    for wish in wishes:
        for name in _names(wish):
            if (before := first.setdefault(name.casefold(), wish)) is not wish:
                line = before.where.rpartition(" ")[2]
                yield OptionError(f"{wish.where}: the id {name!r} is that of line {line} already: give each its own")


def _names(wish: Wish) -> list[str]:
    """What its clips are called, where it says so."""
    if not wish.name:
        return []
    with contextlib.suppress(OptionError):  # Takes that cannot be are told when they are resolved.
        return [take.name for take in wish.each_take()]
    return []
