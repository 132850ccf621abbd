"""Several shots through each streamed block together: one copy of the block serves them all.

Each shot's phase runs in a greenlet of its own, in one thread. Where a streamed block is about to run, it calls
`arrive`, and the others run until they have come as far. Each computes what it would compute alone, at the batch size
it would have alone. Knows nothing of models, blocks or memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import torch
from greenlet import GreenletExit, getcurrent, greenlet

T = TypeVar("T")


def arrive() -> None:
    """Wait, within `lockstep`, until all other shots have arrived as often as this one; elsewhere, go on."""
    shot = getcurrent()
    if isinstance(shot, _Shot):
        shot.leave(None)


def lockstep(makers: Sequence[Callable[[], Iterator[T]]]) -> Iterator[T]:
    """What the makers' iterators yield, in the order in which it comes.

    Each shot has torch's global random state for itself, from the state there is when it begins, and computes without
    gradients; what other settings a thread has (modes, autocast, attention kernels) must not be changed between two
    arrivals. An error in one shot ends all; so does closing this generator. Nothing of them is left then.
    """
    rotation = Rotation(makers)
    try:
        yield from rotation.turn()
    finally:
        rotation.close()


class Rotation(Generic[T]):
    """The shots that go together. Those that have ended no longer count."""

    def __init__(self, makers: Sequence[Callable[[], Iterator[T]]]) -> None:
        self._going = [_Shot(maker) for maker in makers]

    def turn(self) -> Iterator[T]:
        """Let each run until it arrives, again and again, until all have ended."""
        while self._going:
            for shot in list(self._going):
                while (left := shot.resume()) is not None:
                    yield left.result
                if shot.dead:
                    self._going.remove(shot)

    def close(self) -> None:
        """End those that have not ended, wherever they are: their `finally` clauses run."""
        going, self._going = self._going, []
        for shot in going:
            shot.end()


@dataclass(frozen=True)
class _Yielded(Generic[T]):
    result: T


class _Shot(greenlet):  # type: ignore[misc]
    """One shot's iterator, run on a stack of its own. Switching to it gives what it yielded, or None: it arrived."""

    def __init__(self, maker: Callable[[], Iterator[Any]]) -> None:
        super().__init__(self._run)
        self._maker = maker
        self._state = _ThreadState.now(grad=False)

    def resume(self) -> _Yielded[Any] | None:
        """Run on, until the next result or arrival. Raises what the shot raises."""
        return self._within_own_state(self.switch)  # type: ignore[no-any-return]

    def leave(self, yielded: _Yielded[Any] | None) -> None:
        """Called in the shot: back to whoever resumed it."""
        assert self.parent is not None
        self.parent.switch(yielded)

    def end(self) -> None:
        if self and not self.dead:
            self._within_own_state(lambda: self.throw(GreenletExit))

    def _run(self) -> None:
        for result in self._maker():
            self.leave(_Yielded(result))

    def _within_own_state(self, go: Callable[[], Any]) -> Any:
        outside = _ThreadState.now(grad=torch.is_grad_enabled())
        self.parent = getcurrent()
        self._state.restore()
        try:
            left = go()
            return None if isinstance(left, GreenletExit) else left
        finally:
            self._state = _ThreadState.now(grad=torch.is_grad_enabled())
            outside.restore()


@dataclass(frozen=True)
class _ThreadState:
    """What torch keeps per thread or process, and a shot must not see another change."""

    random: torch.Tensor
    cuda: torch.Tensor | None
    grad: bool

    @classmethod
    def now(cls, grad: bool) -> _ThreadState:
        cuda = torch.cuda.get_rng_state() if torch.cuda.is_initialized() else None  # type: ignore[no-untyped-call]
        return cls(torch.get_rng_state(), cuda, grad)

    def restore(self) -> None:
        torch.set_grad_enabled(self.grad)
        torch.set_rng_state(self.random)
        if self.cuda is not None:
            torch.cuda.set_rng_state(self.cuda)
