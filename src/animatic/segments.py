"""A component's tensors in segments, each in one piece of memory: what lies outside all blocks, then block by block.

A segment looks the same wherever it lies, so it moves as one piece. Also where segments come from: the files, or a copy
in main memory. Decides nothing about where they go.
"""

from __future__ import annotations

import hashlib
import mmap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from threading import Event
from typing import Protocol

import torch

from animatic.arena import Arenas
from animatic.blocks import block_of
from animatic.device import Device, Lane
from animatic.errors import WeightsError
from animatic.reader import ALIGNMENT, Cancelled, Place, Reader
from animatic.skeleton import TORCH, Skeleton, Weight


@dataclass(frozen=True, eq=False)
class Segment:
    """Tensors that lie together.

    path     the block's name in its module; empty: outside all blocks
    weights  each with its offset from the segment's beginning
    nbytes   whole, so that another segment may follow
    """

    path: str
    weights: tuple[tuple[Weight, int], ...]
    nbytes: int

    def fingerprint(self) -> str:
        """What its bytes follow from: the files it is read from as they are now, and how it lies. Raises OSError."""
        files = {file: file.stat() for file in {w.tensor.file for w, _ in self.weights if w.tensor is not None}}
        found = hashlib.sha256(repr(self.nbytes).encode())
        for weight, offset in self.weights:
            tensor = weight.tensor
            assert tensor is not None, "made by the library, so no file says what it is"
            file = files[tensor.file]
            # By its inode: one file has many names in a cache. Any change to a file changes its ctime.
            source = file.st_dev, file.st_ino, file.st_size, file.st_ctime_ns, tensor.offset, tensor.dtype
            found.update(repr((*source, offset, tuple(weight.shape), str(weight.dtype))).encode())
        return found.hexdigest()

    def tensors(self, memory: torch.Tensor) -> dict[str, torch.Tensor]:
        """Views of `memory`, which begins with this segment, by the names of its tensors."""
        return {weight.names[0]: _view(memory, offset, weight) for weight, offset in self.weights}


Placed = Sequence[tuple[Segment, int]]
"""Segments, and where each begins in one piece of memory."""


class Feed(Protocol):
    """Where segments come from."""

    def fill(self, memory: torch.Tensor, placed: Placed, lane: Lane, cancelled: Event) -> None:
        """Bring segments into memory; copies may still be under way in `lane`. Raises WeightsError, Cancelled."""


def segments(bones: Skeleton, lists: Sequence[str]) -> tuple[Segment, ...]:
    """All of a module's tensors: the segment outside all blocks first, then the blocks as they run.

    lists  the names of the module lists whose items are the blocks, in order
    """
    groups: dict[tuple[int, int], list[Weight]] = {(-1, 0): []}
    for weight in bones.weights:
        groups.setdefault(_block(weight, lists) or (-1, 0), []).append(weight)
    return tuple(
        _segment(f"{lists[number]}.{index}" if number >= 0 else "", groups[number, index])
        for number, index in sorted(groups)
    )


def placed(some: Iterable[Segment]) -> tuple[Placed, int]:
    """The segments one after another, and the bytes they take."""
    result, end = [], 0
    for segment in some:
        result.append((segment, end))
        end += segment.nbytes
    return result, end


class Files:
    """Segments from the component's files, cast on the way where they have to be. For one thread at a time.

    ring  buffers of main memory that what is not read in place passes through
    """

    def __init__(self, reader: Reader, ring: Sequence[torch.Tensor] | None = None) -> None:
        self._reader = reader
        self._ring = ring

    def fill(self, memory: torch.Tensor, placed: Placed, lane: Lane, cancelled: Event) -> None:
        direct: list[Place] = []
        staged: dict[tuple[str, str], tuple[Weight, int]] = {}
        for segment, begin in placed:
            for weight, offset in segment.weights:
                tensor = weight.tensor
                assert tensor is not None, "made by the library, so it never comes from the files"
                if memory.device.type == "cpu" and TORCH[tensor.dtype] == weight.dtype:
                    direct.append(Place(tensor, begin + offset, weight.nbytes))
                else:
                    staged[str(tensor.file), tensor.name] = weight, begin + offset
        if direct:
            self._reader.fill(direct, _bytes(memory), cancelled)
        if staged:
            self._pass_through(memory, staged, lane, cancelled)

    def _pass_through(
        self,
        memory: torch.Tensor,
        staged: Mapping[tuple[str, str], tuple[Weight, int]],
        lane: Lane,
        cancelled: Event,
    ) -> None:
        """Through the ring, a piece at a time."""
        tensors = [weight.tensor for weight, _ in staged.values() if weight.tensor is not None]
        ring = None if self._ring is None else [_bytes(buffer) for buffer in self._ring]
        pieces = self._reader.chunks(tensors, cancelled, ring)
        try:
            for tensor, start, read in pieces:
                weight, offset = staged[str(tensor.file), tensor.name]
                piece = torch.frombuffer(read, dtype=TORCH[tensor.dtype])
                begin = start // piece.element_size()
                target = _view(memory, offset, weight).view(-1)
                lane.copy(target[begin : begin + piece.numel()], piece)
                lane.settle()
        finally:
            pieces.close()  # type: ignore[attr-defined]


