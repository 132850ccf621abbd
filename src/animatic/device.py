"""The devices models run on: memory of exact sizes, copies into it, and how much of it was used at most.

Three kinds: `Cuda`, `Cpu`, and `Accounted`, which computes on the CPU but counts every byte of weights and activations
as a GPU's memory would be counted, and runs out of it in the middle of a forward: so that whatever happens on a small
GPU can be seen without one. Knows no model, no component and no plan.
"""

from __future__ import annotations

import gc
import mmap
import os
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext, suppress
from threading import RLock
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from animatic import machine
from animatic.errors import CapacityError
from animatic.live import LiveBytes
from animatic.reader import Arena

T = TypeVar("T")
Mark = Any
"""A point in the work of a GPU, for other work to wait for; None where all work is done when its call returns."""

RING = 4
"""Staging buffers: one is copied from while the others are read into."""

READ_ONLY = 8
"""CUDA's cudaHostRegisterReadOnly."""


class Lane:
    """A queue of copies, beside the computing. Here: copies that are done when `copy` returns."""

    def copy(self, target: Tensor, source: Tensor) -> None:
        """Copy, casting if the dtypes differ."""
        target.copy_(source)

    def after(self, mark: Mark) -> None:
        """Let the copies to come wait for what was marked."""

    def mark(self) -> Mark:
        """The point at which all copies so far are done."""
        return None

    def settle(self) -> None:
        """Return when all copies so far are done, so that their sources may be written again."""


class Device(ABC):
    """One device's memory. `unified`: its memory is main memory, so that nothing is ever copied to it."""

    torch: torch.device
    unified: bool

    @property
    def queues_copies(self) -> bool:
        """Whether a lane's `copy` returns before it is done, and costs the thread that calls it next to nothing."""
        return False

    @abstractmethod
    def allocate(self, nbytes: int) -> Tensor:
        """So many bytes of device memory, as uint8, in one piece. Raises torch.OutOfMemoryError."""

    def host(self, nbytes: int) -> Tensor:
        """So many bytes of main memory, as uint8, to be copied from into device memory."""
        return _main_memory(nbytes)

    def borrowed(self, memory: mmap.mmap) -> Tensor:
        """A read-only map as uint8, to be copied from into device memory. Writing to it ends the process."""
        return _as_tensor(memory)

    def ring(self, nbytes: int) -> list[Tensor] | None:
        """A few buffers of `nbytes` in main memory for files to pass through; None: any will do."""
        del nbytes
        return None

    def lane(self) -> Lane:
        """A queue of copies of its own."""
        return Lane()

    def mark(self) -> Mark:
        """The point at which what this thread had computed so far is done."""
        return None

    def wait(self, mark: Mark) -> None:
        """Let what this thread computes next wait for a mark; nothing, where marks are None."""
        assert mark is None, "a device that makes marks also waits for them"

    def running(self) -> AbstractContextManager[Any]:
        """Within it, models run; enter it in the thread that computes, around nothing that yields."""
        return nullcontext()

    def within(self, results: Iterator[T]) -> Iterator[T]:
        """The same results, each made within `running`."""
        try:
            while True:
                with self.running():
                    try:
                        result = next(results)
                    except StopIteration:
                        return
                yield result
        finally:
            close = getattr(results, "close", None)
            if close is not None:
                close()

    @abstractmethod
    def reset_peak(self) -> None:
        """Count `peak` anew from now on."""

    @abstractmethod
    def peak(self) -> int:
        """The most bytes in use at once since `reset_peak`: of weights and of activations."""

    @abstractmethod
    def used(self) -> int:
        """Bytes in use now, counted as `peak` counts."""

    def release(self) -> None:
        """Give back the memory of what nothing refers to any more."""
        gc.collect()

    def synchronize(self) -> None:
        """Return when all computing is done; it is, where calls return when their work is."""
        assert self.mark() is None, "a device that makes marks also synchronizes"


class Cpu(Device):
    """Main memory. Its peak is the whole process's, as the operating system counts it."""

    unified = True

    def __init__(self) -> None:
        self.torch = torch.device("cpu")

    def allocate(self, nbytes: int) -> Tensor:
        try:
            return _main_memory(nbytes)
        except CapacityError as error:
            raise torch.OutOfMemoryError(str(error)) from error

    def reset_peak(self) -> None:
        machine.reset_peak()

    def peak(self) -> int:
        return machine.peak_bytes()

    def used(self) -> int:
        return machine.used_bytes()


class Accounted(Device):
    """`limit` bytes of device memory that are only counted: what is allocated here, and what operations make."""

    unified = False

    def __init__(self, limit: int) -> None:
        self.torch = torch.device("cpu")
        self.limit = limit
        self.weights = 0
        self._peak = 0
        self._live = LiveBytes(lambda: self.limit, lambda: self.weights)
        # Re-entrant: memory may be given back, by the collector's hand, in the midst of an allocation.
        self._lock = RLock()

    @property
    def activations(self) -> int:
        """Bytes that operations made and that are still alive."""
        return self._live.now

    def allocate(self, nbytes: int) -> Tensor:
        with self._lock:
            if self.weights + self._live.now + nbytes > self.limit:
                raise torch.OutOfMemoryError(
                    f"{nbytes:,} bytes cannot be had: {self.weights:,} of weights and {self._live.now:,} of "
                    f"activations are taken of {self.limit:,}"
                )
            memory = _main_memory(nbytes)
            self._change(nbytes)
        _when_gone(memory, self._change, -nbytes)
        return memory

    def running(self) -> AbstractContextManager[Any]:
        return self._live

    def reset_peak(self) -> None:
        with self._lock:
            self._live.reset_peak()
            self._peak = self.weights + self._live.now

    def peak(self) -> int:
        with self._lock:
            return max(self._peak, self.weights + self._live.peak)

    def used(self) -> int:
        return self.weights + self._live.now

    def _change(self, nbytes: int) -> None:
        with self._lock:
            # Peaks of activations and of weights do not add up unless they were at the same time.
            self._peak = self.peak()
            self._live.reset_peak()
            self.weights += nbytes
            self._peak = max(self._peak, self.weights + self._live.now)


