"""Clips under the names that VBench looks for, `{prompt}-{index}.mp4`, for people who have its models.

Knows files and the prompts inside them; measures nothing itself. Copies, and never replaces another's file.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

from animatic import files, media, provenance
from animatic.errors import InputError

_MAX_NAME = 240
"""Bytes of a prompt in a name: file systems take 255, and the index and `.mp4` come after it."""


def export(clips: Sequence[Path], folder: Path) -> list[Path]:
    """Copy each clip into `folder`, indices from 0 for each prompt in the order given; the copies' paths.

    A clip without a record of Animatic goes by its file name. A name that is taken by another file is passed over; one
    that holds the very same clip is left as it is, so the same export twice is one. Raises InputError, before anything
    is written, for a file that is no MP4, and OutputError.
    """
    names = [_name(_prompt(clip)) for clip in clips]
    files.check_writable(folder, sum(clip.stat().st_size for clip in clips), option="--vbench")
    made: list[Path] = []
    for clip, name in zip(clips, names, strict=True):
        made.append(_copy(clip.read_bytes(), folder, name, set(made)))
    return made


def _copy(data: bytes, folder: Path, name: str, ours: set[Path]) -> Path:
    for index in itertools.count():
        path = folder / f"{name}-{index}.mp4"
        if files.write_new({path: data}, option="--vbench"):
            return path
        if path not in ours and path.is_file() and path.read_bytes() == data:
            return path
    raise AssertionError("unreachable: indices never run out")


def _prompt(clip: Path) -> str:
    if not media.is_mp4(clip):
        raise InputError(f"{clip}: {'not an MP4' if clip.exists() else 'there is no such file'}: VBench takes clips")
    try:
        return str(provenance.read(clip)["prompt"])
    except (InputError, KeyError):
        return clip.stem


def _name(prompt: str) -> str:
    """The prompt as VBench spells it in names, without what no name can hold: separators, control characters."""
    name = " ".join("".join(c if c.isprintable() and c not in "/\\" else " " for c in prompt).split())
    return name.encode("utf-8", "ignore")[:_MAX_NAME].decode("utf-8", "ignore").strip() or "clip"
