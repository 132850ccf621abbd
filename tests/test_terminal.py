"""What a person sees while a clip is made."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from animatic.events import (
    Captioned,
    Clip,
    Event,
    Failed,
    Notice,
    PhaseBegun,
    Planned,
    Sheet,
    StageBegun,
    StageEnded,
    Step,
)
from animatic.terminal import Line, Picture, clock, half_blocks, watch

STEPS = {"image.denoise": 4, "video.denoise": 10}


def drawn(picture: Picture) -> str:
    console = Console(file=io.StringIO(), force_terminal=True, color_system="truecolor", width=100)
    console.print(picture)
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_stages_steps_and_the_paragraph_are_shown() -> None:
    picture = Picture()
    preview = np.zeros((3, 12, 18, 3), np.uint8)
    for event in (
        Planned(("refine.generate", "image.denoise", "video.denoise", "file.write"), 2, STEPS),
        StageBegun("refine", 2),
        Captioned("x", "A red boat sails."),
        StageEnded("refine", 3.0),
        StageBegun("image", 2),
        PhaseBegun("image.denoise", "x"),
        Step("image.denoise", "x", 1, 4, preview),
        Step("image.denoise", "x", 2, 4, preview),
    ):
        picture.see(event)
    text = drawn(picture)
    assert "✓" in text and "A red boat sails." in text
    assert "drawing" in text and "2/8" in text, "steps count over both shots"
    assert "left" in text and "▀" in text
    assert "video" in text and "file" in text, "stages to come are named"


def test_the_preview_goes_when_its_stage_ends() -> None:
    picture = Picture()
    for event in (
        Planned(("image.denoise", "video.denoise"), 1, STEPS),
        StageBegun("image", 1),
        Step("image.denoise", "x", 1, 4, np.zeros((1, 12, 18, 3), np.uint8)),
        StageEnded("image", 1.0),
    ):
        picture.see(event)
    assert "▀" not in drawn(picture)


def test_no_time_is_promised_before_there_is_a_pace() -> None:
    line = Line(begun=0.0, steps=10)
    line.step("x", 1, 100.0)
    assert line.remaining(105.0) is None
    line.step("x", 2, 105.0)
    assert line.remaining(105.0) == 40.0
    line.step("x", 10, 110.0)
    assert line.remaining(110.0) is None


def test_an_interrupted_denoising_goes_on_where_it_stood() -> None:
    line = Line(begun=0.0, steps=20)
    line.step("x", 7, 100.0)
    line.step("x", 8, 102.0)
    assert line.done == 8 and line.remaining(102.0) == 24.0
    line.step("y", 1, 104.0)
    assert line.done == 9


def test_previews_are_two_pixels_a_character(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("animatic.terminal.PREVIEW_COLUMNS", 6)
    frame = np.zeros((1, 4, 6, 3), np.uint8)
    frame[0, 0, 0] = (255, 0, 0)
    text = half_blocks(frame)
    assert text.plain == "▀▀▀▀▀▀\n▀▀▀▀▀▀"
    assert str(text.spans[0].style) == "rgb(255,0,0) on rgb(0,0,0)"


def test_a_pipe_gets_plain_lines() -> None:
    console = Console(file=io.StringIO(), width=40)
    events = [Notice("a toy model [x]"), Captioned("x", "A red boat [sails]."), StageEnded("refine", 65)]
    watch(events, console)
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert lines == ["a toy model [x]", "A red boat [sails].", "refine: 1:05"]


def test_clock() -> None:
    assert [clock(s) for s in (0.4, 59, 65, 3599.6, 7322)] == ["0 s", "59 s", "1:05", "1:00:00", "2:02:02"]


def seen_by(events: list[Event]) -> str:
    """What stands in a terminal in the end, without its colours."""
    console = Console(file=io.StringIO(), force_terminal=True, width=200)
    watch(events, console)
    return re.sub("\x1b\\[[0-9;?]*[a-zA-Z]", "", console.file.getvalue())  # type: ignore[attr-defined]


def clip(name: str, hit: bool = False) -> Clip:
    """Its film is NAME.mp4."""
    others = {what: Path(f"{what}.x") for what in ("still", "card", "text", "sidecar")}
    return Clip(name, path=Path(f"{name}.mp4"), **others, caption="", record={}, hit=hit)


def test_each_clip_is_told_once_however_many_are_planned_at_a_time() -> None:
    there, first, second = clip("there", hit=True), clip("first"), clip("second")
    further_takes = [there, Planned(("file.write",), 2), first, second]
    by_rounds = [Planned(("file.write",), 2), first, second, Planned(("file.write",), 1), clip("last")]
    for events in (further_takes, by_rounds, [there], [there, first], [Planned(("file.write",), 1), first]):
        told = seen_by(events)
        assert all(told.count(str(event.path)) == 1 for event in events if isinstance(event, Clip))


def test_a_film_that_needs_no_plan_is_written_all_the_same() -> None:
    drawn_only = [Planned(("refine.generate", "image.denoise"), 1, {"image.denoise": 4})]
    assert "chosen.mp4" in seen_by([*drawn_only, StageBegun("file", 1), StageEnded("file", 1.0), clip("chosen")])


def test_a_batch_tells_clips_as_they_come_failures_the_sheet_and_what_was_there(tmp_path: Path) -> None:
    one = replace(clip("a"), path=tmp_path / "path.x")
    events = [
        Planned(("file.write",), 3),
        Captioned("a", "A boat."),
        replace(one, hit=True),
        one,
        replace(one, hit=True, path=tmp_path / "third.x"),
        Failed("b", "image.decode", "RuntimeError: a [bad] day", RuntimeError()),
        Sheet(tmp_path / "index.html", 3, 1),
    ]
    for terminal in (True, False):
        console = Console(file=io.StringIO(), force_terminal=terminal, width=200)
        watch(events, console)
        text = re.sub("\x1b\\[[0-9;?]*[a-zA-Z]", "", console.file.getvalue())  # type: ignore[attr-defined]
        assert f"already made: {one.path}; another take: --takes 2" in text
        assert f"already made: {tmp_path / 'third.x'}; another take: --takes 4" in text
        assert "✗ b: image.decode: RuntimeError: a [bad] day" in text
        assert f"{tmp_path / 'index.html'}  3 shots, 1 failed" in text
        assert text.count(str(one.path)) == 2
    assert Picture().remaining is None
