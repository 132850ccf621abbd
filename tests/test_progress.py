"""The remaining time is the plan's, stretched as it has needed so far; it never lies about being done."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from animatic.core import Forecast, Phase, Plan, Run, Shot, Span
from animatic.events import PhaseEnded, Step
from animatic.progress import Remaining


def plan(seconds: list[float], shots: int = 2) -> Plan:
    """Runs p0, p1, ... one after another."""
    phases = [Phase(f"p{n}.x", "x", Shot("", 0, "", {}), {}) for n in range(len(seconds))]
    ends = [sum(seconds[: n + 1]) for n in range(len(seconds))]
    spans = tuple(Span("run", one.name, end - took, end) for one, end, took in zip(phases, ends, seconds, strict=True))
    return Plan(tuple(Run((one,) * shots) for one in phases), Forecast(spans))


def ended(number: int) -> PhaseEnded:
    return PhaseEnded(f"p{number}.x", "s", 1.0, 0)


def test_nothing_is_promised_before_something_is_done() -> None:
    assert Remaining(plan([10, 30]), 0).left(5) is None


def test_a_plan_that_holds_is_told_as_it_is() -> None:
    remaining = Remaining(plan([10, 30]), 100)
    remaining.note(ended(0))
    assert remaining.left(105) == 35
    remaining.note(ended(0))
    remaining.note(Step("p1.x", "s", 1, 2))
    assert remaining.left(117.5) == 22.5


def test_twice_as_slow_is_told_nearly_twice_as_long() -> None:
    remaining = Remaining(plan([10, 30]), 0)
    remaining.note(ended(0))
    remaining.note(ended(0))
    left = remaining.left(20)
    assert left is not None and 50 < left < 60


@given(st.lists(st.floats(0.1, 100), min_size=1, max_size=5), st.integers(1, 4), st.floats(0.1, 10))
def test_it_is_zero_in_the_end_and_not_before(seconds: list[float], shots: int, slowness: float) -> None:
    one = plan(seconds, shots)
    remaining = Remaining(one, 0)
    for number in range(len(seconds)):
        for _ in range(shots):
            assert (remaining.left(1e6) or 1) > 0
            remaining.note(ended(number))
    assert (remaining.left(one.forecast.seconds * slowness) or 0.0) < 1e-6 * sum(seconds)


def test_phases_that_are_not_in_the_plan_make_no_difference() -> None:
    remaining = Remaining(plan([10]), 0)
    remaining.note(PhaseEnded("file.write", "s", 1.0, 0))
    assert remaining.left(1) is None
