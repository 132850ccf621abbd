"""Whose turn it is: the stated order, and the stated bound, over any queue."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from animatic.turns import Waiting, group, order

OWNERS = st.sampled_from(["ann", "bob", "cid"])
JOBS = st.lists(st.tuples(OWNERS, st.integers(0, 1), st.sampled_from("PQ"), st.booleans()), max_size=24).map(
    lambda rows: [Waiting(number, *row) for number, row in enumerate(rows, 1)]
)
SERVED = st.dictionaries(OWNERS, st.integers(0, 9))


def test_owners_take_turns_and_their_older_jobs_come_first() -> None:
    waiting = [Waiting(1, "ann"), Waiting(2, "ann"), Waiting(3, "ann"), Waiting(4, "bob"), Waiting(5, "bob")]
    assert [one.number for one in order(waiting, {})] == [1, 4, 2, 5, 3]
    assert [one.number for one in order(waiting, {"ann": 7})] == [4, 1, 5, 2, 3]


def test_priority_comes_before_fairness() -> None:
    waiting = [Waiting(1, "ann"), Waiting(2, "bob"), Waiting(3, "ann", priority=1)]
    assert [one.number for one in order(waiting, {"ann": 9})] == [3, 2, 1]


def test_only_shots_of_the_same_models_go_together() -> None:
    waiting = [Waiting(1, "ann", models="P"), Waiting(2, "ann", models="Q"), Waiting(3, "ann", models="P")]
    assert [one.number for one in group(waiting, {}, 8)] == [1, 3]
    assert [one.number for one in group(waiting, {}, 1)] == [1]


def test_what_was_tried_before_goes_alone() -> None:
    first, second, third = Waiting(1, "ann", tried=True), Waiting(2, "ann"), Waiting(3, "ann", tried=True)
    assert group([first, second], {}, 8) == [first]
    assert group([second, third], {}, 8) == [second]


@given(JOBS, SERVED)
def test_everybody_has_a_turn_once(waiting: list[Waiting], served: dict[str, int]) -> None:
    assert sorted(one.number for one in order(waiting, served)) == [one.number for one in waiting]


@given(JOBS, SERVED, st.integers(1, 5))
def test_nobody_starves(waiting: list[Waiting], served: dict[str, int], size: int) -> None:
    """The bound that docs/service.md states: k - 1 groups go before place k, (k - 1)(size - 1) jobs overtake it."""
    places = {one.number: place for place, one in enumerate(order(waiting, served), 1)}
    left, done, turn = list(waiting), [], max(served.values(), default=0)
    for round_ in range(len(waiting)):
        if not left:
            break
        taken = group(left, served, size)
        assert taken[0] == next(order(left, served)), "the head is always taken"
        turn += 1
        served = {**served, taken[0].owner: turn}
        for one in taken:
            place = places[one.number]
            assert round_ <= place - 1
            overtaking = [number for number in done if places[number] > place]
            assert len(overtaking) <= (place - 1) * (size - 1)
        done += [one.number for one in taken]
        left = [one for one in left if one not in taken]
    assert not left
