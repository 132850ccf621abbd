"""The cascade made with Animatic in a process of its own, for `bench.cascade` to compare with `bench.stock`.

    python -m bench.ours --preset random --memory tight --jobs jobs.json --result result.json

`--memory`: bytes; `tight`, the largest phase's components and work space, once adaptive norms are split off; or `free`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from animatic import bitmap, device, making, pipeline
from animatic.budget import LIBRARIES
from animatic.engine import LocalEngine
from animatic.outputs import Outputs
from animatic.prepare import Prepared, Wish, prepare, ready
from animatic.store import Store
from bench.stock import Job, own_figures


def make(prepared: Prepared, folder: Path) -> tuple[list[dict[str, str]], dict[str, float], dict[str, float]]:
    """Make the shots. What came of each, as digests; seconds of phases and of loads, summed over the shots."""
    store, out = Store(_new(folder / "store")).open(), Outputs(_new(folder / "out"))
    engine = LocalEngine(prepared.models, device.here(), prepared.budget, prepared.estimator)
    every = pipeline.cascades(prepared.shots, prepared.models, engine.capacity, engine.demand)
    digests: dict[str, dict[str, str]] = {}
    phases: dict[str, float] = {}
    loads: dict[str, float] = {}
    for event in making.run(prepared.shots, prepared.models, engine, store, out):
        fields = event.as_dict()
        if event.kind == "phase_ended":
            phases[fields["phase"]] = phases.get(fields["phase"], 0.0) + fields["seconds"]
            if fields["phase"] == "video.decode":  # Now: once the film is written, its frames are given up.
                digests |= {one.shot.id: _digest(one, store) for one in every if one.shot.id == fields["shot"]}
        elif event.kind == "loaded":
            loads[fields["component"]] = loads.get(fields["component"], 0.0) + fields["seconds"]
    return [digests[one.shot.id] for one in every], phases, loads


def tight(prepared: Prepared) -> int:
    """Bytes of the phase that needs the most at once, with the adaptive norms apart, and of the libraries."""
    one = pipeline.cascade(prepared.shots[0], prepared.models, ("image", "video"))
    demand = prepared.estimator.demand
    most = max(sum(c.nbytes for c in phase.components) + demand(phase).workspace for phase in one.phases)
    return most + (LIBRARIES if prepared.budget.capacity.unified else 0)


def prepared(jobs: Sequence[Job], preset: str, memory: int | None) -> Prepared:
    return ready(prepare([Wish(job.prompt, preset, job.seed, memory=memory) for job in jobs]))


def _digest(one: pipeline.Cascade, store: Store) -> dict[str, str]:
    caption, still, frames = (store.artifact(phase) for phase in (one.caption, one.still, one.frames))
    assert caption and still and frames
    named = {
        "caption": json.loads(caption.read())["text"].encode(),
        "still": bitmap.read_png(still.read()).tobytes(),
        "frames": np.load(frames.path).tobytes(),
    }
    return {name: hashlib.sha256(data).hexdigest()[:16] for name, data in named.items()}


def _new(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


def main() -> None:
    started, before = time.perf_counter(), own_figures()
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--preset", required=True)
    parser.add_argument("--memory", default="free")
    parser.add_argument("--jobs", type=Path, required=True, help="JSON: {jobs: [{prompt, seed}], ...}")
    parser.add_argument("--result", type=Path, required=True)
    given = parser.parse_args()
    jobs = [Job(**job) for job in json.loads(given.jobs.read_text())["jobs"]]
    granted: int | None = None
    if given.memory == "tight":
        granted = tight(prepared(jobs, given.preset, None))
    elif given.memory != "free":
        granted = int(given.memory)
    shots = prepared(jobs, given.preset, granted)
    plan = shots.plan()
    with tempfile.TemporaryDirectory() as folder:
        digests, phases, loads = make(shots, Path(folder))
    done, after = time.perf_counter(), own_figures()
    shots.history.save()
    report: dict[str, Any] = {
        "ready": started, "done": done, "before": before, "after": after, "digests": digests, "phases": phases,
        "loads": loads, "memory": granted, "predicted_seconds": plan.forecast.seconds,
        "predicted_peak": plan.forecast.peak_device, "actions": [_told(action) for action in plan.actions],
    }  # fmt: skip
    given.result.write_text(json.dumps(report))


def _told(action: Any) -> str:
    name = action.name if hasattr(action, "phases") else action.component.name
    return f"{type(action).__name__} {name}"


if __name__ == "__main__":
    main()
