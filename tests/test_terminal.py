"""What a person sees while a clip is made."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from animatic.events import Captioned, Clip, Failed, Notice, PhaseBegun, Planned, Sheet, StageBegun, StageEnded, Step
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


def test_a_batch_tells_clips_as_they_come_failures_the_sheet_and_what_was_there(tmp_path: Path) -> None:
    names = ("path", "still", "card", "text", "sidecar")
    clip = Clip("a", **{name: tmp_path / f"{name}.x" for name in names}, caption="", record={})
    events = [
        Planned(("file.write",), 3),
        Captioned("a", "A boat."),
        replace(clip, hit=True),
        clip,
        replace(clip, hit=True, path=tmp_path / "third.x"),
        Failed("b", "image.decode", "RuntimeError: a [bad] day", RuntimeError()),
        Sheet(tmp_path / "index.html", 3, 1),
    ]
    for terminal in (True, False):
        console = Console(file=io.StringIO(), force_terminal=terminal, width=200)
        watch(events, console)
        text = re.sub("\x1b\\[[0-9;?]*[a-zA-Z]", "", console.file.getvalue())  # type: ignore[attr-defined]
        assert f"already made: {clip.path}; another take: --takes 2" in text
        assert f"already made: {tmp_path / 'third.x'}; another take: --takes 4" in text
        assert "✗ b: image.decode: RuntimeError: a [bad] day" in text
        assert f"{tmp_path / 'index.html'}  3 shots, 1 failed" in text
        assert text.count(str(clip.path)) == 2
    assert Picture().remaining is None
