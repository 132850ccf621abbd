"""A plan as a person reads it in a terminal."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from animatic.core import Plan
from animatic.outlook import Outlook
from animatic.timeline import lanes, table
from tests.outlooks import NEEDS, cascade, outlook


def shown(one: Outlook, width: int = 100, colours: bool = False) -> str:
    console = Console(
        file=io.StringIO(), width=width, force_terminal=colours, color_system="truecolor" if colours else None
    )
    console.print(table(one))
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_phases_come_in_order_with_their_memory_times_and_loads() -> None:
    text = shown(outlook())
    assert [text.index(f"\n{name}") for name in NEEDS] == sorted(text.index(f"\n{name}") for name in NEEDS)
    row = next(line for line in text.splitlines() if line.startswith("image.denoise"))
    assert "17.8 GiB" in row and "22 s" in row and "5.4 s" in row
    assert "of 40.0 GiB" in text and "↓ refine.llm 15.0 GiB from disk  " in text
    assert "↑ drops image.transformer" in text and "tokenizer" not in text, "files without weights are left out"
    assert "decoded in tiles" in text and "by the hardware's rates" in text


def test_loads_that_are_hidden_are_marked_as_ahead() -> None:
    text = shown(outlook(), 120)
    assert "image.text_encoder 236 MiB, image.text_encoder_2 8.9 GiB from disk, ahead" in text


def test_streaming_is_told_with_its_blocks_shots_and_bytes() -> None:
    text = shown(outlook(8, streamed=True), 120)
    assert "video.transformer 8.9 GiB streamed from host memory, 12 of 42 blocks resident, ahead" in text
    assert "↔ streams 174 GiB in all, 8 shots at a time" in text
    assert "8 shots, on NVIDIA GeForce RTX 4090" in text


@pytest.mark.parametrize("width", [30, 60, 61, 75, 76, 80, 120, 200])
@pytest.mark.parametrize(
    ("shots", "streamed", "scale"), [(1, False, 1.0), (8, True, 1.0), (1000, True, 1.0), (1, False, 0.0005)]
)
def test_nothing_is_wider_than_the_terminal(width: int, shots: int, streamed: bool, scale: float) -> None:
    text = shown(outlook(shots, streamed, scale), width)
    assert max(len(line) for line in text.splitlines()) <= width
    if width >= 60:
        row = next(line for line in text.splitlines() if line.startswith("video.denoise"))
        assert row.split()[1:3] and ("B  " in row), "memory stands in every row"


def test_lanes_show_that_loads_go_on_while_runs_do() -> None:
    load, run, stages, axis = lanes(outlook(), 100).plain.splitlines()
    assert load.startswith("load") and run.startswith("run") and len(load) == len(run) == 100
    cells = list(zip(load[6:], run[6:], strict=True))
    assert any(a != "·" and b == "·" for a, b in cells), "a run waits"
    assert any(a != "·" and b != "·" for a, b in cells), "a load is hidden"
    assert any(a == "·" and b != "·" for a, b in cells)
    assert stages.split() == ["refine", "image", "video"]
    assert axis.split()[0] == "0" and axis.endswith("3 min 24 s") and len(axis) == 100


def test_budgets_that_are_exceeded_are_red() -> None:
    assert "\x1b[31m" in shown(outlook(memory=8 << 30), colours=True)
    assert "\x1b[31m" not in shown(outlook(), colours=True)


def test_a_plan_without_a_forecast_has_no_lanes() -> None:
    text = shown(replace(outlook(), plan=Plan(tuple(cascade()))))
    assert "load  " not in text and "about 0 s" in text


def test_names_are_never_taken_for_markup() -> None:
    assert "[red]x" in shown(replace(outlook(), preset="[red]x", notes=("[bold]note",)))
