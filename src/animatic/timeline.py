"""How a plan looks in a terminal: a row a phase, both lanes drawn over time, and one line that sums it up.

Fits itself to the terminal's width. Decides nothing: an `Outlook` in, text out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderableType
from rich.padding import Padding
from rich.text import Text

from animatic.core import Component, Span
from animatic.outlook import Outlook, Row, placed, summary
from animatic.sizes import duration, gib

QUIET, WAIT = "grey58", "yellow"
COLOURS = {
    "refine": ("#d98a2b", "#eab56f"),
    "image": ("#1f9e89", "#6cc5b4"),
    "video": ("#5b6ee1", "#99a5f0"),
    "file": ("#7a828c", "#a5abb3"),
}
"""Two tints a stage: neighbours in a lane take turns."""

WIDEST = 120
NARROW = 76
"""Columns below which what can be read from the summary is left out of the rows."""

EIGHTHS = " ▏▎▍▌▋▊▉█"
HALVES = ("█", "▌"), ("▓", "▌")
"""Marks of a lane where it is mostly and partly taken, by turns, so that it can be read without colours too."""


def table(outlook: Outlook) -> RenderableType:
    """The whole plan, for a terminal of any width."""
    return _Sheet(outlook)


@dataclass(frozen=True)
class _Sheet:
    outlook: Outlook

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        width = min(options.max_width, WIDEST)
        shots = "1 shot" if self.outlook.shots == 1 else f"{self.outlook.shots:,} shots"
        yield Text.assemble((self.outlook.preset, "bold"), f", {shots}, on {self.outlook.device}")
        for note in self.outlook.notes:
            yield Text(note, QUIET)
        yield Text()
        yield from _rows(self.outlook, width)
        if self.outlook.seconds > 0:
            yield Text()
            yield lanes(self.outlook, width)
        yield Text()
        yield Text(summary(self.outlook), "bold")
        if self.outlook.basis:
            yield Text(f"seconds {self.outlook.basis}", QUIET)


# ---------------------------------------------------------------------------------------------------- a row a phase


def _rows(outlook: Outlook, width: int) -> Iterator[RenderableType]:
    wide = width >= NARROW
    names = max((len(row.run.name) for row in outlook.rows), default=0)
    bar = max(4, min(24, width - names - (50 if wide else 40)))
    budget = f"{'memory ' if bar > 10 else ''}of {gib(outlook.memory)}"
    heads = [f"{'':{names}}", f"{budget:>{bar + 11}}", f"{'computes':>10}", f"{'waits':>10}"]
    yield Text("  ".join([*heads, f"{'hides':>10}"] if wide else heads), QUIET, no_wrap=True)
    for row in outlook.rows:
        cells = [Text(f"{row.run.name:{names}}", f"bold {COLOURS[row.run.phases[0].stage][0]}")]
        cells.append(_memory(row.span.device, outlook.memory, bar))
        cells.append(Text(f"{duration(row.seconds):>10}"))
        cells.append(Text(f"{_some(row.span.waited):>10}", WAIT if row.span.waited else QUIET))
        if wide:
            cells.append(Text(f"{_some(row.hidden):>10}", QUIET))
        line = Text("  ").join(cells)
        line.no_wrap = True
        yield line
        for detail in _details(row):
            yield Padding(Text(detail, QUIET), (0, 0, 0, 4))


def _some(seconds: float) -> str:
    return duration(seconds) if seconds > 0 else "–"


def _memory(nbytes: int, budget: int, width: int) -> Text:
    """How much, and a bar against the budget."""
    filled = min(8 * width, round(8 * width * nbytes / budget)) if budget else 0
    whole, rest = divmod(filled, 8)
    bar = "█" * whole + (EIGHTHS[rest] if rest else "")
    style = "red" if nbytes > budget else ""
    return Text.assemble((f"{gib(nbytes):>9}  ", style), (bar, style), ("·" * (width - len(bar)), QUIET))


def _details(row: Row) -> Iterator[str]:
    """What comes and goes with a run, a line each."""
    together: dict[str, list[str]] = {}
    for one in row.arrivals:
        if one.component.nbytes:
            how = f"{placed(one)}{', ahead' if row.ahead(one) else ''}"
            together.setdefault(how, []).append(f"{one.component.name} {gib(one.component.nbytes)}")
    for how, names in together.items():
        yield f"↓ {', '.join(names)} {how}"
    if row.span.nbytes:
        shots = f", {row.run.lockstep:,} shots at a time" if row.run.lockstep > 1 else ""
        yield f"↔ streams {gib(row.span.nbytes)} in all{shots}"
    if gone := _named(one.component for one in row.evictions if not one.keep):
        yield f"↑ drops {gone}"
    if kept := _named(one.component for one in row.evictions if one.keep):
        yield f"↑ keeps {kept} in host memory"


def _named(components: Iterable[Component]) -> str:
    return ", ".join(component.name for component in components if component.nbytes)


# -------------------------------------------------------------------------------------------------------- both lanes


def lanes(outlook: Outlook, width: int) -> Text:
    """Loads above, runs below, over the same time, with the stages' names and the time under them."""
    room = max(10, width - 6)
    text = Text(no_wrap=True)
    for lane in ("load", "run"):
        pieces = [span for span in outlook.plan.forecast.spans if span.lane == lane]
        text.append(f"{lane:5} ", QUIET)
        text.append_text(_lane(pieces, outlook.seconds, room))
        text.append("\n")
    text.append(" " * 6)
    text.append_text(_stages(outlook, room))
    text.append("\n" + " " * 6)
    text.append(_axis(outlook.seconds, room), QUIET)
    return text