Bring = Callable[[Feed, Lane, Event], None]
"""Fills what room was made for. Raises what feeds raise, and CapacityError."""


class HostCopy:
    """Segments in main memory, by their paths.

    shared  where segments lie that other processes use, too, and their names there; None: nobody else uses any
    nbytes  what they take together; of shared ones, too: each process has to be granted what it uses, because it may
            be the last one to use it
    """

    def __init__(self, shared: tuple[Arenas, Mapping[str, str]] | None = None) -> None:
        self.nbytes = 0
        self._shared = shared
        self._here: dict[str, torch.Tensor] = {}

    def __contains__(self, segment: Segment) -> bool:
        return segment.path in self._here

    def add(self, device: Device, some: Iterable[Segment]) -> tuple[torch.Tensor, Placed]:
        """Make room for segments: the memory, and where each of them goes in it."""
        places, nbytes = placed(segment for segment in some if segment not in self)
        memory = device.host(nbytes)
        self._here |= {segment.path: memory[begin : begin + segment.nbytes] for segment, begin in places}
        self.nbytes += nbytes
        return memory, places

    def reserve(self, device: Device, some: Iterable[Segment]) -> Bring:
        """Make room for segments, of which only those are filled that nobody has."""
        if self._shared is None:
            room = self.add(device, some)
            return lambda feed, lane, cancelled: feed.fill(*room, lane, cancelled)
        new = [segment for segment in some if segment not in self]
        self.nbytes += sum(segment.nbytes for segment in new)
        return partial(self._bring, device, new)

    def _bring(self, device: Device, some: Iterable[Segment], feed: Feed, lane: Lane, cancelled: Event) -> None:
        """Each segment is a piece by itself: so they are shared by those who stream different ones, too, and none lies
        in memory that is not in somebody's grant."""
        for segment in some:
            fill = partial(_fill, feed, segment, lane, cancelled)
            memory = self._piece(device, segment, fill, cancelled)
            if memory is None:  # No room there: as if nothing were shared.
                memory = device.host(segment.nbytes)
                fill(memory)
            self._here[segment.path] = memory

    def _piece(
        self, device: Device, segment: Segment, fill: Callable[[torch.Tensor], None], cancelled: Event
    ) -> torch.Tensor | None:
        if self._shared is None or not segment.nbytes:
            return None
        arenas, names = self._shared

        def into(memory: mmap.mmap) -> None:
            fill(torch.frombuffer(memory, dtype=torch.uint8))

        piece = arenas.piece(names[segment.path], segment.nbytes, into, cancelled)
        return None if piece is None else device.borrowed(piece)

    def fill(self, memory: torch.Tensor, placed: Placed, lane: Lane, cancelled: Event) -> None:
        for segment, begin in placed:
            if cancelled.is_set():
                raise Cancelled
            lane.copy(memory[begin : begin + segment.nbytes], self._here[segment.path])


def _fill(feed: Feed, segment: Segment, lane: Lane, cancelled: Event, memory: torch.Tensor) -> None:
    feed.fill(memory, [(segment, 0)], lane, cancelled)
    lane.settle()


def by_library(bones: Skeleton, device: Device, all_segments: Iterable[Segment]) -> HostCopy:
    """Every segment as the library loads it, for files that only it can read. Raises WeightsError."""
    loaded = bones.library()
    copy = HostCopy()
    memory, places = copy.add(device, all_segments)
    for segment, begin in places:
        for name, tensor in segment.tensors(memory[begin:]).items():
            if loaded[name].shape != tensor.shape or loaded[name].dtype != tensor.dtype:
                raise WeightsError(f"{bones.folder}: {name} is another tensor than its configuration says")
            tensor.copy_(loaded[name])
    return copy


def _block(weight: Weight, lists: Sequence[str]) -> tuple[int, int] | None:
    # A tensor that is also used elsewhere is of no block: it has to be there all the time.
    found = {block_of(name, lists) for name in weight.names}
    return found.pop() if len(found) == 1 else None


def _segment(path: str, some: Iterable[Weight]) -> Segment:
    offsets, end = [], 0
    for weight in some:
        offsets.append((weight, end))
        end += -(-weight.nbytes // ALIGNMENT) * ALIGNMENT
    return Segment(path, tuple(offsets), end)


def _view(memory: torch.Tensor, offset: int, weight: Weight) -> torch.Tensor:
    return memory[offset : offset + weight.nbytes].view(weight.dtype).view(weight.shape)


def _bytes(memory: torch.Tensor) -> memoryview:
    return memoryview(memory.numpy())  # type: ignore[arg-type]
