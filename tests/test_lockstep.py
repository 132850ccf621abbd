"""Shots in lockstep compute what they compute alone, meet at every arrival, and leave nothing behind."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator
from functools import partial

import pytest
import torch

from animatic.lockstep import arrive, lockstep


def walk(name: str, blocks: int, passes: int, log: list[tuple[str, int]]) -> Iterator[tuple[str, int]]:
    for number in range(passes):
        for block in range(blocks):
            arrive()
            log.append((name, block))
        yield name, number


def test_all_go_through_a_block_before_any_goes_on() -> None:
    log: list[tuple[str, int]] = []
    results = list(lockstep([partial(walk, name, 3, 2, log) for name in "abc"]))
    assert log == [(name, block) for _ in range(2) for block in range(3) for name in "abc"]
    assert results == [(name, number) for number in range(2) for name in "abc"]


def test_those_that_end_early_are_not_waited_for() -> None:
    log: list[tuple[str, int]] = []
    results = list(lockstep([partial(walk, "a", 2, 1, log), partial(walk, "b", 2, 3, log)]))
    assert log == [("a", 0), ("b", 0), ("a", 1), ("b", 1), ("b", 0), ("b", 1), ("b", 0), ("b", 1)]
    assert sorted(results) == [("a", 0), ("b", 0), ("b", 1), ("b", 2)]


def test_without_arrivals_they_run_one_after_another_and_arriving_alone_does_nothing() -> None:
    assert list(lockstep([lambda: iter([1, 2]), lambda: iter([3])])) == [1, 2, 3]
    assert list(lockstep([])) == []
    arrive()


def draws(seed: int | None) -> Iterator[float]:
    if seed is not None:
        torch.manual_seed(seed)
    for _ in range(3):
        arrive()
        yield float(torch.rand(()))


def test_randomness_is_each_shots_own() -> None:
    torch.manual_seed(7)
    outside = torch.get_rng_state()
    alone = {seed: list(draws(seed)) for seed in (1, 2)}
    torch.set_rng_state(outside)
    mixed = list(lockstep([partial(draws, 1), partial(draws, 2)]))
    assert mixed == [value for pair in zip(alone[1], alone[2], strict=True) for value in pair]
    assert torch.equal(torch.get_rng_state(), outside)


def test_gradients_are_off_within_and_as_they_were_without() -> None:
    def work() -> Iterator[bool]:
        for _ in range(2):
            with torch.no_grad():
                arrive()
            yield torch.is_grad_enabled()

    for inside in lockstep([work, work]):
        assert not inside and torch.is_grad_enabled()
    assert torch.is_grad_enabled()


class Held:
    """Something whose end can be seen."""


def holding(ended: list[str], name: str, refs: list[weakref.ref[Held]], fail: bool) -> Iterator[int]:
    held = Held()
    refs.append(weakref.ref(held))
    try:
        for number in range(3):
            arrive()
            yield number
            if fail and number == 1:
                raise ValueError(name)
    finally:
        ended.append(name)


def test_an_error_in_one_ends_all() -> None:
    ended: list[str] = []
    refs: list[weakref.ref[Held]] = []
    with pytest.raises(ValueError, match="b"):
        list(lockstep([partial(holding, ended, name, refs, name == "b") for name in "abc"]))
    gc.collect()
    assert sorted(ended) == ["a", "b", "c"] and not any(ref() for ref in refs)


@pytest.mark.parametrize("results", [0, 1, 4])
def test_closing_ends_all_wherever_they_are(results: int) -> None:
    ended: list[str] = []
    refs: list[weakref.ref[Held]] = []
    running = lockstep([partial(holding, ended, name, refs, False) for name in "abc"])
    for _ in range(results):
        next(running)
    running.close()  # type: ignore[attr-defined]
    gc.collect()
    assert len(ended) == len(refs) and not any(ref() for ref in refs)


def test_lockstep_may_follow_lockstep() -> None:
    makers: list[Callable[[], Iterator[float]]] = [partial(draws, 1), partial(draws, 2)]
    assert list(lockstep(makers)) == list(lockstep(makers))
