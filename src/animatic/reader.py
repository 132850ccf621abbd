"""Weights from files into plain memory: where each tensor goes, and threads that read it there.

Two ways: `Reader.fill` reads straight into an arena that stays, `Reader.chunks` passes through a small ring of buffers
what is cast or copied on. Knows no model, no device and no dtype's meaning, and must not import torch.
"""

from __future__ import annotations

import math
import mmap
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from animatic.errors import CapacityError, WeightsError
from animatic.weights import BITS, Tensor, tensor_hash

ALIGNMENT = 256
"""Bytes; every tensor in an arena begins at a multiple, as kernels on GPUs like it."""

CHUNK = 8 << 20
"""Bytes read at once. Measured: less costs calls, more leaves threads idle at the end, both by a few per cent."""

THREADS = min(16, max(4, os.cpu_count() or 1))
"""Also on few cores: while one waits for the disk, another one copies."""

RING = 4
"""Buffers of `CHUNK` bytes that `Reader.chunks` makes when it is handed none."""

SLOT_ALIGNMENT = 64
MOST_BUFFERS = 512
"""Buffers that one read fills; every system allows at least twice as many."""


class Cancelled(Exception):
    """Reading was called off; what was read so far is worth nothing."""


# ----------------------------------------------------------------------------------------------------- memory


class Arena:
    """`nbytes` bytes of memory of its own, page aligned, given back when nothing refers to `buffer` any more.

    buffer  for `torch.frombuffer` and the like, which keep it alive

    Raises CapacityError when the system refuses.
    """

    def __init__(self, nbytes: int) -> None:
        self.nbytes = nbytes
        self.buffer: mmap.mmap | bytearray = _map(nbytes) if nbytes else bytearray()

    def view(self, offset: int = 0, nbytes: int | None = None) -> memoryview:
        """`nbytes` bytes from `offset`, writable; without them, all that follow."""
        end = self.nbytes if nbytes is None else offset + nbytes
        if not 0 <= offset <= end <= self.nbytes:
            raise ValueError(f"bytes {offset:,} to {end:,} are not within {self.nbytes:,}")
        return memoryview(self.buffer)[offset:end]