def _lane(spans: Sequence[Span], total: float, width: int) -> Text:
    """Each cell takes the colour of the span that fills most of it."""
    most: list[tuple[float, int]] = [(0.0, 0)] * width
    filled = [0.0] * width
    for number, span in enumerate(spans):
        begin, end = (width * at / total for at in (span.begin, span.end))
        for cell in range(int(begin), min(width, int(end) + 1)):
            taken = min(end, cell + 1) - max(begin, cell)
            filled[cell] += taken
            most[cell] = max(most[cell], (taken, number))
    text = Text()
    for (taken, number), whole in zip(most, filled, strict=True):
        if taken <= 0:
            text.append("·", QUIET)
        else:
            tint = _tints(spans[number].name.partition(".")[0])[number % 2]
            text.append(HALVES[number % 2][whole < 0.5], tint)
    return text


def _tints(stage: str) -> tuple[str, str]:
    return COLOURS.get(stage, COLOURS["file"])


def _stages(outlook: Outlook, width: int) -> Text:
    """The stages' names, each in the middle of its stretch, where there is room."""
    stretches: dict[str, tuple[float, float]] = {}
    for row in outlook.rows:
        # A phase that was moved to an earlier stage's time does not widen its own stage's stretch unless it is long.
        if row.seconds >= 0.01 * outlook.seconds:
            stage = row.run.phases[0].stage
            begin = stretches.get(stage, (row.span.begin, 0.0))[0]
            stretches[stage] = (begin, row.span.end)
    text = Text()
    for name, (begin, end) in stretches.items():
        left = round(width * (begin + end) / 2 / outlook.seconds - len(name) / 2)
        left = max(0, min(left, width - len(name)))
        if left >= len(text):
            text.append(" " * (left - len(text)))
            text.append(name, _tints(name)[0])
    return text


def _axis(total: float, width: int) -> str:
    """`0 s`, the middle and the end."""
    middle, end = duration(total / 2), duration(total)
    line = f"{'0':{max(1, width // 2 - len(middle) // 2)}}{middle}"
    return f"{line}{end:>{max(1, width - len(line))}}" if width - len(line) > len(end) else f"{'0'}{end:>{width - 1}}"
