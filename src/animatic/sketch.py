"""A cascade that stopped after its cheap stages: a file of captions and choices, for a person to edit and go on from.

It is a batch file like any other (`batch.py` reads it), a shot a line, and what is not edited in it is not made again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from animatic import files
from animatic.core import Shot
from animatic.outputs import free, stem


@dataclass(frozen=True)
class Sketched:
    """A shot with its caption and, where they were drawn, its stills.

    options  those that differ from the preset's
    choice   which still is taken, or how that will be found: "pick", "stills", "scorer", as far as it was said
    """

    shot: Shot
    caption: str
    options: Mapping[str, Any]
    stills: Sequence[Path] = ()
    choice: Mapping[str, Any] = field(default_factory=dict)

    @property
    def line(self) -> dict[str, Any]:
        shot = self.shot
        line: dict[str, Any] = {"id": stem(shot), "prompt": shot.prompt, "caption": self.caption}
        if shot.still is not None:
            line |= {"image": str(shot.still)}
        line |= self.choice
        if self.stills:
            line |= {"stills": [str(still) for still in self.stills]}
        return {**line, "seed": shot.seed, "preset": shot.preset, **self.options}


def write(folder: Path, title: str, shots: Sequence[Sketched]) -> Path:
    """Write the file as `TITLE.jsonl`, never over another's. Raises OutputError."""
    text = "".join(f"{json.dumps(one.line, ensure_ascii=False)}\n" for one in shots)
    for name in free(title):
        path = folder / f"{name}.jsonl"
        if files.write_new({path: text.encode()}) or path.read_bytes() == text.encode():
            return path
    raise AssertionError("unreachable: names never run out")
