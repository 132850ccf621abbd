"""Where labels go, and the numbers on axes."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from animatic.labels import LINE, callouts, depth, fitting, seconds_step, tick, width

POINTS = st.lists(st.tuples(st.text("abcdefg.", min_size=1, max_size=20), st.floats(76, 936)), max_size=25)


@given(POINTS)
def test_labels_touch_neither_each_other_nor_a_leader(points: list[tuple[str, float]]) -> None:
    placed = callouts(points, 6, 954)
    assert depth(placed) == LINE * (1 + max((label.row for label in placed), default=-1))
    for one, other in itertools.permutations(placed, 2):
        (begin, end), (left, right) = one.reach, other.reach
        assert one.row != other.row or end <= left or right <= begin
        assert other.row < one.row or not begin < other.x < end


@given(POINTS)
def test_labels_stay_on_the_drawing(points: list[tuple[str, float]]) -> None:
    for label in callouts(points, 6, 954):
        begin, end = label.reach
        assert begin >= 6 - 0.001 and end <= 954 + 0.001


def test_a_crowd_of_ten_finds_its_place() -> None:
    assert len(callouts([(f"video.phase{n}", 300 + 3 * n) for n in range(10)], 6, 954)) == 10


def test_the_fullest_text_that_fits_is_taken() -> None:
    assert fitting(200, "image.transformer 16.2 GiB", "image.transformer") == "image.transformer 16.2 GiB"
    assert fitting(130, "image.transformer 16.2 GiB", "image.transformer") == "image.transformer"
    assert fitting(20, "image.transformer 16.2 GiB", "image.transformer") is None
    assert width("漢字") > width("mi")


@given(st.floats(1e-6, 1e8))
def test_an_axis_has_a_handful_of_different_times(total: float) -> None:
    step = seconds_step(total / 7)
    count = int(total / step + 1e-9) + 1
    ticks = [tick(n * step, step) for n in range(count)]
    assert 2 <= count <= 9 and len(set(ticks)) == count and ticks[0] == "0"


@pytest.mark.parametrize(
    ("total", "ticks"),
    [
        (0.1, ["20 ms", "40 ms"]),
        (204, ["30 s", "1:00"]),
        (1500, ["5 min", "10 min"]),
        (184_000, ["12 h", "24 h"]),
    ],
)
def test_times_on_the_axis(total: float, ticks: list[str]) -> None:
    step = seconds_step(total / 7)
    assert [tick(n * step, step) for n in (1, 2)] == ticks
