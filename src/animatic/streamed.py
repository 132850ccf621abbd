"""Blocks that come when they are needed: through two fixed slots of device memory, one block ahead.

Hooks on the blocks bind each one's tensors just before it runs, and begin to fetch the next one; after the last comes
the first, for the next pass. Knows no model: a block is a submodule and a segment. Decides nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Event
from typing import Any

import torch

from animatic import lockstep
from animatic.device import Device, Mark
from animatic.segments import Feed, HostCopy, Segment
from animatic.skeleton import Binding, Skeleton, apply

Wait = Callable[[], None]
"""Returns when a fetched block may be computed with, or raises why it cannot be."""


class Stream:
    """The streamed blocks of one module.

    slots   device memory, each as large as the largest block; two, or one for a single block
    blocks  in the order in which they run; they may run in any order, but only in this one they are there in time

    Not for two threads. Errors of reading surface in the module's forward; then the block may be asked for again.
    """

    def __init__(
        self, bones: Skeleton, blocks: Sequence[Segment], slots: Sequence[torch.Tensor], feed: Feed, device: Device
    ) -> None:
        self._bones = bones
        self._blocks = tuple(blocks)
        self._slots = tuple(slots)
        self._feed = feed
        self._device = device
        self._lane = device.lane()
        self._cancelled = Event()
        # Where copying is queued and not done by the processor, a thread for it would only come too late.
        queued = device.queues_copies and isinstance(feed, HostCopy)
        self._pool = None if queued else ThreadPoolExecutor(1, "stream")
        # Blocks that are not in a slot have no memory: computing with another block's would go unnoticed.
        self._blank = [bones.blank_of(weight for weight, _ in block.weights) for block in self._blocks]
        self._bound: dict[tuple[int, int], Binding] = {}
        self._holds: list[int | None] = [None] * len(self._slots)
        self._current: int | None = None
        self._coming: tuple[int, Wait] | None = None
        modules = [bones.module.get_submodule(block.path) for block in self._blocks]
        self._hooks = [
            module.register_forward_pre_hook(partial(self._before, index)) for index, module in enumerate(modules)
        ]

    def close(self) -> None:
        """Stop fetching, and leave the blocks without memory. The thread has ended when this returns."""
        for hook in self._hooks:
            hook.remove()
        self._cancelled.set()
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
        self._lane.settle()
        if self._current is not None:
            apply(self._blank[self._current])
        self._current = self._coming = None
        self._bound.clear()
        self._slots = ()

    def _before(self, index: int, module: torch.nn.Module, arguments: Any) -> None:
        """The hook: the block's tensors are there when this returns."""
        del module, arguments
        lockstep.arrive()
        if index != self._current:
            self._take(index)

    def _take(self, index: int) -> None:
        slot = self._fetched(index)
        if self._current is not None:
            apply(self._blank[self._current])
        if (index, slot) not in self._bound:
            tensors = self._blocks[index].tensors(self._slots[slot])
            self._bound[index, slot] = self._bones.bindings(tensors)
        apply(self._bound[index, slot])
        self._current = index
        following = (index + 1) % len(self._blocks)
        if following not in self._holds:
            # All work with the other slot's block has been given out by now: the new one comes after it.
            self._fetch(following, self._other(slot))

    def _fetched(self, index: int) -> int:
        """The slot that holds the block, once it is all there."""
        if self._coming is not None and self._coming[0] != index:
            self._finish()  # Out of order: what was fetched is not what is needed.
        if index not in self._holds:
            taken = None if self._current is None else self._holds.index(self._current)
            self._fetch(index, 0 if taken is None else self._other(taken))
        self._finish()
        return self._holds.index(index)

    def _finish(self) -> None:
        """Wait for what is coming, if anything is."""
        if self._coming is not None:
            (index, wait), self._coming = self._coming, None
            slot = self._holds.index(index)
            self._holds[slot] = None  # What does not come holds nothing.
            wait()
            self._holds[slot] = index

    def _fetch(self, index: int, slot: int) -> None:
        self._holds[slot] = index
        after = self._device.mark()
        if self._pool is not None:
            self._coming = index, self._pool.submit(self._fill, index, slot, after, settle=True).result
        else:
            self._fill(index, slot, after, settle=False)
            self._coming = index, partial(self._device.wait, self._lane.mark())

    def _fill(self, index: int, slot: int, after: Mark, settle: bool) -> None:
        self._lane.after(after)
        try:
            self._feed.fill(self._slots[slot], [(self._blocks[index], 0)], self._lane, self._cancelled)
        finally:
            if settle:
                self._lane.settle()

    def _other(self, slot: int) -> int:
        return (slot + 1) % len(self._slots)
