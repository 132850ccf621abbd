"""How far a making is, and how long it still takes: the plan's timeline, stretched as it has proven to need so far.

Pure: the clock is handed in.
"""

from __future__ import annotations

from dataclasses import dataclass

from animatic.core import Plan
from animatic.events import Event, PhaseEnded, Step

PRIOR = 0.05
"""The plan is believed as if this part of it had taken just as long as it says."""


@dataclass(frozen=True)
class _Stretch:
    """A run on the plan's timeline, and how many shots go through it."""

    begin: float
    end: float
    shots: int


class Remaining:
    """Follows the events of one plan. Seconds count from `begun`, on the caller's clock."""

    def __init__(self, plan: Plan, begun: float) -> None:
        spans = [span for span in plan.forecast.spans if span.lane == "run"]
        self._stretches = {
            run.name: _Stretch(span.begin, span.end, len(run.phases))
            for run, span in zip(plan.runs, spans, strict=False)
        }
        self._total = plan.forecast.seconds
        self._begun = begun
        self._ended: dict[str, int] = {}
        self._at = 0.0

    def note(self, event: Event) -> None:
        if isinstance(event, PhaseEnded):
            self._ended[event.phase] = self._ended.get(event.phase, 0) + 1
            self._reach(event.phase, 0.0)
        elif isinstance(event, Step):
            self._reach(event.phase, event.step / event.steps)

    @property
    def share(self) -> float:
        """How much of the plan's time is done, from 0 to 1."""
        return self._at / self._total if self._total else 0.0

    def left(self, now: float) -> float | None:
        """Seconds; None as long as nothing is done."""
        if not self._at or not self._total:
            return None
        prior = PRIOR * self._total
        slowness = (now - self._begun + prior) / (self._at + prior)
        return max(0.0, (self._total - self._at) * slowness)

    def _reach(self, phase: str, part: float) -> None:
        if (stretch := self._stretches.get(phase)) is None:
            return
        share = min(1.0, (self._ended.get(phase, 0) + part) / stretch.shots)
        self._at = max(self._at, stretch.begin + share * (stretch.end - stretch.begin))
