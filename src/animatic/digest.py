"""Which weights these are: SHA-256 of files and of single tensors, computed once and remembered.

A file is known by its path, size, time and inode, so it is read again only when it changed. The Hugging Face cache
names files by their SHA-256 itself. Knows no model and must not import torch.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from platformdirs import user_cache_path

from animatic import files, weights
from animatic.errors import OutputError, WeightsError
from animatic.weights import Tensor

CHUNK = 8 << 20
SETTINGS = {".json", ".txt", ".model", ".jinja", ".tiktoken"}
"""Suffixes of the files beside the weights that make a difference to what comes out."""
FILES, TENSORS = "digests.json", "tensors.json"
"""What is remembered, in the user's cache: of files, and of the tensors in them."""

Progress = Callable[[int], None]
"""Is told how many more bytes were read."""


@dataclass(frozen=True)
class Verified:
    """What a component's files hold: SHA-256 by file name, digests by tensor name, and the bytes read."""

    files: Mapping[str, str]
    tensors: Mapping[str, str]
    nbytes: int


# ------------------------------------------------------------------------------------------------ of whole files


def digest(folder: Path, read: bool = True) -> str | None:
    """SHA-256 of a component's weights: of the one file, else of its shards' SHA-256 (hex) in name order.

    read  whether the weights may be read for it; without it, None where that would be needed
    """
    known = _recall(FILES)
    before = dict(known)
    paths = weights.weight_files(folder)
    if not read and any(_known_file_digest(path, known) is None for path in paths):
        return None
    shas = [_file_digest(path, known) for path in paths]
    if known != before:
        _remember(FILES, known)
    return shas[0] if len(shas) == 1 else hashlib.sha256("".join(shas).encode()).hexdigest()


def settings(folder: Path) -> str:
    """SHA-256 of a part's small files: its configuration, a tokenizer's tables. Names and contents count."""
    known = _recall(FILES)
    before = dict(known)
    found = sorted(path for path in folder.glob("*") if path.suffix in SETTINGS and not path.match("*.index.json"))
    lines = [f"{path.name} {_file_digest(path, known)}" for path in found]
    if known != before:
        _remember(FILES, known)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _file_digest(path: Path, known: dict[str, Any]) -> str:
    sha = _known_file_digest(path, known)
    if sha is None:
        with _unchanged(path) as key, path.open("rb") as file:
            sha = hashlib.file_digest(file, "sha256").hexdigest()
        _replace(known, key, sha)
    return sha


def _known_file_digest(path: Path, known: Mapping[str, Any]) -> str | None:
    return _name_in_hub_cache(path) or known.get(_identity(path))


def _name_in_hub_cache(path: Path) -> str | None:
    real = path.resolve()
    return real.name if real.parent.name == "blobs" and re.fullmatch("[0-9a-f]{64}", real.name) else None


# ---------------------------------------------------------------------------------------------- of single tensors


def tensor_digests(folder: Path) -> dict[str, str]:
    """SHA-256 of each tensor's dtype, shape and bytes, by name; reads what is not known yet, in little memory."""
    known = _recall(TENSORS)
    found, new = {}, False
    for path, tensors in _by_file(folder).items():
        shas = _known_tensors(path, tensors, known)
        if shas is None:
            with _unchanged(path) as key:
                _, shas = _hash(path, tensors)
            _replace(known, key, shas)
            new = True
        found.update(shas)
    if new:
        _remember(TENSORS, known)
    return found


def is_known(folder: Path) -> bool:
    """Whether `tensor_digests` and `component_digest` would answer without reading the weights."""
    known = _recall(TENSORS)
    return all(_known_tensors(path, tensors, known) is not None for path, tensors in _by_file(folder).items())


def component_digest(folder: Path, dtype: str, names: Iterable[str] | None = None) -> str:
    """One digest of what a component holds once it is loaded in `dtype`, however its files are sharded.

    names  which of its tensors; without them, all. A name that it lacks raises KeyError
    """
    shas = tensor_digests(folder)
    lines = [dtype, *(f"{name} {shas[name]}" for name in sorted(set(shas if names is None else names)))]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def proven_equal(a: Path, b: Path, compute: bool = False) -> bool:
    """Whether two components certainly hold the same tensors, by name, dtype, shape and bytes.

    compute  whether the weights may be read for it; without it, only what is known already can prove anything

    Raises WeightsError when one of them is missing or damaged.
    """
    if _headers(a) != _headers(b):
        return False
    files_of_a, files_of_b = weights.weight_files(a), weights.weight_files(b)
    known = _recall(FILES)
    shas = [_known_file_digest(path, known) for path in files_of_a]
    if None not in shas and shas == [_known_file_digest(path, known) for path in files_of_b]:
        return True
    return (compute or (is_known(a) and is_known(b))) and tensor_digests(a) == tensor_digests(b)


