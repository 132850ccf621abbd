"""Counts the bytes of activations as they live and die, and can run out of memory as a GPU would.

A dispatch mode sees every operation, so this works on any device: on the CPU, where nothing else counts a model's
tensors, and on the meta device, where they take no memory at all. Knows nothing of models, components or plans.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Iterator
from threading import RLock
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode


class LiveBytes(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """While it is entered: the bytes of the storages that operations make, each once, until the storage dies.

    Views and in-place results add nothing. Storages from before (weights, inputs) do not count, and what one kernel
    takes for itself and gives back is not seen. Storages made while it was entered are counted until they die, also
    after it was left.

    now    bytes alive
    peak   the most that were alive at once, since the beginning or `reset_peak`
    limit  bytes there are, or what says so; None: any number
    base   says how many bytes are taken besides (weights): counted elsewhere, but under the same limit

    Beyond the limit, operations raise torch.OutOfMemoryError. A mode belongs to the thread that entered it: each
    thread that computes enters one of its own. Storages may die in any thread.
    """

    def __init__(
        self, limit: int | Callable[[], int] | None = None, base: Callable[[], int] = lambda: 0
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = 0
        self.peak = 0
        self.limit = limit
        self.base = base
        self._alive: dict[int, tuple[weakref.ref[Any], int]] = {}
        # Re-entrant: a storage may die, by the collector's hand, while its thread counts another.
        self._lock = RLock()

    def reset_peak(self) -> None:
        self.peak = self.now

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        del types
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        for tensor in _tensors((result,)):
            self._see(func, tensor.untyped_storage(), (*args, *kwargs.values()))
        return result

    def _see(self, func: Any, storage: torch.UntypedStorage, given: Iterable[Any]) -> None:
        key, nbytes = storage._cdata, storage.nbytes()
        with self._lock:
            known = self._alive.get(key)
            if known is not None and known[1] == nbytes:
                return
            if known is None and any(tensor.untyped_storage()._cdata == key for tensor in _tensors(given)):
                return  # A view of a weight or of an input, or its change in place.
            reference = known[0] if known else weakref.ref(storage, lambda _: self._forget(key))
            self._alive[key] = reference, nbytes  # Of a known one: resized, as `out=` does.
            self.now += nbytes - (known[1] if known else 0)
        limit = self.limit() if callable(self.limit) else self.limit
        if limit is not None and (taken := self.base()) + self.now > limit:
            raise torch.OutOfMemoryError(
                f"{func} made {nbytes:,} bytes: {taken:,} of weights and {self.now:,} of activations exceed {limit:,}"
            )
        self.peak = max(self.peak, self.now)

    def _forget(self, key: int) -> None:
        with self._lock:
            self.now -= self._alive.pop(key)[1]


def _tensors(values: Iterable[Any]) -> Iterator[torch.Tensor]:
    """The tensors among values, also those within lists and tuples."""
    for value in values:
        if isinstance(value, torch.Tensor):
            yield value
        elif isinstance(value, (list, tuple)):
            yield from _tensors(value)
