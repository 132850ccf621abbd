"""A plan as a picture: both lanes over time, and below them what is in memory when. One self-contained SVG.

Knows no terminal, and decides nothing.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence

from animatic.bands import Band, Piece, bands, heights, merged, stacked
from animatic.canvas import LEFT, MARGIN, RIGHT, WIDTH, Canvas
from animatic.core import STAGES, Span
from animatic.labels import LINE, Label, bytes_step, callouts, depth, fitting, seconds_step, tick, width
from animatic.outlook import Outlook, summary
from animatic.sizes import duration, gib

LANES: Mapping[str, int] = {"load": 22, "run": 30}
"""Their heights."""

PANEL, SMALL_PANEL = 190, 80
"""Heights of the curves of device and host memory."""

MOST_LABELS = 40
"""Bars of one lane that get a label beside it, at most."""


def svg(outlook: Outlook) -> str:
    """The picture. Its height follows from what is in it; it scales to any width."""
    return _Drawing(outlook).draw()


class _Drawing(Canvas):
    """Draws from top to bottom."""

    def __init__(self, outlook: Outlook) -> None:
        super().__init__(outlook.seconds or 1.0)
        self._outlook = outlook
        spans = outlook.plan.forecast.spans
        self._loads = [span for span in spans if span.lane == "load" and span.nbytes]
        self._runs = [span for span in spans if span.lane == "run"]
        self._tints = _tints(self._loads), _tints(self._runs)

    def draw(self) -> str:
        self._heading()
        top = self.y + 14
        grid = len(self.parts)
        self._lanes()
        device, host = bands(self._outlook)
        one, forecast = self._outlook, self._outlook.plan.forecast
        runs = [span for span in self._runs if span.device]
        name = "memory" if one.unified else "device memory"
        self._memory(name, device, forecast.peak_device, one.memory, PANEL, runs)
        if host and not one.unified:
            self._memory("host memory", host, forecast.peak_host, one.host_memory, SMALL_PANEL, ())
        lines = list(self._axis(top))
        title = f"Plan of {one.preset} on {one.device}"
        what = f"Loads and runs over time, and the memory they take. {summary(one)}."
        return self.document([*self.parts[:grid], *lines, *self.parts[grid:]], title, what)

    def _heading(self) -> None:
        one = self._outlook
        shots = "1 shot" if one.shots == 1 else f"{one.shots:,} shots"
        self.write(20, 34, f"{one.preset}, {shots}, on {one.device}", "title")
        for n, half in enumerate(summary(one).split("; ")):
            self.write(20, 56 + 18 * n, half, "quiet")
        self.y = 84.0

    # ------------------------------------------------------------------------------------------------ lanes

    def _lanes(self) -> None:
        above, below = self._callouts(self._loads), self._callouts(self._runs)
        loads = self.y + depth(above) + 8
        runs = loads + LANES["load"] + 6
        self._lead(above, loads, -1)
        self._lane("load", self._loads, loads)
        self._streams(loads)
        self._lane("run", self._runs, runs)
        self._waits(runs)
        self._lead(below, runs + LANES["run"], 1)
        self.y = runs + LANES["run"] + depth(below) + 20

    def _lane(self, lane: str, spans: Sequence[Span], top: float) -> None:
        height = LANES[lane]
        self.write(LEFT - 10, top + height / 2 + 4, f"{lane}s", "quiet", "end")
        for span in spans:
            x, wide = self.x(span.begin), self._length(span)
            told = ", ".join([span.name, duration(span.end - span.begin), *([gib(span.nbytes)] if span.nbytes else [])])
            kind = self._tint(span.name, lane) + (" piece" if wide > 3 else "")
            self.rect(x, top, max(wide, 1), height, kind, told, min(3.0, wide / 3))
            if text := self._inside(span):
                self.write(x + wide / 2, top + height / 2 + 4, text, "on", "middle")

    def _inside(self, span: Span) -> str | None:
        """The fullest label that a bar has room for."""
        amount = gib(span.nbytes) if span.lane == "load" else duration(span.end - span.begin)
        return fitting(self._length(span), f"{span.name} {amount}", span.name, _short(span.name))

    def _streams(self, top: float) -> None:
        """Where a run streams, the load lane is busy too: a thin line, and how much in all."""
        bottom, free = top + LANES["load"], _gaps(self._loads, self.total)
        for span in self._runs:
            if not span.nbytes:
                continue
            text = f"streams {gib(span.nbytes)}"
            self.rect(self.x(span.begin), bottom - 4, self._length(span), 4, self._tint(span.name, "run"), text)
            gaps = [(max(a, span.begin), min(b, span.end)) for a, b in free]
            begin, end = max(gaps, key=lambda gap: gap[1] - gap[0], default=(0.0, 0.0))
            if self.x(end) - self.x(begin) > width(text) + 8:
                self.write((self.x(begin) + self.x(end)) / 2, bottom - 8, text, "quiet", "middle")

    def _waits(self, top: float) -> None:
        for span in self._runs:
            if span.waited <= 0:
                continue
            box = span.begin - span.waited, span.begin, top + LANES["run"] - 9, top + 9
            self.block(*box, "wait", f"waits {duration(span.waited)}")

    def _callouts(self, spans: Sequence[Span]) -> list[Label]:
        """Labels of the bars that are too short for theirs; of very many bars, of the longest."""
        outside = sorted((span for span in spans if not self._inside(span)), key=lambda span: span.begin - span.end)
        named = [(span.name, (self.x(span.begin) + self.x(span.end)) / 2) for span in outside[:MOST_LABELS]]
        return callouts(named, MARGIN, WIDTH - MARGIN)

    def _lead(self, labels: Sequence[Label], edge: float, way: int) -> None:
        for label in labels:
            y = edge + way * (10 + LINE * label.row)
            path = f"M{label.at:.1f} {edge + way:.1f}L{label.x:.1f} {edge + way * 6:.1f}V{y:.1f}"
            self.line("lead", path)
            side = -4 if label.leftward else 4
            baseline = y + (8 if way > 0 else 1)
            self.write(label.x + side, baseline, label.text, "quiet", "end" if label.leftward else "start")

    # ----------------------------------------------------------------------------------------------- memory

    def _memory(
        self, name: str, found: Sequence[Band], peak: int, budget: int, tall: int, runs: Sequence[Span]
    ) -> None:
        """A panel: components upon each other, the runs' work space above them, the curve of all, the budget's line."""
        # Where the budget is far away, the picture is of what is taken, and the budget is only told.
        pieces = stacked(found)
        peak = max([peak, *(piece.high for piece in pieces)])
        near = budget <= 3 * peak
        most = 1.1 * max(peak, budget if near else 0, 1)
        top, bottom = self.y + 20, self.y + 20 + tall
        self.write(LEFT, self.y + 10, name)
        key = "pale: on its way" + ("; grey: work space of the run; hatched: waiting for loads" if runs else "")
        self.write(LEFT + width(name) + 12, self.y + 10, key, "quiet")

        def y(nbytes: float) -> float:
            return bottom - tall * nbytes / most

        self._levels(most, 46 * most / tall, y)
        for span in runs:
            self.block(span.begin, span.end, y(0), y(span.device), "work", f"{span.name}: {gib(span.device)} in all")
        whole = merged(pieces)
        self._pieces(whole, y)
        self._curve([*heights(pieces), *((span.begin, span.end, span.device) for span in runs)], y)
        self._names(whole, y)
        if near:
            self.line("budget", f"M{LEFT} {y(budget):.1f}H{RIGHT}")
        told = f"budget {gib(budget)}" + ("" if near else ", far above")
        self.write(RIGHT, (y(budget) if near else top) - 5, told, "over", "end")
        self.y = bottom + 20

    def _levels(self, most: float, apart: float, y: Callable[[float], float]) -> None:
        step = bytes_step(apart)
        for n in range(int(most / step) + 1):
            self.line("grid", f"M{LEFT} {y(n * step):.1f}H{RIGHT}")
            self.write(LEFT - 10, y(n * step) + 4, gib(n * step).replace(".0 ", " ") if n else "0", "quiet", "end")

    def _pieces(self, whole: Sequence[Piece], y: Callable[[float], float]) -> None:
        for piece in whole:
            tint = self._tint(piece.band.name, "load")
            box = piece.begin, piece.end, y(piece.low), y(piece.high)
            told = f"{piece.band.name}: {gib(piece.band.nbytes)}"
            if piece.early:
                self.block(*box, "ground", "")
                self.block(*box, f"{tint} early", f"{told}, on its way")
            else:
                self.block(*box, f"piece {tint}", told)

    def _names(self, whole: Sequence[Piece], y: Callable[[float], float]) -> None:
        """Each band's name in its longest piece that has room for it: along it, else upright."""
        named: set[int] = set()
        for piece in sorted(whole, key=lambda piece: (piece.early, piece.begin - piece.end)):
            band, tall = piece.band, y(piece.low) - y(piece.high)
            wide = self.x(piece.end) - self.x(piece.begin)
            full = f"{band.name} {gib(band.nbytes)}"
            along = fitting(wide, full, band.name) if tall >= LINE else None
            upright = fitting(tall, full, band.name) if wide >= LINE and not along else None
            text = along or upright or (fitting(wide, _short(band.name)) if tall >= LINE else None)
            if text and id(band) not in named:
                named.add(id(band))
                x, middle = (self.x(piece.begin) + self.x(piece.end)) / 2, (y(piece.low) + y(piece.high)) / 2
                kind = "" if piece.early else "on"
                if upright:
                    self.write(x + 4, middle, text, kind, "middle", upright=True)
                else:
                    self.write(x, middle + 4, text, kind, "middle")

    def _curve(self, slices: Sequence[tuple[float, float, int]], y: Callable[[float], float]) -> None:
        """All that is taken, as steps: of what begins and ends at once, the most."""
        times = sorted({time for begin, end, _ in slices for time in (begin, end)})
        if not times:
            return
        index = {time: n for n, time in enumerate(times)}
        most = [0] * len(times)
        for begin, end, nbytes in slices:
            for n in range(index[begin], index[end]):
                most[n] = max(most[n], nbytes)
        for n in range(1, len(times) - 2):
            # A gap too narrow to be seen would be a line down to the ground.
            if self.x(times[n + 1]) - self.x(times[n]) < 0.6:
                most[n] = max(most[n], min(most[n - 1], most[n + 1]))
        steps = "".join(
            f"V{y(nbytes):.1f}H{self.x(end):.1f}" for nbytes, end in zip(most, times[1:], strict=False)
        )  # fmt: skip
        self.line("curve", f"M{self.x(times[0]):.1f} {y(0):.1f}{steps}V{y(0):.1f}")

    # ------------------------------------------------------------------------------------------------- pens

    def _axis(self, top: float) -> Iterator[str]:
        """Lines of time behind all, and their times below; leaves room for these."""
        bottom = self.y
        step = seconds_step(self.total / 7)
        for n in range(int(self.total / step + 1e-9) + 1):
            x = self.x(n * step)
            yield f'<path class="grid" d="M{x:.1f} {top:.1f}V{bottom - 14:.1f}"/>'
            self.write(x, bottom, tick(n * step, step), "quiet", "middle")

    def _tint(self, name: str, lane: str) -> str:
        return self._tints[lane == "run"].get(name) or f"{_stage(name)}0"

    def _length(self, span: Span) -> float:
        return self.x(span.end) - self.x(span.begin)


def _tints(spans: Sequence[Span]) -> dict[str, str]:
    """By name its stage's colour, in two tints by turns."""
    found: dict[str, str] = {}
    turns: dict[str, Iterator[str]] = {}
    for span in spans:
        stage = _stage(span.name)
        if span.name not in found:
            found[span.name] = next(turns.setdefault(stage, itertools.cycle((f"{stage}0", f"{stage}1"))))
    return found


def _gaps(spans: Sequence[Span], total: float) -> list[tuple[float, float]]:
    """Between the spans of a lane."""
    edges = [0.0, *itertools.chain.from_iterable((span.begin, span.end) for span in spans), total]
    return [(begin, end) for begin, end in zip(edges[::2], edges[1::2], strict=True) if end > begin]


def _short(name: str) -> str:
    return name.partition(".")[2]


def _stage(name: str) -> str:
    stage = name.partition(".")[0]
    return stage if stage in STAGES else "file"
