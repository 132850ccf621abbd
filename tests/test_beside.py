"""The chat model on the CPU beside a GPU: it takes no device memory, writes the same, and is another key."""

from __future__ import annotations

from pathlib import Path

import pytest

from animatic import pipeline
from animatic.core import Load, PhaseEnded, Shot
from animatic.errors import CapacityError
from tests import tiny
from tests.cascades import Rig, shot


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Rig:
    folder = tmp_path_factory.mktemp("tiny")
    return Rig(
        tiny.chat(folder / "chat", "llama"),
        tiny.flux(folder / "flux", guidance=True),
        tiny.cogvideox(folder / "cog", newer=False),
        accounted=1 << 40,
    )


def caption(rig: Rig, one: Shot, folder: Path) -> tuple[bytes, int, str]:
    """The caption, the most device memory it took, and its key."""
    engine, store = rig.engine(), rig.store(folder)
    phase = pipeline.refine(one, rig.models)
    made = engine.plan([phase])
    engine.check(made)
    peak = max(event.peak for event in engine.run(made, store) if isinstance(event, PhaseEnded))
    artifact = store.artifact(phase)
    assert artifact is not None and engine._beside.device_bytes == 0
    return artifact.read(), peak, artifact.key


def test_it_writes_the_same_and_takes_no_device_memory_for_weights(rig: Rig, tmp_path: Path) -> None:
    text, peak, key = caption(rig, shot(), tmp_path / "a")
    beside, little, other = caption(rig, shot(refine__device="cpu"), tmp_path / "b")
    assert beside == text and other != key
    phase = pipeline.refine(shot(), rig.models)
    assert peak - little >= 0.8 * sum(component.nbytes for component in phase.components)


def test_main_memory_that_is_too_small_for_it_is_said(rig: Rig) -> None:
    small = Rig(rig.chat, rig.flux, rig.cogvideox, accounted=1 << 40, host=1000)
    phase = pipeline.refine(shot(refine__device="cpu"), small.models)
    with pytest.raises(CapacityError, match=r"refine\.llm needs .* of main memory"):
        small.engine().plan([phase])
    assert any(isinstance(action, Load) for action in rig.engine().plan([phase]).actions)
