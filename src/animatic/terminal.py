"""How a making looks in a terminal: a line per stage with true steps, the paragraph, a live preview, the files.

A loop over events, one of several; knows nothing of how they come about.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from animatic.core import STAGES, Stage
from animatic.events import (
    Captioned,
    Clip,
    Drawn,
    Event,
    Failed,
    Notice,
    PhaseBegun,
    Planned,
    Sheet,
    Sketch,
    StageBegun,
    StageEnded,
    Step,
)
from animatic.progress import Remaining

PREVIEW_COLUMNS = 48
ACCENT, DONE, BAD, QUIET = "bright_cyan", "green", "red", "grey58"
DOING = {
    "refine.generate": "writing the paragraph",
    "refine.given": "reading your caption",
    "image.encode": "reading the paragraph",
    "image.denoise": "drawing",
    "image.decode": "developing the still",
    "video.encode": "reading the paragraph",
    "video.anchor": "taking up the still",
    "video.denoise": "filming",
    "video.decode": "developing the frames",
    "file.write": "writing the files",
}


def watch(events: Iterable[Event], console: Console) -> list[Clip]:
    """Show `events` as they happen and return the clips. In a terminal a living picture, else plain lines."""
    if not console.is_terminal:
        return [event for event in _plain(events, console) if isinstance(event, Clip)]
    picture = Picture()
    held: list[Clip] = []

    def told(where: Console) -> None:
        """The only clip is the last word; of many, each is told as it comes."""
        for number, clip in enumerate(held, len(picture.clips) - len(held) + 1):
            _say(clip, where, number)
        held.clear()

    with Live(picture, console=console, refresh_per_second=12, transient=False) as live:
        for event in events:
            if not live.is_started:
                live.start()
            picture.see(event)
            held += [event] if isinstance(event, Clip) else []
            if not picture.alone:
                told(live.console)
            if not isinstance(event, Clip):
                _say(event, live.console, len(picture.clips))
            if isinstance(event, Drawn):
                live.stop()  # Somebody may be asked now, in this terminal.
        picture.preview = None
    told(console)
    return picture.clips


def _say(event: Event, console: Console, takes: int) -> None:
    """What is told in lines of its own, above the picture. `takes`: clips so far."""
    match event:
        case Notice(text=text):
            console.print(text, style=QUIET, soft_wrap=True, markup=False, highlight=False)
        case Failed(shot=shot, phase=phase, text=text):
            console.print(Text.assemble(("✗ ", BAD), f"{shot}: {phase}: {text}"), soft_wrap=True)
        case Clip(hit=True, path=path):
            more = f"; another take: --takes {takes + 1}"
            console.print(Text.assemble(("✓ ", DONE), "already made: ", (str(path), "bold"), more), soft_wrap=True)
        case Clip():
            console.print(Text.assemble(("→ ", DONE), (str(event.path), "bold")), soft_wrap=True)
            console.print(Text(f"  {event.card}", QUIET), soft_wrap=True)
        case Sheet(path=path, shots=shots, failed=failed):
            tail = f", {failed:,} failed" if failed else ""
            console.print(Text.assemble(("→ ", DONE), (str(path), "bold"), f"  {shots:,} shots{tail}"), soft_wrap=True)
        case Sketch(path=path):
            how = f"edit it, then: animatic make -f {path}"
            console.print(Text.assemble(("→ ", DONE), (str(path), "bold"), f"  {how}"), soft_wrap=True)
        case Drawn(best=best, stills=stills) if best:
            console.print(Text(f"of {len(stills)} stills the best is {stills[best - 1]}", QUIET), soft_wrap=True)
        case _:
            pass


@dataclass
class Line:
    """One stage's state: what it does now, and how far it is."""

    begun: float | None = None
    seconds: float | None = None
    doing: str = ""
    steps: int = 0
    done: int = 0
    first_step: float | None = None
    first_done: int = 0
    _last: dict[str, int] = field(default_factory=dict)

    def step(self, shot: str, number: int, now: float) -> None:
        """A step of a shot is done. The first that is seen of it may be a later one: it was interrupted before."""
        self.done += number - self._last.get(shot, 0)
        self._last[shot] = number
        if self.first_step is None:
            self.first_step, self.first_done = now, self.done

    def remaining(self, now: float) -> float | None:
        """Seconds of denoising left at the pace so far; None until two steps are done, when there is a pace."""
        if self.first_step is None or self.done <= self.first_done or self.done >= self.steps:
            return None
        return (now - self.first_step) / (self.done - self.first_done) * (self.steps - self.done)


