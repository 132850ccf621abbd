"""Artifacts: stored results, named by what they were made from.

A key is the hash of a phase's name, recipe and inputs. Captions and stills, which a person may touch, enter their
descendants' keys by content; everything else by its own key. Knows no torch and no formats: an artifact is bytes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from animatic import files
from animatic.core import Phase


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
    """Artifacts in a folder: `KEY.SUFFIX` beside `KEY.about.json`, which is written last and makes it count."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._known: dict[str, Artifact] = {}

    def key(self, phase: Phase) -> str | None:
        """The name of the phase's artifact; None while an input that enters by content is not there yet."""
        inputs = [self._identity(given) for given in phase.inputs]
        if None in inputs:
            return None
        recipe = json.dumps([phase.name, phase.recipe, inputs], sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(recipe.encode()).hexdigest()

    def get(self, key: str) -> Artifact | None:
        if key not in self._known and (about := self.folder / f"{key}.about.json").exists():
            facts = json.loads(about.read_text("utf-8"))
            self._known[key] = Artifact(key, self.folder / facts["file"], facts["digest"], facts["record"])
        return self._known.get(key)

    def put(
        self, key: str, data: bytes, suffix: str, record: Mapping[str, Any], identity: bytes | None = None
    ) -> Artifact:
        """Store `data`. `identity`: what counts as its content, where that is less than all of it."""
        file = f"{key}{suffix}"
        digest = hashlib.sha256(data if identity is None else identity).hexdigest()
        files.write(self.folder / file, data)
        about = {"file": file, "digest": digest, "record": record}
        files.write(self.folder / f"{key}.about.json", json.dumps(about, ensure_ascii=False).encode())
        self._known[key] = Artifact(key, self.folder / file, digest, record)
        return self._known[key]

    def artifact(self, phase: Phase) -> Artifact | None:
        key = self.key(phase)
        return None if key is None else self.get(key)

    def missing(self, phases: Iterable[Phase]) -> list[Phase]:
        """The phases whose artifacts are not there, in order."""
        return [phase for phase in phases if self.artifact(phase) is None]

    def _identity(self, phase: Phase) -> str | None:
        if not phase.by_content:
            return self.key(phase)
        made = self.artifact(phase)
        return made.digest if made else None
