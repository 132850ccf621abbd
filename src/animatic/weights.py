"""The safetensors format, read directly: what tensors a component's files hold, and whether they are whole.

Reads headers, never tensor data. Knows no model and must not import torch. The format:
https://github.com/huggingface/safetensors#format (8 bytes little-endian header length, JSON header, data).
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

from animatic.errors import WeightsError

BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "U16": 16, "I16": 16, "U32": 32, "I32": 32, "U64": 64, "I64": 64,
    "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8,
    "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8, "F16": 16, "BF16": 16, "F32": 32, "F64": 64, "C64": 64,
}  # fmt: skip
"""Bits an element, by the format's names of dtypes."""

CASTABLE = ("BF16", "F16", "F32", "F64")
"""What can be cast to what a model runs in: numbers that mean themselves, without a scale kept elsewhere."""

MAX_HEADER = 100_000_000
"""Bytes; the format's own bound, so that a damaged length cannot fill the memory."""

STEMS = ("model", "diffusion_pytorch_model")
"""What transformers and diffusers call a component's weights."""

PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
LFS_POINTER = b"version https://git-lfs"


@dataclass(frozen=True)
class Tensor:
    """One tensor in a file: `nbytes` bytes from `offset`, counted from the file's start."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    file: Path
    offset: int
    nbytes: int

    @property
    def elements(self) -> int:
        return math.prod(self.shape)

    @property
    def is_float(self) -> bool:
        return self.dtype.startswith(("F", "BF"))


# --------------------------------------------------------------------------------------------------- one file


def read_header(path: Path) -> tuple[Tensor, ...]:
    """The tensors of one safetensors file, in the order of their offsets.

    Raises WeightsError when the file is missing, empty, a Git LFS pointer, truncated or too long, or when its
    header is too large, no JSON, or describes tensors that overlap, leave holes or do not fit their shapes.
    """
    header, start, size = _split(path)
    tensors = sorted(
        (_tensor(path, name, entry, start) for name, entry in header.items() if name != "__metadata__"),
        key=lambda t: (t.offset, t.nbytes),
    )
    end = max((t.offset + t.nbytes for t in tensors), default=start)
    if end > size:
        raise WeightsError(f"{path} is truncated: {size:,} of {end:,} bytes are there; download it again")
    at, before = start, "the header"
    for tensor in tensors:
        if tensor.offset != at:
            how = "overlap" if tensor.offset < at else "leave a hole"
            raise WeightsError(f"{path} is damaged: the offsets of {before} and {tensor.name} {how}")
        at, before = at + tensor.nbytes, tensor.name
    if size > end:
        raise WeightsError(f"{path} is damaged: {size - end:,} bytes follow its last tensor")
    return tuple(tensors)


def _split(path: Path) -> tuple[dict[str, Any], int, int]:
    """The parsed header, where the data starts, and the file's size."""
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            head = file.read(8)
            if not head:
                raise WeightsError(f"{path} is empty; download it again")
            if LFS_POINTER.startswith(head) and (head + file.read(32)).startswith(LFS_POINTER):
                raise WeightsError(f"{path} is a Git LFS pointer, not the weights: run `git lfs pull` there")
            length = int.from_bytes(head, "little")
            if len(head) < 8:
                raise WeightsError(f"{path} is truncated: {size} bytes are there; download it again")
            if length > MAX_HEADER:
                raise WeightsError(f"{path} is no safetensors file: its header would take {length:,} bytes")
            if 8 + length > size:
                raise WeightsError(f"{path} is truncated within its header: {size:,} bytes are there")
            text = file.read(length)
    except FileNotFoundError:
        raise WeightsError(f"{path} is missing") from None
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror or error}") from None
    return _parse(path, text), 8 + length, size