def verify(folder: Path, progress: Progress | None = None) -> Verified:
    """Read all of a component's weights, and remember the digests of its files and tensors.

    Raises WeightsError when a file is missing or damaged, or has other bytes than its name in the Hugging Face cache or
    an earlier reading of the unchanged file says.
    """
    known = {name: _recall(name) for name in (FILES, TENSORS)}
    shas: dict[str, str] = {}
    found: dict[str, str] = {}
    nbytes = 0
    for path, tensors in _by_file(folder).items():
        with _unchanged(path) as key:
            sha, digests = _hash(path, tensors, progress)
        expected = _known_file_digest(path, known[FILES])
        if expected not in (None, sha):
            raise WeightsError(f"{path} is damaged: its SHA-256 is {sha}, but should be {expected}; download it again")
        _replace(known[FILES], key, sha)
        _replace(known[TENSORS], key, digests)
        shas[path.name] = sha
        found.update(digests)
        nbytes += path.stat().st_size
    for name, entries in known.items():
        _remember(name, entries)
    return Verified(shas, found, nbytes)


def _headers(folder: Path) -> dict[str, tuple[str, tuple[int, ...]]]:
    return {t.name: (t.dtype, t.shape) for t in weights.inspect(folder)}


def _by_file(folder: Path) -> dict[Path, list[Tensor]]:
    by_file: dict[Path, list[Tensor]] = {path: [] for path in weights.weight_files(folder)}
    for tensor in weights.inspect(folder):
        by_file[tensor.file].append(tensor)
    return by_file


def _known_tensors(path: Path, tensors: Iterable[Tensor], known: Mapping[str, Any]) -> dict[str, str] | None:
    shas = known.get(_identity(path))
    return shas if isinstance(shas, dict) and shas.keys() == {t.name for t in tensors} else None


def _hash(path: Path, tensors: Iterable[Tensor], progress: Progress | None = None) -> tuple[str, dict[str, str]]:
    """SHA-256 of a file and of each of its tensors, which follow its header without gaps, in one go."""
    whole = hashlib.sha256()
    shas: dict[str, str] = {}
    buffer = memoryview(bytearray(CHUNK))
    with path.open("rb", buffering=0) as file:

        def take(nbytes: int, *sinks: hashlib._Hash) -> None:
            while nbytes:
                got = file.readinto(buffer[: min(nbytes, CHUNK)])
                if not got:
                    raise WeightsError(f"{path} is truncated: it ends at byte {file.tell():,}; download it again")
                for sink in sinks:
                    sink.update(buffer[:got])
                nbytes -= got
                if progress is not None:
                    progress(got)

        ordered = sorted(tensors, key=lambda t: (t.offset, t.nbytes))
        take(ordered[0].offset if ordered else path.stat().st_size, whole)
        for tensor in ordered:
            sha = weights.tensor_hash(tensor)
            take(tensor.nbytes, whole, sha)
            shas[tensor.name] = sha.hexdigest()
    return whole.hexdigest(), shas


# ------------------------------------------------------------------------------------------------- what is known


def _identity(path: Path) -> str:
    real = path.resolve()
    status = real.stat()
    return f"{real}|{status.st_size}|{status.st_mtime_ns}|{status.st_ino}"


@contextlib.contextmanager
def _unchanged(path: Path) -> Iterator[str]:
    """The file's identity, if it is the same afterwards: what was read while it changed is nobody's digest."""
    key = _identity(path)
    try:
        yield key
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror or error}") from error
    if _identity(path) != key:
        raise WeightsError(f"{path} changed while it was read: try again when it is complete")


def _replace(known: dict[str, Any], key: str, value: Any) -> None:
    """Remember `value`, and forget what the same path was before."""
    path = key.rsplit("|", 3)[0]
    for stale in [k for k in known if k.startswith(f"{path}|")]:
        del known[stale]
    known[key] = value


def _cache_folder() -> Path:
    return user_cache_path("animatic")


def _recall(name: str) -> dict[str, Any]:
    try:
        cached = json.loads((_cache_folder() / name).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return cached if isinstance(cached, dict) else {}


def _remember(name: str, known: Mapping[str, Any]) -> None:
    # A cache that cannot be written (a read-only home) costs time, not correctness.
    with contextlib.suppress(OSError, OutputError):
        _cache_folder().mkdir(parents=True, exist_ok=True)
        files.write(_cache_folder() / name, json.dumps(known, indent=1).encode())
