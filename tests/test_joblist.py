"""The list of jobs in a terminal: ids are whole, whatever else is long."""

from __future__ import annotations

import io
import time

import pytest
from rich.console import Console

from animatic import joblist
from animatic.client import Video


@pytest.mark.parametrize("width", [80, 120])
def test_ids_statuses_and_ages_are_whole_and_prompts_take_what_is_left(width: int) -> None:
    now = int(time.time()) - 5
    videos = [Video(f"video_{number:024x}", "pocket", status, 40, now, "2.125", "144x96", prompt="a red boat " * 20,
                    position=2 if status == "queued" else None)
              for number, status in enumerate(("queued", "in_progress", "completed", "failed"))]  # fmt: skip
    console = Console(file=io.StringIO(), width=width)
    console.print(joblist.table(videos))
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert len(lines) == 5 and all(len(line) <= width for line in lines)
    for video, line in zip(videos, lines[1:], strict=True):
        assert video.id in line and video.status.replace("_", " ") in line and "a red" in line