@dataclass
class Picture:
    """The living picture of a making. `see` takes each event; rich draws it."""

    lines: dict[Stage, Line] = field(default_factory=lambda: {stage: Line() for stage in STAGES})
    captions: list[str] = field(default_factory=list)
    clips: list[Clip] = field(default_factory=list)
    preview: Any = None
    shots: int = 1
    written: int = 0
    remaining: Remaining | None = None
    spinner: Spinner = field(default_factory=lambda: Spinner("dots", style=ACCENT))

    @property
    def alone(self) -> bool:
        return self.shots == 1

    def see(self, event: Event) -> None:
        if self.remaining is not None:
            self.remaining.note(event)
        match event:
            case Planned(phases=phases, steps=steps, shots=shots, plan=plan):
                self.remaining = Remaining(plan, time.monotonic())
                self.shots, self.written = shots, 0
                needed = {_stage(phase) for phase in phases}
                self.lines = {stage: Line() for stage in STAGES if stage in needed}
                for phase, count in steps.items():
                    self._line(_stage(phase)).steps = count * shots
            case StageBegun(stage=stage):
                line = self._line(stage)
                line.begun, line.seconds = line.begun or time.monotonic(), None
                line.doing = line.doing or "loading"
            case StageEnded(stage=stage):
                line = self._line(stage)
                line.seconds = time.monotonic() - (line.begun or time.monotonic())
                self.preview = None
            case PhaseBegun(phase=phase):
                self._line(_stage(phase)).doing = DOING.get(phase, phase)
            case Step(phase=phase, shot=shot, step=number, preview=preview):
                self._line(_stage(phase)).step(shot, number, time.monotonic())
                self.preview = preview
            case Captioned(caption=caption):
                self.captions.append(caption)
            case Clip():
                self.clips.append(event)
                self.written += 1
            case _:
                pass

    def _line(self, stage: Stage) -> Line:
        """A stage's; also of one that the plan said nothing of, such as the file of a film that was there already."""
        return self.lines.setdefault(stage, Line())

    def __rich_console__(self, console: Console, options: Any) -> Iterator[RenderableType]:
        grid = Table.grid(padding=(0, 1))
        for width in (2, 7, 26, 24, 9, 14):
            grid.add_column(min_width=width, no_wrap=True)
        now = time.monotonic()
        for stage, line in self.lines.items():
            grid.add_row(*self._row(stage, line, now))
        if self.shots > 1 and self.remaining is not None:
            left = self.remaining.left(now) if self.written < self.shots else None
            grid.add_row(Text("Σ", QUIET), Text("shots"), Text(f"{self.written} of {self.shots} done"),
                         ProgressBar(self.shots, self.written, width=24, complete_style=ACCENT), Text(""),
                         Text("" if left is None else f"{clock(left)} left", QUIET))  # fmt: skip
        parts: list[RenderableType] = [grid]
        if self.captions:
            parts.append(Padding(Text(self.captions[-1], style=QUIET), (1, 2, 1, 3)))
        if self.preview is not None and console.color_system in ("truecolor", "256"):
            parts.append(Padding(half_blocks(self.preview), (0, 0, 1, 3)))
        yield Group(*parts)

    def _row(self, stage: Stage, line: Line, now: float) -> Sequence[RenderableType]:
        if line.begun is None:
            return Text("·", QUIET), Text(stage, QUIET)
        if line.seconds is not None:
            return Text("✓", DONE), Text(stage), Text(""), Text(""), Text(""), Text(clock(line.seconds), QUIET)
        bar: RenderableType = Text("")
        steps = Text("")
        if line.steps and line.done:
            bar = ProgressBar(line.steps, line.done, width=24, complete_style=ACCENT, finished_style=ACCENT)
            steps = Text(f"{line.done}/{line.steps}", QUIET)
        left = line.remaining(now)
        time_text = f"{clock(left)} left" if left is not None else clock(now - line.begun)
        return self.spinner, Text(stage, "bold"), Text(line.doing), bar, steps, Text(time_text, QUIET)


def half_blocks(preview: Any) -> Text:
    """A picture in text, two pixels a character: the middle frame of uint8 [frames, height, width, 3].

    Small ones are enlarged by a whole number, large ones sampled.
    """
    frame = preview[len(preview) // 2]
    rows, columns = frame.shape[:2]
    width = PREVIEW_COLUMNS // columns * columns or PREVIEW_COLUMNS
    height = max(2, round(rows * width / columns) // 2 * 2)
    text = Text(no_wrap=True)
    for y in range(0, height, 2):
        for x in range(width):
            upper, lower = (frame[(y + d) * rows // height, x * columns // width] for d in (0, 1))
            text.append("▀", f"rgb({_rgb(upper)}) on rgb({_rgb(lower)})")
        text.append("\n")
    text.rstrip()
    return text


def clock(seconds: float) -> str:
    """`8 s`, `2:05`, `1:02:30`."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02}" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


def _plain(events: Iterable[Event], console: Console) -> Iterator[Event]:
    """A line per stage and clip: for logs and pipes."""
    takes = 0
    for event in events:
        takes += isinstance(event, Clip)
        match event:
            case Captioned(caption=caption):
                console.print(caption, soft_wrap=True, markup=False, highlight=False)
            case StageEnded(stage=stage, seconds=seconds):
                console.print(f"{stage}: {clock(seconds)}", markup=False, highlight=False)
            case _:
                _say(event, console, takes)
        yield event


def _rgb(pixel: Any) -> str:
    return ",".join(str(int(channel)) for channel in pixel)


def _stage(name: str) -> Stage:
    return name.partition(".")[0]  # type: ignore[return-value]
