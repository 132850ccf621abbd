"""Jobs while they are made together: what becomes of each, what is kept of it, and what is written down."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from animatic import bitmap, files, media, removal, thumbs
from animatic.errors import CapacityError, InputError, OutputError, WeightsError, in_a_line
from animatic.events import Clip, Drawn, Event, Failed
from animatic.jobs import Job, Jobs
from animatic.storage import KEPT, Storage
from animatic.tracker import Tracker

FLUSH = 0.1
"""Seconds between two writings down of what happens."""

CODES: Sequence[tuple[type[Exception], str]] = (
    (InputError, "invalid_request"),
    (CapacityError, "over_capacity"),
    (WeightsError, "weights_missing"),
)


class Attempt:
    """Jobs while they are made together: what becomes of each, and what is written down of it."""

    def __init__(self, jobs: Sequence[Job], book: Jobs, worker: str, storage: Storage, work: Path) -> None:
        self._tracker = Tracker(jobs)
        self._jobs = book
        self._worker = worker
        self._storage = storage
        self._work = work
        self._flushed = 0.0
        self._goal = jobs[0].commission.goal

    @property
    def left(self) -> list[Job]:
        return self._tracker.jobs

    def see(self, event: Event) -> None:
        now = time.monotonic()
        self._tracker.see(event, now)
        job = self._tracker.job(event)
        match event:
            case Clip() if job:
                self._completed(job, event)
            case Drawn(stills=stills) if job:
                self._drawn(job, stills)
            case Failed(error=error) if job and not isinstance(error, OutputError):
                self._failed(job, error)
        if now - self._flushed >= FLUSH:
            self.flush()

    def flush(self) -> None:
        self._flushed = time.monotonic()
        if changes := self._tracker.take(bitmap.preview_png):
            self._jobs.note(self._worker, changes)

    def unwanted(self) -> bool:
        """Whether somebody wants some of the jobs stopped, or begun anew; those are settled."""
        wanted = self._jobs.wanted(self._worker)
        mine = [one for one in self.left if one.number in wanted]  # Others of its group may wait for their own attempt.
        for job in mine:
            self._settle(job, "queued")
        return bool(mine)

    def end(self) -> None:
        """All went through: those that are left were to be made up to here alone."""
        for job in list(self.left):
            if self._goal == "refine":
                self._settle(job, "in_progress", waiting="caption")
            else:
                self._failed(job, RuntimeError("nothing came of it"))

    def fail_all(self, error: Exception) -> None:
        for job in list(self.left):
            self._failed(job, error)

    def back(self, why: str) -> None:
        """Let all wait again, and say why."""
        for job in list(self.left):
            state = self._tracker.state(job)
            state["notices"] = [*(one for one in state["notices"] if one != why), why]
            self._settle(job, "queued")

    def _completed(self, job: Job, clip: Clip) -> None:
        frames = media.frames_of(clip.path)
        made = {
            "video": clip.path,
            "still": clip.still,
            "card": clip.card,
            "caption": clip.text,
            "record": clip.sidecar,
            "thumbnail": _beside(clip.path, ".webp", thumbs.thumbnail(frames[0])),
            "spritesheet": _beside(clip.path, ".jpg", thumbs.spritesheet(frames)),
        }
        for what, path in made.items():
            self._storage.put(f"{job.id}/{KEPT[what][0]}", path)
        state = self._tracker.state(job)
        state |= {"progress": 100, "caption": clip.caption, **_facts(clip)}
        self._settle(job, "completed")

    def _drawn(self, job: Job, stills: Sequence[Path]) -> None:
        for number, still in enumerate(stills, 1):
            self._storage.put(f"{job.id}/still-{number}.png", still)
        if job.kind == "image":
            self._tracker.state(job)["progress"] = 100
            self._settle(job, "completed")
        elif self._goal == "image":
            self._settle(job, "in_progress", waiting="still")

    def _failed(self, job: Job, error: Exception) -> None:
        code = next((code for kind, code in CODES if isinstance(error, kind)), "internal_error")
        self._tracker.state(job)["error"] = {"code": code, "message": in_a_line(error)}
        self._settle(job, "failed")

    def _settle(self, job: Job, status: Any, waiting: str = "") -> None:
        self.flush()
        state = self._tracker.state(job)
        state |= {"phase": None, "step": None, "steps": None, "preview": None}
        state.pop("all_steps", None)
        if status != "in_progress":
            state |= {"stage": None, "remaining": None}
        if self._jobs.settle(self._worker, job.number, status, state, waiting) == "remove":
            removal.clear(self._jobs, self._storage, job.id)
        for path in self._work.glob(f"{job.id}*"):
            path.unlink(missing_ok=True)
        self._tracker.drop(job)


def _facts(clip: Clip) -> dict[str, Any]:
    """What is told of a finished clip with its job: its actual size and length, and what is odd about it."""
    measures = clip.record.get("measures", {})
    container = measures.get("container", {})
    return {
        "size": f"{container['width']}x{container['height']}",
        "seconds": f"{container['frames'] / container['fps']:g}",
        "remarks": list(measures.get("remarks", ())),
    }


def _beside(path: Path, suffix: str, data: bytes) -> Path:
    other = path.with_suffix(suffix)
    files.write(other, data, "--data")
    return other
