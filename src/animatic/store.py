"""Artifacts: stored results, named by what they were made from.

A key is the hash of a phase's name, recipe and inputs. Captions and stills, which a person may touch, enter their
descendants' keys by content; everything else by its own key. Files are the truth: `KEY.KIND.SUFFIX` beside
`KEY.about.json`, its record, which is written last and makes it count. Knows no torch and no formats: an artifact is
bytes.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from platformdirs import user_cache_path

from animatic import files
from animatic.checkpoint import Checkpoint
from animatic.claims import Claim, Claims
from animatic.core import Phase
from animatic.holds import Hold, Holds

OPTION = "--store"
RECORD = ".about.json"
ARTIFACTS, CLAIMS, STATES, HOLDS, DAMAGED = "artifacts", "claims", "states", "unfinished", "damaged"
"""The folders of a store."""
TOUCHED = 3600.0
"""Seconds within which a second use of an artifact is not noted again."""


@dataclass(frozen=True)
class Artifact:
    """A stored result. `digest` is the SHA-256 of what counts as its content."""

    key: str
    path: Path
    digest: str
    record: Mapping[str, Any] = field(default_factory=dict)

    def read(self) -> bytes:
        return self.path.read_bytes()


class Store:
    """The artifacts in a folder, which any number of processes may share.

    hold  notes what this run needs, so that it is not collected before the run is done; None: nothing is noted
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.claims = Claims(folder / CLAIMS)
        self.holds = Holds(folder / HOLDS)
        self.hold: Hold | None = None
        self._known: dict[str, Artifact] = {}
        self._keys: dict[int, tuple[Phase, str]] = {}
        self._remarks: list[str] = []

    def open(self, need: int = 1 << 20) -> Store:
        """Make its folders, and see that `need` bytes can be written. Raises OutputError."""
        for name in (ARTIFACTS, CLAIMS, STATES, HOLDS):
            files.check_writable(self.folder / name, need, OPTION)
        return self

    # ------------------------------------------------------------------------------------------------- names

    def key(self, phase: Phase) -> str | None:
        """The name of the phase's artifact; None while an input that enters by content is not there yet."""
        if (known := self._keys.get(id(phase))) is not None:
            return known[1]
        inputs = [self._identity(given) for given in phase.inputs]
        if None in inputs:
            return None
        recipe = json.dumps([phase.name, phase.recipe, inputs], sort_keys=True, ensure_ascii=False)
        key = hashlib.sha256(recipe.encode()).hexdigest()
        self._keys[id(phase)] = phase, key  # With the phase, whose id would else go to another.
        return key

    def _identity(self, phase: Phase) -> str | None:
        if not phase.by_content:
            return self.key(phase)
        made = self.artifact(phase)
        return made.digest if made else None

    def forget(self) -> None:
        """Forget the phases that were asked for, and what was read: for the next ones of many."""
        self._keys.clear()
        self._known.clear()

    # --------------------------------------------------------------------------------------------- artifacts

    def get(self, key: str) -> Artifact | None:
        """An artifact that is whole. A damaged one is set aside, said, and absent."""
        if key not in self._known:
            made = self._read(key)
            if made is None:
                return None
            self._known[key] = made
            self._note_use(key)
        return self._known[key]

    def artifact(self, phase: Phase) -> Artifact | None:
        key = self.key(phase)
        return None if key is None else self.get(key)

    def put(
        self, key: str, data: bytes, suffix: str, record: Mapping[str, Any], identity: bytes | None = None
    ) -> Artifact:
        """Store `data`. `identity`: what counts as its content, where that is not all of it. Raises OutputError."""
        folder = self._folder(key)
        with files.reported(folder, OPTION):
            folder.mkdir(parents=True, exist_ok=True)
            self._hold(key)
        sha = hashlib.sha256(data).hexdigest()
        digest = sha if identity is None else hashlib.sha256(identity).hexdigest()
        file = f"{key}{suffix}"
        files.write(folder / file, data, OPTION)
        about = {"file": file, "sha256": sha, "digest": digest, "record": record}
        files.write(folder / f"{key}{RECORD}", json.dumps(about, ensure_ascii=False).encode(), OPTION)
        self._checkpoint(key).drop()
        self._known[key] = Artifact(key, folder / file, digest, record)
        return self._known[key]

    def drop(self, phase: Phase) -> None:
        """Give up an artifact that is bulky, and that nothing needs any more."""
        if (key := self.key(phase)) is not None and (made := self.get(key)) is not None:
            del self._known[key]
            with contextlib.suppress(OSError):
                (made.path.parent / f"{key}{RECORD}").unlink(missing_ok=True)
                made.path.unlink(missing_ok=True)

    def lost(self, phase: Phase) -> bool:
        """Whether an artifact that was there has gone since: another process gave it up. From now on it is absent."""
        key = self.key(phase)
        if key is None or (made := self._known.get(key)) is None or made.path.exists():
            return False
        del self._known[key]
        return True

    def missing(self, goals: Iterable[Phase]) -> list[Phase]:
        """What has to run so that the goals are there, inputs before what reads them. An artifact that is there needs
        nothing of what it was made from.
        """
        found: dict[int, Phase] = {}
        seen: set[int] = set()

        def need(phase: Phase) -> None:
            if id(phase) in seen:
                return
            seen.add(id(phase))
            if self.artifact(phase) is None:
                for given in (*phase.inputs, *phase.aids):
                    need(given)
                found[id(phase)] = phase

        for goal in goals:
            need(goal)
        return list(found.values())

    # ------------------------------------------------------------------------------------- while it is being made

    def claim(self, key: str, wait: float = 0.0) -> Claim | None:
        """Take it on oneself to make an artifact. None: another process does, also after `wait` seconds."""
        return self.claims.take(key, wait)

    def checkpoint(self, key: str, environment: str) -> Checkpoint:
        """Where the making of an artifact stands, for who makes it. Raises OutputError."""
        with files.reported(self.folder, OPTION):
            self._hold(key)  # Its states are needed as the artifact will be.
        return self._checkpoint(key, environment)

    def _checkpoint(self, key: str, environment: str = "") -> Checkpoint:
        return Checkpoint(self.folder / STATES / key, environment)

    def _hold(self, key: str) -> None:
        if self.hold is not None:
            self.hold.add(key)

    def remarks(self) -> list[str]:
        """What the user should know of the store, once."""
        said, self._remarks = self._remarks, []
        return said

    # ---------------------------------------------------------------------------------------------------- files

    def _folder(self, key: str) -> Path:
        return self.folder / ARTIFACTS / key[:2]

    def _read(self, key: str) -> Artifact | None:
        about = self._folder(key) / f"{key}{RECORD}"
        try:
            facts = json.loads(about.read_text("utf-8"))
            file = about.parent / facts["file"]
            if hashlib.sha256(file.read_bytes()).hexdigest() == facts["sha256"]:
                return Artifact(key, file, facts["digest"], facts["record"])
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            self._remarks.append(f"{about} cannot be read ({error.strerror or error}): it is made anew")
            return None
        except (ValueError, KeyError, TypeError):
            pass
        self.set_aside(key)
        return None

    def set_aside(self, key: str) -> None:
        """Put a damaged artifact where nothing finds it but a person who looks for it."""
        aside = self.folder / DAMAGED
        with contextlib.suppress(OSError):
            aside.mkdir(exist_ok=True)
            for file in self._folder(key).glob(f"{key}.*"):
                file.replace(aside / file.name)
        self._known.pop(key, None)
        self._remarks.append(f"a damaged artifact is set aside in {aside} and made anew: {key[:12]}")

    def _note_use(self, key: str) -> None:
        about = self._folder(key) / f"{key}{RECORD}"
        with contextlib.suppress(OSError):  # A store that cannot be written is a store to read.
            self._hold(key)
            if abs(time.time() - about.stat().st_mtime) > TOUCHED:
                os.utime(about)


def default() -> Path:
    """The store in the platform's cache folder."""
    return user_cache_path("animatic") / "store"
