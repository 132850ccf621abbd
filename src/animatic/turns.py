"""Whose turn it is: the order of waiting jobs, and which of them are made together.

Pure. The order: first the higher priority; then the owner who was served least lately; then the older job. The head of
the order is always taken. Where shots together load fewer bytes, others of the same models go with it, in the same
order, up to a size; only the head counts as its owner's turn. So of those that wait now, the one at place k (from 1)
begins after at most k - 1 groups, and is overtaken by at most (k - 1)(size - 1) of those behind it: each group takes
the head, and what goes with it lets others come sooner, never later. A job that comes later overtakes only by
priority, or for an owner who was served less lately.
"""

from __future__ import annotations

import heapq
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Waiting:
    """A job that waits.

    number  counts up with age
    models  what is alike in it loads the same models
    tried   it was begun before, and its worker died
    """

    number: int
    owner: str
    priority: int = 0
    models: str = ""
    tried: bool = False


def order(waiting: Sequence[Waiting], served: Mapping[str, int]) -> Iterator[Waiting]:
    """All that wait, in the order of their turns. `served`: a number by owner, the higher the later it was served."""
    by_priority: dict[int, dict[str, deque[Waiting]]] = defaultdict(lambda: defaultdict(deque))
    for one in sorted(waiting, key=lambda one: one.number):
        by_priority[one.priority][one.owner].append(one)
    turn = max(served.values(), default=0)
    turns = dict(served)
    for priority in sorted(by_priority, reverse=True):
        owners = by_priority[priority]
        heap = [(turns.get(owner, 0), jobs[0].number, owner) for owner, jobs in owners.items()]
        heapq.heapify(heap)
        while heap:
            _, _, owner = heapq.heappop(heap)
            yield owners[owner].popleft()
            turn += 1
            turns[owner] = turn
            if owners[owner]:
                heapq.heappush(heap, (turn, owners[owner][0].number, owner))


def group(waiting: Sequence[Waiting], served: Mapping[str, int], size: int) -> list[Waiting]:
    """The head of the order, and with it up to `size` in all of those with the same models and priority.

    What was tried before goes alone: it may be what took its worker down, and should take no other job along.
    """
    chosen: list[Waiting] = []
    for one in order(waiting, served):
        if chosen and (len(chosen) >= size or chosen[0].tried):
            break
        alike = not chosen or (one.models, one.priority) == (chosen[0].models, chosen[0].priority)
        if alike and not (chosen and one.tried):
            chosen.append(one)
    return chosen
