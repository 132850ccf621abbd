"""What a person sees while a clip is made."""

from __future__ import annotations

import io

import numpy as np
import pytest
from rich.console import Console

from animatic.core import (
    Captioned,
    Notice,
    PhaseBegun,
    Planned,
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
    line = Line(begun=0.0, steps=10, done=1, first_step=100.0)
    assert line.remaining(105.0) is None
    line.done = 3
    assert line.remaining(110.0) == 35.0, "two steps took ten seconds; seven are left"
    line.done = 10
    assert line.remaining(150.0) is None


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