def _parse(path: Path, text: bytes) -> dict[str, Any]:
    try:
        header = json.loads(text.decode("utf-8"), object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise WeightsError(f"{path} is damaged: its header is no JSON: {error}") from None
    if not isinstance(header, dict):
        raise WeightsError(f"{path} is damaged: its header is no JSON object")
    return header


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    unique = dict(pairs)
    if len(unique) != len(pairs):
        raise ValueError("a name stands twice in it")
    return unique


def _tensor(path: Path, name: str, entry: Any, start: int) -> Tensor:
    fields = entry if isinstance(entry, dict) else {}
    dtype, shape, offsets = fields.get("dtype"), fields.get("shape"), fields.get("data_offsets")
    if not (_counts(shape) and _counts(offsets) and len(offsets) == 2 and isinstance(dtype, str)):
        raise WeightsError(f"{path} is damaged: its header does not describe {name} properly")
    if dtype not in BITS:
        raise WeightsError(f"{path}: {name} has the unknown dtype {dtype!r}")
    begin, end = offsets
    want = -(-math.prod(shape) * BITS[dtype] // 8)
    if end - begin != want:
        what = f"{name} is {dtype} {shape}, which takes {want:,} bytes, but has {end - begin:,}"
        raise WeightsError(f"{path} is damaged: {what}")
    return Tensor(name, dtype, tuple(shape), path, start + begin, want)


def _counts(value: Any) -> TypeGuard[list[int]]:
    return isinstance(value, list) and all(type(n) is int and n >= 0 for n in value)


# ---------------------------------------------------------------------------------------------- one component


def inspect(folder: Path) -> tuple[Tensor, ...]:
    """The tensors of a component: one file, or shards with an index that agrees with their headers.

    Raises WeightsError: missing, damaged, or only there as pickles, which could run code and are refused.
    """
    tensors = tuple(t for file in weight_files(folder) for t in read_header(file))
    if index := _index(folder):
        mapped = _weight_map(index)
        found = {t.name: t.file.name for t in tensors}
        if len(found) != len(tensors):
            raise WeightsError(f"{folder} is damaged: two of its shards hold a tensor of the same name")
        if wrong := sorted(mapped.items() ^ found.items()):
            raise WeightsError(f"{index} does not agree with its shards about {wrong[0][0]}")
    return tensors


def weight_files(folder: Path) -> tuple[Path, ...]:
    """The files that hold a component's weights, in the order of their names; all of them are there.

    Raises WeightsError as `inspect` does, but does not open the weights themselves.
    """
    for stem in STEMS:
        if (single := folder / f"{stem}.safetensors").is_file():
            return (single,)
    if index := _index(folder):
        shards = [folder / name for name in sorted(set(_weight_map(index).values()))]
        if missing := [shard.name for shard in shards if not shard.is_file()]:
            count = f"{len(missing)} of {len(shards)} shards"
            raise WeightsError(f"{folder} is incomplete: {count} are missing, first {missing[0]}")
        return tuple(shards)
    raise WeightsError(_why_none(folder))


def nbytes(tensors: Iterable[Tensor]) -> int:
    """Bytes of the tensors as they are stored."""
    return sum(t.nbytes for t in tensors)


def cast_nbytes(tensors: Iterable[Tensor], itemsize: int) -> int:
    """Bytes of the tensors once those of floating point are cast to `itemsize` bytes an element."""
    return sum(t.elements * itemsize if t.is_float else t.nbytes for t in tensors)


def check_dtypes(tensors: Iterable[Tensor], allowed: Collection[str] = CASTABLE) -> None:
    """Raises WeightsError for a tensor of another dtype, by name. To be handed those that a model has as floats."""
    for tensor in tensors:
        if tensor.dtype not in allowed:
            what = f"{tensor.name} is {tensor.dtype}, where {', '.join(sorted(allowed))} is wanted"
            raise WeightsError(f"{tensor.file}: {what}: these weights are quantized, or of another model")


def _index(folder: Path) -> Path | None:
    if any((folder / f"{stem}.safetensors").is_file() for stem in STEMS):
        return None
    found = (folder / f"{stem}.safetensors.index.json" for stem in STEMS)
    return next((index for index in found if index.is_file()), None)


def _weight_map(index: Path) -> dict[str, str]:
    try:
        mapped = json.loads(index.read_text("utf-8"))["weight_map"]
        named = {str(name): str(file) for name, file in mapped.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise WeightsError(f"{index} is no index of shards: {error!r}") from None
    for file in named.values():
        if Path(file).name != file or not file.endswith(".safetensors"):
            raise WeightsError(f"{index} names {file!r}, which is no safetensors file beside it")
    return named


def _why_none(folder: Path) -> str:
    if not folder.is_dir():
        return f"{folder} is missing"
    names = sorted(path.name for path in folder.iterdir())
    if strays := [name for name in names if name.endswith(".safetensors")]:
        return f"{folder} is incomplete: {strays[0]} is there, but no index names its shards"
    if pickled := [name for name in names if name.endswith(PICKLES)]:
        return f"{folder} has only pickled weights ({pickled[0]}): refused, Animatic needs safetensors"
    return f"{folder} has no weights: {STEMS[0]}.safetensors or {STEMS[1]}.safetensors is missing"


def tensor_hash(tensor: Tensor) -> hashlib._Hash:
    """The SHA-256 of a tensor, still without its bytes: equal ones are of the same dtype, shape and bytes."""
    return hashlib.sha256(f"{tensor.dtype} {list(tensor.shape)}\n".encode())
