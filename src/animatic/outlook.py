"""What a making would take, laid out to be read: a plan by its phases, its sums, and both in a sentence.

Pure data from the plan's actions and forecast. Decides nothing, and knows no terminal and no picture.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from animatic.core import Action, Component, Evict, Load, Placement, Plan, Run, Span
from animatic.sizes import duration, gib, share


@dataclass(frozen=True)
class Arrival:
    """A load as it is expected: its space is taken from `issued` on, and it is read from `begin` to `end`."""

    component: Component
    placement: Placement
    source: Literal["disk", "host"]
    issued: float
    begin: float
    end: float
    nbytes: int


@dataclass(frozen=True)
class Row:
    """One run with what goes with it.

    arrivals   loads issued before it: for itself, or for later runs while it computes
    evictions  what is dropped after it
    hidden     seconds of loading while it computes
    """

    run: Run
    span: Span
    arrivals: tuple[Arrival, ...]
    evictions: tuple[Evict, ...]
    hidden: float

    @property
    def seconds(self) -> float:
        return self.span.end - self.span.begin

    def ahead(self, arrival: Arrival) -> bool:
        """Whether a load is for a later run."""
        return arrival.component not in self.run.phases[0].components


@dataclass(frozen=True)
class Outlook:
    """A plan and all that is needed to read it.

    device       what it is for, such as "NVIDIA GeForce RTX 4070, as its data sheet says"
    memory       bytes of device memory that may be used
    host_memory  bytes of main memory that may be used for copies of weights
    unified      the device's memory is the main memory
    basis        where the seconds come from
    """

    preset: str
    shots: int
    device: str
    memory: int
    host_memory: int
    unified: bool
    plan: Plan
    basis: str = ""
    notes: tuple[str, ...] = ()

    @property
    def seconds(self) -> float:
        return self.plan.forecast.seconds

    @cached_property
    def computing(self) -> float:
        """Seconds of runs."""
        return sum(row.seconds for row in self.rows)

    @cached_property
    def loading(self) -> float:
        """Seconds in which the load lane is busy."""
        return sum(span.end - span.begin for span in self.plan.forecast.spans if span.lane == "load")

    @cached_property
    def hidden(self) -> float:
        """Seconds of loading while something computes."""
        return sum(row.hidden for row in self.rows)

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        """The plan's runs in order."""
        spans = [span for span in self.plan.forecast.spans if span.lane == "run"]
        spans += [Span("run", run.name, 0.0, 0.0) for run in self.plan.runs[len(spans) :]]
        loads = [span for span in self.plan.forecast.spans if span.lane == "load"]
        arrivals, evictions = _grouped(self.plan.actions, spans, loads)
        return tuple(
            Row(run, span, tuple(arrivals[n]), tuple(evictions[n]), hidden)
            for n, (run, span, hidden) in enumerate(zip(self.plan.runs, spans, _hidden(spans, loads), strict=True))
        )

    def as_dict(self) -> dict[str, Any]:
        """JSON-able; memory in bytes, time in seconds from the beginning."""
        forecast = self.plan.forecast
        names = ("preset", "shots", "device", "memory", "host_memory", "unified", "basis")
        sums = {name: round(getattr(self, name), 6) for name in ("seconds", "computing", "loading", "hidden")}
        return {
            **{name: getattr(self, name) for name in names},
            "notes": list(self.notes),
            **sums,
            "waited": round(forecast.exposed, 6),
            "peak_device": forecast.peak_device,
            "peak_host": forecast.peak_host,
            "bytes": forecast.nbytes,
            "phases": [_row_dict(row) for row in self.rows],
        }


