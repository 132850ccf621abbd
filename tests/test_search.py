"""The search finds the optimum: against brute force where that is possible, against the simple policies everywhere."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from animatic.search import SLACK, START, Found, Piece, Problem, Stop, bits, policy, search, simulate, step

small = st.integers(1, 9)


@st.composite
def problems(draw: st.DrawFn, most: int = 8) -> Problem:
    pieces = tuple(
        Piece(draw(small), draw(small), float(draw(small))) for _ in range(draw(st.integers(1, most)))
    )
    every = (1 << len(pieces)) - 1
    stops = tuple(
        Stop(draw(st.integers(0, every)), draw(st.integers(0, 3)), float(draw(st.integers(0, 9))))
        for _ in range(draw(st.integers(1, most)))
    )
    bare = Problem(pieces, stops, 0)
    least = max(bare.size(stop.needs) + stop.workspace for stop in stops)
    return replace(bare, budget=least + draw(st.integers(0, 20)))


def brute(problem: Problem) -> tuple[float, int]:
    """The optimum by trying everything: any set that holds what is needed and fits, during each run."""
    best = (float("inf"), 0)
    ways = [(problem.resident, START)]
    for run, stop in enumerate(problem.stops):
        masks = [
            mask
            for mask in range(1 << len(problem.pieces))
            if mask & stop.needs == stop.needs and problem.size(mask) + stop.workspace <= problem.budget
        ]
        ways = [(mask, step(problem, run, before, mask, label)) for before, label in ways for mask in masks]
    for _, label in ways:
        best = min(best, (round(label.clock, 6), label.nbytes))
    return best


@settings(max_examples=150)
@given(problems(most=3))
def test_nothing_is_better_than_what_it_finds(problem: Problem) -> None:
    found = search(problem)
    assert found.proven
    assert (round(found.seconds, 6), found.nbytes) == brute(problem)


@given(problems())
def test_it_keeps_the_rules(problem: Problem) -> None:
    found = search(problem)
    for stop, held in zip(problem.stops, found.held, strict=True):
        assert held & stop.needs == stop.needs, "a run lacks a component"
        assert problem.size(held) + stop.workspace <= problem.budget, "the budget is exceeded"
    again = simulate(problem, found.held)
    assert (again.seconds, again.nbytes) == (found.seconds, found.nbytes)


@given(problems(), st.integers(0, 60))
def test_it_is_never_worse_than_furthest_next_use(problem: Problem, nodes: int) -> None:
    found = search(problem, nodes)
    for other in (policy(problem, False), policy(problem, True)):
        assert _no_worse(found, other), "also when the search is cut short"


@given(problems(most=5), st.integers(1, 10))
def test_more_memory_never_takes_longer(problem: Problem, more: int) -> None:
    found, roomier = search(problem), search(replace(problem, budget=problem.budget + more))
    assert found.proven and roomier.proven
    assert roomier.seconds <= found.seconds + SLACK


@given(problems(most=4), st.integers(0, 15))
def test_what_is_resident_already_is_not_loaded(problem: Problem, mask: int) -> None:
    resident = mask & ((1 << len(problem.pieces)) - 1)
    if problem.size(resident & problem.stops[0].needs | problem.stops[0].needs) > problem.budget:
        return
    found = search(replace(problem, resident=resident))
    assert found.seconds <= search(problem).seconds + SLACK
    needed = problem.future[0] & ~resident
    assert found.nbytes >= sum(problem.pieces[i].nbytes for i in bits(needed))


def test_a_load_hides_under_the_run_before() -> None:
    problem = Problem((Piece(1, 1, 3.0), Piece(1, 1, 5.0)), (Stop(1, 0, 10.0), Stop(2, 0, 1.0)), budget=2)
    assert search(problem).seconds == 3 + 10 + 1
    assert search(replace(problem, budget=1)).seconds == 3 + 10 + 5 + 1


def _no_worse(one: Found, other: Found) -> bool:
    faster = one.seconds < other.seconds - SLACK
    return faster or (one.seconds <= other.seconds + SLACK and one.nbytes <= other.nbytes)
