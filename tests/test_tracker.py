"""What clients see of a job while it is made: true steps, progress that never goes back, its own shot alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from animatic.commission import Commission
from animatic.core import Forecast, Phase, Plan, Run, Shot, Span
from animatic.events import Captioned, Drawn, Event, Notice, PhaseBegun, PhaseEnded, Planned, StageBegun, Step
from animatic.jobs import Job
from animatic.tracker import Tracker


def job(name: str = "video_1", number: int = 1, **state: Any) -> Job:
    asked = Commission("a red boat", "pocket")
    return Job(number, name, "ann", "video", "in_progress", "", 0, 0.0, None, asked, state, "cpu", 1, "")


def planned(*phases: tuple[str, float], shots: int = 1) -> Planned:
    """A plan whose phases take so many seconds."""
    shot = Shot("a red boat", 0, "pocket", {})
    runs, spans, begin = [], [], 0.0
    for name, seconds in phases:
        runs.append(Run(tuple(Phase(name, "latents", shot, {}) for _ in range(shots))))
        spans.append(Span("run", name, begin, begin + seconds))
        begin += seconds
    steps = {name: 4 for name, _ in phases if name.endswith("denoise")}
    return Planned(tuple(name for name, _ in phases), shots, steps, Plan(tuple(runs), Forecast(tuple(spans))))


def seen(tracker: Tracker, *events: Event) -> None:
    for now, event in enumerate(events):
        tracker.see(event, float(now))


def test_steps_and_progress_are_true() -> None:
    tracker = Tracker([one := job(estimate=10.0)])
    seen(tracker, planned(("image.denoise", 4), ("video.denoise", 6)), StageBegun("image", 1),
         PhaseBegun("image.denoise", "x@video_1"), Step("image.denoise", "x@video_1", 3, 4))  # fmt: skip
    state = tracker.state(one)
    assert (state["stage"], state["phase"], state["step"], state["steps"]) == ("image", "image.denoise", 3, 4)
    assert state["progress"] == 30 and state["remaining"] > 0
    tracker.see(PhaseEnded("image.denoise", "x@video_1", 4, 0), 5.0)
    tracker.see(PhaseBegun("video.denoise", "x@video_1"), 5.0)
    assert (state["progress"], state["step"], state["steps"]) == (40, None, 4)


def test_a_job_that_stops_for_a_choice_is_not_almost_done() -> None:
    tracker = Tracker([one := job(estimate=10.0)])
    seen(tracker, planned(("image.denoise", 2)), PhaseEnded("image.denoise", "x@video_1", 2, 0))
    assert tracker.state(one)["progress"] == 20


def test_an_event_of_one_shot_is_not_told_of_another() -> None:
    tracker = Tracker([first := job(), second := job("video_2", 2)])
    seen(tracker, Captioned("x@video_1", "A boat."), Notice("for all"))
    assert tracker.state(first)["caption"] == "A boat." and "caption" not in tracker.state(second)
    changes = tracker.take(lambda _: b"")
    assert [event["event"] for event in changes[1].events] == ["captioned", "notice"]
    assert [event["event"] for event in changes[2].events] == ["notice"]
    assert tracker.take(lambda _: b"") == {}


def test_each_is_told_of_itself_alone() -> None:
    tracker = Tracker([job(), job("video_2", 2)])
    seen(tracker, planned(("video.denoise", 1), shots=2), StageBegun("video", 2))
    assert [event["shots"] for event in tracker.take(lambda _: b"")[1].events] == [1, 1]


def test_drawn_stills_are_told_by_number_and_never_by_path() -> None:
    tracker = Tracker([one := job()])
    seen(tracker, Drawn("x@video_1", "a red boat", (Path("/srv/a.png"), Path("/srv/b.png")), (0.1, 0.9), 2))
    assert (tracker.state(one)["stills"], tracker.state(one)["picked"]) == (2, 2)
    assert "/srv" not in str(tracker.take(lambda _: b"")[1].events)


def test_only_the_last_preview_is_encoded() -> None:
    tracker = Tracker([one := job()])
    for step in (1, 2):
        tracker.see(Step("image.denoise", "x@video_1", step, 4, np.full((1, 2, 2, 3), step, np.uint8)), 0.0)
    encoded: list[int] = []
    change = tracker.take(lambda pixels: encoded.append(int(pixels.max())) or b"png")[1]  # type: ignore[func-returns-value]
    assert encoded == [2] and change.preview == b"png" and tracker.state(one)["preview"] == "image.denoise-2"


def test_a_begun_again_job_keeps_what_it_has_and_not_what_it_did() -> None:
    before = {
        "caption": "A boat.",
        "stills": 3,
        "size": "144x96",
        "progress": 50,
        "stage": "video",
        "error": {"code": "x"},
    }
    state = Tracker([one := job(**before)]).state(one)
    assert {"caption", "stills", "size"} <= set(state) and state["progress"] == 0
    assert not {"stage", "error"} & set(state)


def test_getting_further_is_told_from_finding_things_made() -> None:
    tracker = Tracker([job()])
    tracker.see(PhaseEnded("image.denoise", "x@video_1", 0, 0, hit=True), 0.0)
    assert tracker.take(lambda _: b"")[1].further is False
    tracker.see(PhaseEnded("image.denoise", "x@video_1", 1, 0), 0.0)
    assert tracker.take(lambda _: b"")[1].further is True


STEPS = st.lists(st.tuples(st.sampled_from(["image.denoise", "video.denoise"]), st.integers(1, 4)), max_size=12)


@given(STEPS, st.floats(0, 50))
def test_progress_never_goes_back_and_never_says_done(steps: list[tuple[str, int]], estimate: float) -> None:
    tracker = Tracker([one := job(estimate=estimate)])
    tracker.see(planned(("image.denoise", 4), ("video.denoise", 6)), 0.0)
    last = 0
    for now, (phase, step) in enumerate(steps):
        tracker.see(Step(phase, "x@video_1", step, 4), float(now))
        progress = tracker.state(one)["progress"]
        assert last <= progress <= 99
        last = progress


@pytest.mark.parametrize("text", ["", "no name", "x@other"])
def test_a_stranger_is_nobodys(text: str) -> None:
    tracker = Tracker([job()])
    assert tracker.job(PhaseBegun("image.denoise", text)) is None