def summary(outlook: Outlook) -> str:
    """One line: how long, of what, and the peaks of memory."""
    forecast = outlook.plan.forecast
    parts = f"{duration(outlook.computing)} computing, {duration(outlook.loading)} loading"
    if outlook.hidden > 0:
        parts += f" of which {duration(outlook.hidden)} hidden"
    peaks = share(forecast.peak_device, outlook.memory) + (" memory" if outlook.unified else " device memory")
    if forecast.peak_host and not outlook.unified:
        peaks += f", {share(forecast.peak_host, outlook.host_memory)} host memory"
    return f"about {duration(outlook.seconds)}: {parts}; peak {peaks}"


def compared(outlook: Outlook, seconds: float, peak: int) -> str:
    """One line: what was planned beside the seconds and the peak of device memory that were measured."""
    planned = _took(outlook.seconds, outlook.plan.forecast.peak_device)
    return f"planned {planned}; took {_took(seconds, peak)}"


def placed(arrival: Arrival) -> str:
    """How a component is brought in: `from disk`, `streamed from host memory, 12 of 42 blocks resident`."""
    placement = arrival.placement
    if not placement.streamed:
        return f"from {_place(arrival.source)}"
    kept = f"{placement.resident} of {len(arrival.component.blocks)} blocks resident"
    return f"streamed from {_place(placement.source)}, {kept}"


def _place(source: str) -> str:
    return "disk" if source == "disk" else "host memory"


def _took(seconds: float, peak: int) -> str:
    return f"{duration(seconds)}, {gib(peak)}"


def _grouped(
    actions: Sequence[Action], runs: Sequence[Span], loads: Sequence[Span]
) -> tuple[list[list[Arrival]], list[list[Evict]]]:
    """By run: the loads issued before it, and what is evicted after it."""
    count = len(runs)
    arrivals: list[list[Arrival]] = [[] for _ in range(count)]
    evictions: list[list[Evict]] = [[] for _ in range(count)]
    spans = list(reversed(loads))
    done, now = 0, 0.0
    for action in actions:
        match action:
            case Run():
                now = runs[done].end
                done += 1
            case Evict() if done:
                evictions[done - 1].append(action)
            case Load() if done < count:
                arrivals[done].append(_arrival(action, spans, now))
            case _:
                pass
    return arrivals, evictions


def _arrival(load: Load, spans: list[Span], now: float) -> Arrival:
    """A load with its span, which is the next one of that name; small files may have none. Takes it off `spans`."""
    one = load.component
    if spans and spans[-1].name == one.name:
        span = spans.pop()
        return Arrival(one, load.placement, load.source, now, span.begin, span.end, span.nbytes)
    return Arrival(one, load.placement, load.source, now, now, now, 0)


def _hidden(runs: Sequence[Span], loads: Sequence[Span]) -> Iterator[float]:
    """For each run, the seconds of loading that it covers. Both lanes are in order, and nothing in a lane overlaps."""
    first = 0
    for run in runs:
        while first < len(loads) and loads[first].end <= run.begin:
            first += 1
        covered, n = 0.0, first
        while n < len(loads) and loads[n].begin < run.end:
            covered += min(loads[n].end, run.end) - max(loads[n].begin, run.begin)
            n += 1
        yield covered


def _row_dict(row: Row) -> dict[str, Any]:
    return {
        "phase": row.run.name,
        "shots": len(row.run.phases),
        "lockstep": row.run.lockstep,
        "begin": round(row.span.begin, 6),
        "end": round(row.span.end, 6),
        "waited": round(row.span.waited, 6),
        "hidden": round(row.hidden, 6),
        "device": row.span.device,
        "streamed": row.span.nbytes,
        "loads": [
            {
                "component": one.component.name,
                "bytes": one.nbytes,
                "from": one.source,
                "begin": round(one.begin, 6),
                "end": round(one.end, 6),
                "streamed": one.placement.streamed,
                "resident": one.placement.resident,
                "blocks": len(one.component.blocks),
                "ahead": row.ahead(one),
            }
            for one in row.arrivals
            if one.nbytes
        ],
        "evicts": [
            {"component": one.component.name, "keep": one.keep} for one in row.evictions if one.component.nbytes
        ],
    }
