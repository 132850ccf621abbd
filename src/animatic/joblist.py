"""What `animatic jobs` prints: a server's videos as a table, and one in detail."""

from __future__ import annotations

import time
from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from animatic.client import Video
from animatic.sizes import duration

QUIET = "grey58"
COLOURS = {"queued": "yellow", "in_progress": "bright_cyan", "completed": "green", "failed": "red"}


def table(videos: Sequence[Video]) -> RenderableType:
    """A line a video, in the order they are given."""
    if not videos:
        return Text('no videos yet: animatic make "a red boat sails" --at URL makes one', QUIET)
    now = time.time()
    lines = Table(box=None, header_style=QUIET, padding=(0, 2, 0, 0), expand=True)
    for column in ("video", "status", "", "age"):
        lines.add_column(column, no_wrap=True)
    lines.add_column("prompt", no_wrap=True, overflow="ellipsis", ratio=1)  # Gets what the others leave.
    for video in videos:
        lines.add_row(video.id, _status(video), _progress(video), _age(video, now), Text(video.prompt or ""))
    return lines


def details(video: Video) -> RenderableType:
    """All that a person may want to know of a video, a fact a line."""
    facts = {
        "status": _status(video),
        "prompt": Text(video.prompt or ""),
        "caption": Text(video.caption or "", QUIET),
        "model": Text(f"{video.model}, {video.size}, {video.seconds} s, seed {video.seed}"),
        "now": Text(_now(video)),
        "why": Text(video.error.message if video.error else ""),
        "waits for": Text(_asked(video)),
        "remarks": Text("; ".join(video.remarks)),
        "age": _age(video, time.time()),
    }
    lines = Table.grid(padding=(0, 2))
    lines.add_column(style=QUIET, no_wrap=True)
    lines.add_column(overflow="fold")
    for name, fact in facts.items():
        if fact.plain:
            lines.add_row(name, fact)
    return Group(Text(video.id, "bold"), lines, Text(_next(video), QUIET))


def _status(video: Video) -> Text:
    cancelled = video.error is not None and video.error.code == "cancelled"
    word = "cancelled" if cancelled else f"waits for you: {video.waiting_for}" if video.waiting_for else video.status
    return Text(word.replace("_", " "), QUIET if cancelled else COLOURS.get(video.status, ""))


def _progress(video: Video) -> RenderableType:
    if video.status == "in_progress":
        return ProgressBar(100, video.progress, width=12, complete_style=COLOURS["in_progress"])
    return Text(f"number {video.position}" if video.position else "", QUIET)


def _now(video: Video) -> str:
    if video.position:
        return f"number {video.position} of those that wait"
    if video.status != "in_progress" or video.waiting_for:
        return ""
    steps = f", step {video.step} of {video.steps}" if video.step and video.steps else ""
    left = f", {duration(video.remaining_seconds)} left" if video.remaining_seconds else ""
    return f"{video.phase or 'beginning'}{steps}, {video.progress} %{left}"


def _asked(video: Video) -> str:
    if video.waiting_for == "still":
        return f"one of {len(video.stills)} stills to be chosen"
    return "its paragraph to be read" if video.waiting_for else ""


def _next(video: Video) -> str:
    """The command that one would give next."""
    if video.status == "completed":
        return f"animatic jobs {video.id} --get fetches its files"
    return "" if video.done else f"animatic jobs {video.id} --watch shows what happens"


def _age(video: Video, now: float) -> Text:
    return Text(duration(max(0, round(now - video.created_at))), QUIET)