class Cuda(Device):
    """A GPU.

    pinned_limit  bytes of main memory that may be locked for fast copies; what is beyond is not locked, and slower.
                  Each piece is locked as it is: torch's own allocator would round it up to a power of two.
    """

    unified = False

    def __init__(self, index: int = 0, pinned_limit: int = 1 << 62) -> None:
        self.torch = torch.device("cuda", index)
        self._pinned_limit = pinned_limit
        self._pinned = 0
        self._lock = RLock()

    @property
    def queues_copies(self) -> bool:
        return True

    def allocate(self, nbytes: int) -> Tensor:
        return torch.empty(nbytes, dtype=torch.uint8, device=self.torch)

    def host(self, nbytes: int) -> Tensor:
        memory = _main_memory(nbytes)
        self._pin(memory, 0)
        return memory

    def borrowed(self, memory: mmap.mmap) -> Tensor:
        """Locked as what it is, read-only: else the driver would ask for pages to write to, and get none. Every process
        locks the same pages, and each counts them towards its own limit.

        This has never run on a GPU. Where one cannot have read-only memory locked, copies are slower.
        """
        tensor = _as_tensor(memory)
        self._pin(tensor, READ_ONLY)
        return tensor

    def ring(self, nbytes: int) -> list[Tensor] | None:
        memory = self.host(RING * nbytes)
        return [memory[begin : begin + nbytes] for begin in range(0, RING * nbytes, nbytes)]

    def lane(self) -> Lane:
        return _CudaLane(self.torch)

    def mark(self) -> Mark:
        return torch.cuda.current_stream(self.torch).record_event()

    def wait(self, mark: Mark) -> None:
        torch.cuda.current_stream(self.torch).wait_event(mark)

    def reset_peak(self) -> None:
        torch.cuda.reset_peak_memory_stats(self.torch)

    def peak(self) -> int:
        return torch.cuda.max_memory_allocated(self.torch)

    def used(self) -> int:
        return torch.cuda.memory_allocated(self.torch)

    def release(self) -> None:
        gc.collect()
        torch.cuda.empty_cache()

    def synchronize(self) -> None:
        torch.cuda.synchronize(self.torch)

    def _pin(self, memory: Tensor, flags: int) -> None:
        """Lock memory until it is gone, within the limit, and if the driver can."""
        nbytes = memory.nbytes
        with self._lock:
            fits = nbytes > 0 and self._pinned + nbytes <= self._pinned_limit
            if fits and int(_runtime().cudaHostRegister(memory.data_ptr(), nbytes, flags)) == 0:
                self._pinned += nbytes
                _when_gone(memory, self._unpin, memory.data_ptr(), nbytes)
            elif fits:
                # The refusal stands until somebody asks for it: better here than in a model's next kernel.
                with suppress(RuntimeError):
                    torch.zeros(1, device=self.torch)

    def _unpin(self, address: int, nbytes: int) -> None:
        with self._lock:
            _runtime().cudaHostUnregister(address)
            self._pinned -= nbytes


class _CudaLane(Lane):
    """Copies on a stream of their own."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def copy(self, target: Tensor, source: Tensor) -> None:
        with torch.cuda.stream(self._stream):
            if source.dtype != target.dtype:
                # Cast over there: the CPU would take longer for it than the copy does.
                source = source.to(target.device, non_blocking=True)
            target.copy_(source, non_blocking=True)

    def after(self, mark: Mark) -> None:
        self._stream.wait_event(mark)

    def mark(self) -> Mark:
        return self._stream.record_event()

    def settle(self) -> None:
        self._stream.synchronize()


def here(name: str | None = None) -> Device:
    """The device of that name ("cuda", "cuda:1", "cpu"); None: the GPU that torch sees first, else the CPU."""
    # As nvidia-smi counts, by which `machine.py` plans; CUDA's own order is fastest first. Read at CUDA's first use.
    os.environ.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
    chosen = torch.device(name or ("cuda" if torch.cuda.is_available() else "cpu"))
    return Cuda(chosen.index or 0, machine.probe().pinned_budget) if chosen.type == "cuda" else Cpu()


def _runtime() -> Any:
    return torch.cuda.cudart()  # type: ignore[no-untyped-call]


def _main_memory(nbytes: int) -> Tensor:
    """Main memory in one piece, given back to the system the moment nothing refers to it."""
    if nbytes == 0:
        return torch.empty(0, dtype=torch.uint8)
    return torch.frombuffer(Arena(nbytes).buffer, dtype=torch.uint8, count=nbytes)


class _Map:
    """A map as numpy takes memory: not said to be read-only, which torch warns of, and which nobody here forgets."""

    def __init__(self, memory: mmap.mmap) -> None:
        self.memory = memory
        address = np.frombuffer(memory, np.uint8).ctypes.data
        self.__array_interface__ = {"version": 3, "typestr": "|u1", "shape": (len(memory),), "data": (address, False)}


def _as_tensor(memory: mmap.mmap) -> Tensor:
    return torch.from_numpy(np.asarray(_Map(memory)))


def _when_gone(memory: Tensor, call: Callable[..., None], *arguments: int) -> None:
    """Call when the last tensor that shares this memory is gone."""
    weakref.finalize(memory.untyped_storage(), call, *arguments).atexit = False
