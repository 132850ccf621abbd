"""The components of a preset's models: what each holds, and the bytes it takes, whole or split.

Bytes come from the files' headers where the model lies on this machine, else from its configuration in closed form.
Reads no tensor data. Knows no device.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from animatic import catalog, cost, digest, weights
from animatic.blocks import block_of
from animatic.core import Component, Subset
from animatic.spec import BLOCKS, DTYPES, MODULATION, Model, ModelSpec

PROVEN_AT_ONCE = 64 << 20
"""Bytes up to which two components that look alike are compared in full unasked; larger ones only where their digests
are known already (`animatic models verify` makes them)."""


@dataclass(frozen=True)
class Extent:
    """Bytes of a component: in device memory, on disk, and of each of its blocks in device memory."""

    nbytes: int
    disk: int
    blocks: tuple[int, ...]


@lru_cache(maxsize=256)
def component(model: Model, part: str, subset: Subset = "whole") -> Component:
    """A model's component. `subset` "modulation" and "rest" are of its transformer, and bear names of their own."""
    spec = model.spec
    name = f"{spec.stage}.{'modulation' if subset == 'modulation' else part}"
    if part not in spec.weights:
        return Component(name, spec.identity)
    extent = _extent(model, part, subset)
    holds = _holds(model, part, extent)
    return Component(name, spec.identity, extent.nbytes, extent.disk, extent.blocks, subset, holds)


def _holds(model: Model, part: str, extent: Extent) -> str:
    """The digest of what it holds, so that equals are one; empty where reading it all would take too long unasked."""
    if model.folder is None:
        return ""
    folder = model.folder / model.spec.folder_of(part)
    if extent.disk > PROVEN_AT_ONCE and not digest.is_known(folder):
        return ""
    return digest.component_digest(folder, model.spec.dtype)


def _extent(model: Model, part: str, subset: Subset) -> Extent:
    spec = model.spec
    if model.folder is not None:
        return _from_files(model.folder / spec.folder_of(part), spec.family, part, subset, DTYPES[spec.dtype])
    return _from_configuration(spec, part, subset)


def _from_files(folder: Path, family: str, part: str, subset: Subset, itemsize: int) -> Extent:
    tensors = [t for t in weights.inspect(folder) if belongs(family, t.name, subset)]
    lists = BLOCKS.get(family, {}).get(part, ())
    blocks: dict[tuple[int, int], int] = {}
    for tensor in tensors:
        place = block_of(tensor.name, lists)
        if place is not None:
            blocks[place] = blocks.get(place, 0) + weights.cast_nbytes([tensor], itemsize)
    sizes = tuple(blocks[place] for place in sorted(blocks)) if subset != "modulation" else ()
    return Extent(weights.cast_nbytes(tensors, itemsize), weights.nbytes(tensors), sizes)


def _from_configuration(spec: ModelSpec, part: str, subset: Subset) -> Extent:
    """In closed form; a whole one has the size its preset declares, where it does."""
    declared = spec.components.get(part, 0)
    config = catalog.configs(spec)[part]
    if not config:
        return Extent(declared, spec.disk.get(part, declared), ())
    size, itemsize = cost.size(spec.family, part, config), DTYPES[spec.dtype]
    whole = declared or (size.parameters + size.buffers) * itemsize
    blocks = tuple(n * itemsize for n in (size.whole_blocks if subset == "whole" else size.blocks))
    if subset == "modulation":
        return Extent(size.modulation * itemsize, size.modulation * itemsize, ())
    if subset == "rest":
        rest = whole - size.modulation * itemsize
        return Extent(rest, rest, blocks)
    return Extent(whole, spec.disk.get(part, whole), blocks)


def belongs(family: str, tensor: str, subset: Subset) -> bool:
    """Whether a tensor of that name is in the subset."""
    if subset == "whole":
        return True
    pattern = MODULATION.get(family)
    return (pattern is not None and pattern.match(tensor) is not None) == (subset == "modulation")
