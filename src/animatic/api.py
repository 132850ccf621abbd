"""Animatic from Python: the one place where the cascade meets an engine.

    for clip in animatic.make("an orange rocket takes off into the night sky"):
        print(clip.path, clip.caption)

Everything is checked before torch is imported, and before any model loads.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from animatic import files, pipeline
from animatic.core import Clip, Event, Notice, PhaseEnded, Plan, Planned, Shot
from animatic.errors import PromptError
from animatic.outlook import Outlook, compared, summary
from animatic.outputs import Outputs
from animatic.prepare import ANY, Prepared, Wish, prepare, ready
from animatic.store import Store


def make(prompt: str, **wish: Any) -> list[Clip]:
    """Make the clips of a prompt and return them. Takes what `Wish` takes. Raises AnimaticError."""
    return [event for event in stream(prompt, **wish) if isinstance(event, Clip)]


def stream(prompt: str, **wish: Any) -> Iterator[Event]:
    """Make the clips of a prompt, yielding what happens as it happens. Takes what `Wish` takes.

    Everything is checked at the call, not at the first event. Raises AnimaticError.
    """
    asked = Wish(prompt, **wish)
    return run(ready(prepare([asked])), Path(asked.out))


def run(prepared: Prepared, out: Path) -> Iterator[Event]:
    """Make prepared shots, stage by stage for all of them, each model loaded once. The clips' files go to `out`."""
    shots = prepared.shots
    files.check_writable(out, need=len(shots) * _clip_bytes(shots[0]))
    return _run(prepared, Outputs(out))


def plan(
    prompt: str = "",
    *,
    file: Path | None = None,
    shots: int = 1,
    gpu: str | None = None,
    **wish: Any,
) -> Outlook:
    """What making clips would take, without torch and without a download. Raises AnimaticError.

    prompt, file, shots  one sentence, or a text file with one a line; or just so many shots of any sentence
    gpu                  a card that need not be at hand, such as "RTX 4070"; None: this machine
    wish                 what `Wish` takes besides
    """
    sentences = _sentences(file) if file else [prompt or ANY]
    prepared = prepare([Wish(sentence, **({"takes": shots} | wish)) for sentence in sentences], gpu)
    return outlook(prepared, prepared.plan())


def outlook(prepared: Prepared, plan: Plan) -> Outlook:
    """A plan of prepared shots, with all that is needed to read it."""
    budget, capacity = prepared.budget, prepared.budget.capacity
    return Outlook(
        preset=prepared.shots[0].preset,
        shots=len(prepared.shots),
        device=budget.title,
        memory=capacity.device,
        host_memory=capacity.host,
        unified=capacity.unified,
        plan=plan,
        basis="from what was measured here" if prepared.estimator.measured else "by the hardware's rates",
        notes=tuple(notice.text for notice in prepared.notices),
    )


def _run(prepared: Prepared, outputs: Outputs) -> Iterator[Event]:
    yield from prepared.notices
    from animatic import device  # here, because they import torch
    from animatic.engine import LocalEngine

    engine = LocalEngine(prepared.models, device.here(), prepared.budget, prepared.estimator)
    foretold: Outlook | None = None
    begun, peak = time.perf_counter(), 0
    try:
        with tempfile.TemporaryDirectory(prefix="animatic-") as folder:
            for event in pipeline.run(prepared.shots, prepared.models, engine, Store(Path(folder)), outputs):
                yield event
                if isinstance(event, Planned):
                    foretold = outlook(prepared, event.plan)
                    yield Notice(summary(foretold))
                elif isinstance(event, PhaseEnded):
                    peak = max(peak, event.taken)
        if foretold is not None:
            yield Notice(compared(foretold, time.perf_counter() - begun, peak))
    finally:
        prepared.history.save()


def _sentences(file: Path) -> list[str]:
    """The prompts of a plain text file, one a line; empty lines and lines that begin with # are none."""
    try:
        lines = [line.strip() for line in file.read_text("utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise PromptError(f"{file} cannot be read: {error}") from None
    found = [line for line in lines if line and not line.startswith("#")]
    if not found:
        raise PromptError(f"{file} has no prompt in it: write one a line")
    return found


def _clip_bytes(shot: Shot) -> int:
    """Bytes to keep free for a clip's files: what x264 needs at its worst for such frames, and the pictures."""
    pixels = shot.option("video.width") * shot.option("video.height")
    return int(pixels * (shot.option("video.num_frames") + 6) + 2_000_000)