def _map(nbytes: int) -> mmap.mmap:
    try:
        if not hasattr(mmap, "MAP_PRIVATE"):
            return mmap.mmap(-1, nbytes)
        # Private: shared memory, which is the default, never gets huge pages unless the whole system is set so.
        memory = mmap.mmap(-1, nbytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    except (OSError, OverflowError) as error:
        raise CapacityError(f"{nbytes / 2**30:.1f} GiB of main memory could not be had: {error}") from error
    if hasattr(mmap, "MADV_HUGEPAGE"):
        with suppress(OSError):  # A kernel built without them: only time is lost.
            memory.madvise(mmap.MADV_HUGEPAGE)  # A page fault every 2 MiB, not every 4 KiB: half as fast again.
    return memory


@dataclass(frozen=True)
class Place:
    """Where a tensor lies in an arena."""

    tensor: Tensor
    offset: int
    nbytes: int


def layout(tensors: Sequence[Tensor], itemsize: Callable[[Tensor], int] | None = None) -> tuple[tuple[Place, ...], int]:
    """A place for each tensor, in their order, and the bytes they take together.

    itemsize  bytes an element of a tensor takes in the arena; without it, as it is stored
    """
    places, end = [], 0
    for tensor in tensors:
        nbytes = tensor.elements * itemsize(tensor) if itemsize else tensor.nbytes
        offset = _aligned(end, ALIGNMENT)
        places.append(Place(tensor, offset, nbytes))
        end = offset + nbytes
    return tuple(places), end


def _block(name: str, lists: Sequence[str]) -> tuple[int, int] | None:
    for number, prefix in enumerate(lists):
        index, dot, _ = name.removeprefix(f"{prefix}.").partition(".")
        if name.startswith(f"{prefix}.") and dot and index.isdecimal():
            return number, int(index)
    return None


# ---------------------------------------------------------------------------------------------------- reading


@dataclass(frozen=True)
class _Piece:
    """A part of a tensor, `start` bytes into it, and where in a buffer it goes."""

    tensor: Tensor
    start: int
    nbytes: int
    at: int

    @property
    def offset(self) -> int:
        return self.tensor.offset + self.start


class Reader:
    """Reads tensors with several threads, which live only as long as one call."""

    def __init__(self, threads: int = THREADS, chunk: int = CHUNK) -> None:
        self.threads = threads
        self.chunk = chunk

    def fill(
        self,
        places: Sequence[Place],
        target: memoryview,
        cancelled: threading.Event | None = None,
        verify: Mapping[str, str] | None = None,
    ) -> None:
        """Read every tensor to its place in `target`, as it is stored.

        verify  digests by the tensors' names, as `digest.tensor_digests` makes them, to compare what was read with

        Raises WeightsError when a file cannot be read or has other bytes, Cancelled, and ValueError for places that are
        not as large as their tensors or not within the target.
        """
        _check_places(places, target)
        order = sorted(places, key=lambda place: (place.tensor.file, place.tensor.offset))
        runs = _runs((piece for place in order for piece in _split(place, self.chunk)), self.chunk)
        with _opened(place.tensor for place in order) as files, self._pool() as pool:
            _all(pool.submit(_read, files, run, target, cancelled) for run in runs)
            if verify is not None:
                _all(pool.submit(_compare, p, target, verify, cancelled) for p in order if p.tensor.name in verify)

    def chunks(
        self,
        tensors: Sequence[Tensor],
        cancelled: threading.Event | None = None,
        ring: Sequence[Any] | None = None,
    ) -> Iterator[tuple[Tensor, int, memoryview]]:
        """The tensors' bytes in the order of the tensors: (tensor, offset within it in bytes, bytes), read ahead.

        The bytes are valid until the next ones are asked for. They begin and end between two elements. Tensors without
        elements yield nothing. Closing the iterator ends its threads.

        ring  writable buffers to read into, such as pinned ones; as much as they hold is read ahead

        Raises WeightsError and Cancelled as `fill` does.
        """
        slots = _slots(ring, self.chunk)
        batches = _batches(tensors, min(map(len, slots)))
        with _opened(tensors) as files, self._pool() as pool:

            def begin(slot: memoryview) -> None:
                if (batch := next(batches, None)) is not None:
                    ahead.append((batch, slot, pool.submit(_read_batch, files, batch, slot, cancelled)))

            ahead: deque[tuple[list[_Piece], memoryview, Future[None]]] = deque()
            for slot in slots:
                begin(slot)
            while ahead:
                batch, slot, read = ahead.popleft()
                read.result()
                for piece in batch:
                    _check(cancelled)
                    yield piece.tensor, piece.start, slot[piece.at : piece.at + piece.nbytes]
                begin(slot)

    @contextmanager
    def _pool(self) -> Iterator[ThreadPoolExecutor]:
        pool = ThreadPoolExecutor(self.threads, "reader")
        try:
            yield pool
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _check(cancelled: threading.Event | None) -> None:
    if cancelled is not None and cancelled.is_set():
        raise Cancelled


def _check_places(places: Sequence[Place], target: memoryview) -> None:
    for place in places:
        if place.nbytes != place.tensor.nbytes:
            raise ValueError(f"{place.tensor.name} has {place.tensor.nbytes:,} bytes, but a place of {place.nbytes:,}")
        if place.offset < 0 or place.offset + place.nbytes > target.nbytes:
            raise ValueError(f"the place of {place.tensor.name} is not within the {target.nbytes:,} bytes")


def _all(futures: Iterable[Future[None]]) -> None:
    """Wait for all, or until one fails, and raise what it raised."""
    done, _ = wait(list(futures), return_when=FIRST_EXCEPTION)
    for future in done:
        future.result()


@contextmanager
def _opened(tensors: Iterable[Tensor]) -> Iterator[Mapping[Path, int]]:
    """Descriptors of the tensors' files: opened once, so that a file replaced meanwhile does not mix with the new."""
    with ExitStack() as stack:
        files: dict[Path, int] = {}
        for path in dict.fromkeys(tensor.file for tensor in tensors):
            try:
                files[path] = os.open(path, os.O_RDONLY)
            except OSError as error:
                raise WeightsError(f"{path} cannot be read: {error.strerror or error}") from error
            stack.callback(os.close, files[path])
        yield files


def _split(place: Place, most: int) -> Iterator[_Piece]:
    for start in range(0, place.nbytes, most):
        yield _Piece(place.tensor, start, min(most, place.nbytes - start), place.offset + start)


def _runs(pieces: Iterable[_Piece], most: int) -> Iterator[list[_Piece]]:
    """Neighbours in a file, together as long as they have at most `most` bytes: each run is one read."""
    run: list[_Piece] = []
    end: tuple[Path, int] | None = None
    nbytes = 0
    for piece in pieces:
        begin = piece.tensor.file, piece.offset
        if run and (begin != end or nbytes + piece.nbytes > most or len(run) == MOST_BUFFERS):
            yield run
            run, nbytes = [], 0
        run.append(piece)
        nbytes += piece.nbytes
        end = piece.tensor.file, piece.offset + piece.nbytes
    if run:
        yield run


def _batches(tensors: Iterable[Tensor], size: int) -> Iterator[list[_Piece]]:
    """What fits in one buffer of `size` bytes after the other, in the order of the tensors."""
    batch: list[_Piece] = []
    end = 0
    for tensor in tensors:
        step = math.lcm(BITS[tensor.dtype], 8) // 8
        start = 0
        while start < tensor.nbytes:
            at = _aligned(end, SLOT_ALIGNMENT)
            nbytes = min(tensor.nbytes - start, (size - at) // step * step)
            if nbytes <= 0:
                yield batch
                batch, end = [], 0
                continue
            batch.append(_Piece(tensor, start, nbytes, at))
            start, end = start + nbytes, at + nbytes
    if batch:
        yield batch


def _slots(ring: Sequence[Any] | None, chunk: int) -> list[memoryview]:
    if ring is None:
        chunk = _aligned(chunk, SLOT_ALIGNMENT)
        arena = Arena(RING * chunk)
        return [arena.view(i * chunk, chunk) for i in range(RING)]
    slots = [memoryview(buffer).cast("B") for buffer in ring]
    if not slots or min(map(len, slots)) < SLOT_ALIGNMENT:
        raise ValueError(f"a ring needs buffers, of at least {SLOT_ALIGNMENT} bytes")
    return slots


def _read_batch(
    files: Mapping[Path, int], batch: list[_Piece], slot: memoryview, cancelled: threading.Event | None
) -> None:
    for run in _runs(batch, len(slot)):
        _read(files, run, slot, cancelled)


def _read(files: Mapping[Path, int], run: list[_Piece], target: memoryview, cancelled: threading.Event | None) -> None:
    _check(cancelled)
    path, at = run[0].tensor.file, run[0].offset
    buffers = deque(target[piece.at : piece.at + piece.nbytes] for piece in run)
    while buffers:
        try:
            got = os.preadv(files[path], list(buffers), at)
        except OSError as error:
            raise WeightsError(f"{path} cannot be read at byte {at:,}: {error.strerror or error}") from error
        if got == 0:
            raise WeightsError(f"{path} is truncated: it ends at byte {at:,}; download it again")
        at += got
        while buffers and got >= len(buffers[0]):
            got -= len(buffers.popleft())
        if got:
            buffers[0] = buffers[0][got:]


def _compare(place: Place, target: memoryview, verify: Mapping[str, str], cancelled: threading.Event | None) -> None:
    _check(cancelled)
    tensor = place.tensor
    sha = tensor_hash(tensor)
    sha.update(target[place.offset : place.offset + place.nbytes])
    if sha.hexdigest() != verify[tensor.name]:
        raise WeightsError(f"{tensor.file}: {tensor.name} is not what it was when it was verified; download it again")


def _aligned(offset: int, to: int) -> int:
    return -(-offset // to) * to
