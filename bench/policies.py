"""How others decide what to evict, written anew over our planner's numbers: each says what is in memory in every run.

All are reactive: a component is loaded when a run needs it, and something leaves when there is no room. They see no
further than their rule says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import combinations

from animatic.search import Found, Problem, bits, policy, simulate

Victims = Callable[[Problem, int, int, int, Sequence[int]], Iterable[int]]
"""(problem, run, resident, bytes that must go, last use of each piece) -> the pieces to evict, in order."""


def reactive(problem: Problem, victims: Victims) -> Found:
    held, here, used = [], problem.resident, [-1] * len(problem.pieces)
    for run, stop in enumerate(problem.stops):
        room = problem.budget - stop.workspace - problem.size(stop.needs)
        idle = here & ~stop.needs
        excess = problem.size(idle) - room
        if excess > 0:
            for piece in victims(problem, run, idle, excess, used):
                idle &= ~(1 << piece)
                if problem.size(idle) <= room:
                    break
        here = stop.needs | idle
        for piece in bits(stop.needs):
            used[piece] = run
        held.append(here)
    return simulate(problem, held)


def least_recently_used(problem: Problem) -> Found:
    return reactive(problem, lambda _p, _r, idle, _e, used: sorted(bits(idle), key=lambda piece: used[piece]))


def smallest_sufficient_set(problem: Problem) -> Found:
    """diffusers' ComponentsManager: of all sets that free enough the one with the smallest sum, whatever comes next."""

    def victims(one: Problem, _run: int, idle: int, excess: int, _used: Sequence[int]) -> Iterable[int]:
        pieces = list(bits(idle))
        sets = (chosen for n in range(1, len(pieces) + 1) for chosen in combinations(pieces, n))
        sizes = ((sum(one.pieces[piece].size for piece in chosen), chosen) for chosen in sets)
        return min(sized for sized in sizes if sized[0] >= excess)[1]

    return reactive(problem, victims)


def predecessor_chain(problem: Problem) -> Found:
    """accelerate's model offload: when the next model runs, the one before goes."""
    return simulate(problem, [stop.needs for stop in problem.stops])


def unload_everything(problem: Problem) -> Found:
    """mmgp: before a model runs, all others go, and what it shares with the one before is loaded anew."""
    clock, nbytes = 0.0, 0
    for stop in problem.stops:
        clock += sum(problem.pieces[piece].seconds for piece in bits(stop.needs)) + stop.seconds
        nbytes += sum(problem.pieces[piece].nbytes for piece in bits(stop.needs))
    return Found((), clock, nbytes)


def furthest_next_use(problem: Problem) -> Found:
    return policy(problem, prefetch=False)


def furthest_next_use_prefetching(problem: Problem) -> Found:
    return policy(problem, prefetch=True)


POLICIES: dict[str, Callable[[Problem], Found]] = {
    "furthest next use, prefetching": furthest_next_use_prefetching,
    "furthest next use": furthest_next_use,
    "least recently used": least_recently_used,
    "smallest sufficient set (ComponentsManager)": smallest_sufficient_set,
    "predecessor chain (model offload)": predecessor_chain,
    "unload everything (mmgp)": unload_everything,
}
