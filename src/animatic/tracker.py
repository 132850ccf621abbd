"""What is known of jobs while they are made: from the cascade's events to each one's state. Pure: no clock, no file.

The jobs of a group go through the stages together: how far the group is, and how long it still takes, holds for each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from animatic.events import (
    Captioned,
    Clip,
    Drawn,
    Event,
    Notice,
    PhaseBegun,
    PhaseEnded,
    Planned,
    Sketch,
    StageBegun,
    Step,
)
from animatic.jobs import Change, Job
from animatic.progress import Remaining

ALMOST = 99
"""Percent: of all but a job that is completed."""
PASSING = ("stage", "phase", "step", "steps", "all_steps", "preview", "remaining", "progress", "error")
"""What of a state holds only while the job is worked on."""
NOTICES = 20
"""The most that are kept."""


class Tracker:
    """Follows the events of jobs that are made together. `take` gives what has changed since it was taken last."""

    def __init__(self, jobs: Iterable[Job]) -> None:
        self._jobs = {job.id: job for job in jobs}
        self._states = {job.id: _fresh(job.state) for job in self._jobs.values()}
        self._changes: dict[str, Change] = {}
        self._previews: dict[str, Any] = {}
        self._plans = _Plans(max((float(state["estimate"]) for state in self._states.values()), default=0.0))

    @property
    def jobs(self) -> list[Job]:
        """Those that are not dropped."""
        return list(self._jobs.values())

    def state(self, job: Job) -> dict[str, Any]:
        """What is known of a job, to be read and added to."""
        return self._states[job.id]

    def job(self, event: Event) -> Job | None:
        """Whose event it is; None: that of all, or of one that is dropped."""
        return self._jobs.get(_name(event))

    def see(self, event: Event, now: float) -> None:
        self._plans.see(event, now)
        for job in [one for one in self.jobs if _name(event) in ("", one.id)]:
            state = self._states[job.id]
            _update(state, event)
            state["progress"] = max(state["progress"], min(ALMOST, int(100 * self._plans.share)))
            state["remaining"] = self._plans.left(now)
            change = self._changes.setdefault(job.id, Change(state))
            change.further |= isinstance(event, Step) or (isinstance(event, PhaseEnded) and not event.hit)
            if not isinstance(event, (Clip, Sketch)):  # They tell of files that only the worker has.
                change.events.append(_told(event))
            if isinstance(event, Step) and event.preview is not None:
                self._previews[job.id] = event.preview
                state["preview"] = f"{event.phase}-{event.step}"

    def take(self, encode: Callable[[Any], bytes]) -> dict[int, Change]:
        """By the jobs' numbers. `encode`: a preview's pixels to a PNG; only the last preview of each job is."""
        changes, self._changes = self._changes, {}
        previews, self._previews = self._previews, {}
        for name, pixels in previews.items():
            changes[name].preview = encode(pixels)
        return {self._jobs[name].number: change for name, change in changes.items() if name in self._jobs}

    def drop(self, job: Job) -> None:
        """It is done with."""
        self._jobs.pop(job.id, None)


class _Plans:
    """How far all plans of some jobs are together: stills may be chosen between two of them.

    estimate  seconds that all of it was expected to take before it began
    """

    def __init__(self, estimate: float) -> None:
        self._estimate = estimate
        self._done = self._planned = 0.0
        self._now: Remaining | None = None

    def see(self, event: Event, now: float) -> None:
        if isinstance(event, Planned):
            self._done += self._planned
            self._planned = event.plan.forecast.seconds
            self._now = Remaining(event.plan, now)
        elif self._now is not None:
            self._now.note(event)

    @property
    def share(self) -> float:
        if self._now is None:
            return 0.0
        whole = max(self._estimate, self._done + self._planned)
        return (self._done + self._now.share * self._planned) / whole if whole else 0.0

    def left(self, now: float) -> float | None:
        left = self._now.left(now) if self._now is not None else None
        return None if left is None else left + max(0.0, self._estimate - self._done - self._planned)


def _fresh(state: Mapping[str, Any]) -> dict[str, Any]:
    """A job's state when it is begun, or begun anew."""
    kept = {name: value for name, value in state.items() if name not in PASSING}
    return {"estimate": 0.0, "notices": [], **kept, "progress": 0}


def _update(state: dict[str, Any], event: Event) -> None:
    match event:
        case Planned(steps=steps):
            state["all_steps"] = dict(steps)
        case StageBegun(stage=stage):
            state |= {"stage": stage, "step": None, "steps": None}
        case PhaseBegun(phase=phase):
            state |= {
                "phase": phase,
                "stage": phase.partition(".")[0],
                "step": None,
                "steps": state.get("all_steps", {}).get(phase),
            }
        case Step(phase=phase, step=step, steps=steps):
            state |= {"phase": phase, "stage": phase.partition(".")[0], "step": step, "steps": steps}
        case Captioned(caption=caption):
            state["caption"] = caption
        case Drawn(stills=stills, scores=scores, best=best):
            state |= {"stills": len(stills), "scores": list(scores)}
            if best:
                state["picked"] = best
        case Notice(text=text) if text not in state["notices"]:
            state["notices"] = [*state["notices"], text][-NOTICES:]
        case _:
            pass


def _told(event: Event) -> dict[str, Any]:
    """An event as its job's clients get it: of this shot alone, and without the paths of files that they have not."""
    told = (replace(event, shots=1) if isinstance(event, (Planned, StageBegun)) else event).as_dict()
    if "stills" in told:
        told["stills"] = [str(number) for number, _ in enumerate(told["stills"], 1)]
    return told


def _name(event: Event) -> str:
    """The name of the job that an event is about; empty: it is about all."""
    return str(getattr(event, "shot", "")).partition("@")[2]
