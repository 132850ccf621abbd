"""A store as a whole: what lies in it, whether it is sound, and what may go.

Collecting takes the longest unused artifacts first, captions and stills last, and never what an unfinished run needs.
It reads names and times only, so a hundred thousand artifacts take seconds.
"""

from __future__ import annotations

import contextlib
import math
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from animatic import files
from animatic.store import ARTIFACTS, DAMAGED, RECORD, STATES, Store

PRECIOUS = ("caption", "still")
"""Kinds that name what follows from them: small, and collected last."""
DAMAGED_FOR = 30 * 86_400.0
"""Seconds that a damaged artifact stays for a person to look at."""


FRESH = 0.2
"""Seconds that a collection relies on what it read of unfinished runs."""


@dataclass
class Item:
    """An artifact's files. `used`: seconds since the epoch, of its last use; None: it has no record, so it does not
    count. `kind`: caption, embeddings, latents, ...
    """

    key: str
    kind: str = "unknown"
    nbytes: int = 0
    used: float | None = None
    files: list[Path] = field(default_factory=list)


@dataclass(frozen=True)
class Collected:
    """What a collection did: artifacts and bytes removed and left, and how many were left for unfinished runs."""

    removed: int
    freed: int
    left: int
    nbytes: int
    needed: int
    strays: int


def items(store: Store) -> Iterator[Item]:
    """Every artifact of a store, folder by folder."""
    for folder in sorted(_folders(store.folder / ARTIFACTS)):
        found: dict[str, Item] = {}
        with os.scandir(folder) as entries:
            for entry in entries:
                key, _, rest = entry.name.partition(".")
                if len(key) != 64:
                    continue
                try:
                    status = entry.stat()
                except FileNotFoundError:
                    continue  # Given up meanwhile.
                item = found.setdefault(key, Item(key))
                item.files.append(Path(entry.path))
                item.nbytes += status.st_size
                if entry.name.endswith(RECORD):
                    item.used = status.st_mtime
                else:
                    item.kind = rest.partition(".")[0]
        yield from found.values()


def damaged(store: Store) -> Iterator[Item]:
    """Read every artifact, and set aside those that are not what their records say."""
    for item in items(store):
        if item.used is not None and store.get(item.key) is None and _still_there(store, item):
            yield item
        store.forget()


def _still_there(store: Store, item: Item) -> bool:
    """Whether it was set aside, or cannot be read; not, when another process has given it up meanwhile."""
    places = {store.folder / DAMAGED, *(file.parent for file in item.files)}
    return any((place / file.name).exists() for place in places for file in item.files)


def collect(store: Store, keep: int | None = None, older: float | None = None, now: float | None = None) -> Collected:
    """Remove what is not needed: artifacts until `keep` bytes are left, those not used for `older` seconds, and what
    killed processes left behind.

    A clock that went back makes nothing old: what was used in the future counts as used now.
    """
    now = time.time() if now is None else now
    needed = _Needed(store)
    strays = _sweep(store, needed, now)
    every = [item for item in items(store) if not _incomplete(item, store)]
    every.sort(key=lambda item: (item.kind in PRECIOUS, item.used or 0.0))
    total = sum(item.nbytes for item in every)
    removed = freed = held = 0
    for item in every:
        too_old = older is not None and now - (item.used or 0.0) > older
        too_many = keep is not None and total - freed > keep
        if not (too_old or too_many):
            continue
        if item.key in needed:
            held += 1
            continue
        _remove(item)
        removed += 1
        freed += item.nbytes
    return Collected(removed, freed, len(every) - removed, total - freed, held, strays)


class _Needed:
    """The keys that unfinished runs need. Looked up again all along: runs begin while a collection goes on."""

    def __init__(self, store: Store) -> None:
        self._holds = store.holds
        self._keys = frozenset[str]()
        self._read = -math.inf

    def __contains__(self, key: str) -> bool:
        if time.monotonic() - self._read > FRESH:
            self._keys = frozenset[str]().union(*self._holds.unfinished().values())
            self._read = time.monotonic()
        return key in self._keys


def _incomplete(item: Item, store: Store) -> bool:
    """Whether it is a half artifact; if nobody is at it any more, it is removed."""
    if item.used is not None and len(item.files) > 1:
        return False
    if (claim := store.claim(item.key)) is not None:
        if store.get(item.key) is None:
            _remove(item)
        claim.release()
    return True


def _remove(item: Item) -> None:
    """The record first: without it, the artifact does not count."""
    for file in sorted(item.files, key=lambda file: not file.name.endswith(RECORD)):
        with contextlib.suppress(OSError):
            file.unlink(missing_ok=True)


def _sweep(store: Store, needed: _Needed, now: float) -> int:
    """Remove what killed processes left: half written files, states that nobody goes on from, locks; and what was set
    aside as damaged long ago.
    """
    strays = 0
    for folder in (*_folders(store.folder / ARTIFACTS), store.folder / STATES):
        strays += files.sweep(folder)
    for file in (store.folder / STATES).glob("[0-9a-f]*"):
        if file.name not in needed:
            strays += _stray(store, file, file.name)
    for file in (store.folder / DAMAGED).glob("*"):
        if now - file.stat().st_mtime > DAMAGED_FOR:
            file.unlink(missing_ok=True)
    return strays + store.claims.sweep()


def _stray(store: Store, file: Path, key: str) -> int:
    """Remove a file, unless someone is at work on its key."""
    if (claim := store.claim(key)) is None:
        return 0
    with contextlib.suppress(OSError):
        file.unlink(missing_ok=True)
    claim.release()
    return 1


def _folders(folder: Path) -> Iterator[Path]:
    with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
        yield from (Path(entry.path) for entry in entries if entry.is_dir())
