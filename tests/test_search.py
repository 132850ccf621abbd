"""The search finds the optimum: against brute force where that is possible, against the simple policies everywhere."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

from hypothesis import given, settings
from hypothesis import strategies as st

from animatic.search import SLACK, Found, Piece, Problem, Stop, bits, policy, search, simulate

small = st.integers(1, 9)


@st.composite
def problems(draw: st.DrawFn, most: int = 8, longest: int = 8) -> Problem:
    pieces = tuple(
        Piece(draw(small), draw(small), float(draw(small)), draw(st.integers(0, 4)))
        for _ in range(draw(st.integers(1, most)))
    )
    every = (1 << len(pieces)) - 1
    stops = tuple(
        Stop(draw(st.integers(0, every)), draw(st.integers(0, 3)), float(draw(st.integers(0, 9))))
        for _ in range(draw(st.integers(1, longest)))
    )
    bare = Problem(pieces, stops, 0)
    least = max(bare.size(stop.needs) + stop.workspace for stop in stops)
    host = max(bare.hosted(stop.needs) for stop in stops)
    return replace(bare, budget=least + draw(st.integers(0, 20)), host=host + draw(st.integers(0, 12)))


def brute(problem: Problem) -> tuple[float, int]:
    """The optimum by trying everything: any set that holds what is needed and fits, during each run.

    Written from the timeline's rules alone: it shares no arithmetic with the search.
    """
    pieces, stops = problem.pieces, problem.stops
    best = (float("inf"), 0)

    def use(piece: int, run: int) -> int:
        return next((r for r in range(run, len(stops)) if stops[r].needs >> piece & 1), len(stops))

    def go(run: int, here: set[int], clock: float, lane: float, there: dict[int, float], nbytes: int) -> None:
        nonlocal best
        if run == len(stops):
            best = min(best, (round(clock, 6), nbytes))
            return
        needed = {piece for piece in range(len(pieces)) if stops[run].needs >> piece & 1}
        for count in range(len(pieces) + 1):
            for held in map(set, combinations(range(len(pieces)), count)):
                device = sum(pieces[piece].size for piece in held) + stops[run].workspace
                if needed <= held and device <= problem.budget and sum(pieces[p].host for p in held) <= problem.host:
                    free, landed, read = max(lane, clock), dict(there), nbytes
                    for piece in sorted(held - here, key=lambda one: (use(one, run), one)):
                        free += pieces[piece].seconds
                        landed[piece] = free
                        read += pieces[piece].nbytes
                    begin = max([clock, *(landed.get(piece, 0.0) for piece in needed)])
                    go(run + 1, held, begin + stops[run].seconds, free, landed, read)

    go(0, set(bits(problem.resident)), 0.0, 0.0, {}, 0)
    return best


@settings(max_examples=150)
@given(problems(most=4, longest=4), st.integers(0, 15))
def test_nothing_is_better_than_what_it_finds(problem: Problem, mask: int) -> None:
    resident = mask & ((1 << len(problem.pieces)) - 1)
    problem = replace(problem, resident=resident if problem.fits(resident, Stop(0, 0, 0.0)) else 0)
    found = search(problem)
    assert found.proven
    assert (round(found.seconds, 6), found.nbytes) == brute(problem)


@given(problems())
def test_it_keeps_the_rules(problem: Problem) -> None:
    found = search(problem)
    for stop, held in zip(problem.stops, found.held, strict=True):
        assert held & stop.needs == stop.needs, "a run lacks a component"
        assert problem.size(held) + stop.workspace <= problem.budget, "the budget is exceeded"
        assert sum(problem.pieces[i].host for i in bits(held)) <= problem.host, "main memory is exceeded"
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
