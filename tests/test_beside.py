"""Other than as usual: the chat model on the CPU beside a GPU; one text encoder for two models, where opted for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from animatic import pipeline
from animatic.core import Load, Phase, Shot
from animatic.errors import CapacityError, PresetError
from animatic.events import PhaseEnded
from animatic.spec import Models
from tests.cascades import Rig, shot, tiny_rig


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Rig:
    return tiny_rig(tmp_path_factory.mktemp("tiny"), accounted=1 << 40)


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


def test_beside_no_gpu_it_is_with_the_others(rig: Rig) -> None:
    """Where there is only main memory, the option asks for what is the case anyway."""
    alone = Rig(rig.chat, rig.flux, rig.cogvideox)
    engine = alone.engine()
    (one,) = pipeline.cascades([shot(refine__device="cpu")], alone.models, engine.capacity, engine.demand)
    assert any(isinstance(action, Load) for action in engine.plan([one.caption]).actions)
    assert one.caption.recipe == pipeline.refine(shot(refine__device="cpu"), rig.models).recipe


def test_a_batch_runs_each_shot_where_it_is_asked_for(rig: Rig, tmp_path: Path) -> None:
    engine, store = rig.engine(), rig.store(tmp_path)
    asked = shot("a red boat"), shot("a blue cat", refine__device="cpu"), shot("a dog")
    phases = [pipeline.refine(one, rig.models) for one in asked]
    made = engine.plan(phases)
    places = [{bool(part.host) for part in run.phases[0].components if part.name == "refine.llm"} for run in made.runs]
    assert sorted(places, key=str) == [{False}, {True}] and sorted(len(run.phases) for run in made.runs) == [1, 2]
    engine.check(made)
    list(engine.run(made, store))
    assert all(store.artifact(phase) for phase in phases)


def encodes(models: Models) -> list[Phase]:
    cascade = pipeline.cascade(shot(), models)
    return [phase for phase in cascade.phases if phase.verb == "encode"]


def test_text_encoders_are_one_only_when_proven_or_opted_for(rig: Rig) -> None:
    models = rig.models
    first, second = encodes(models)
    assert first.components[-1] != second.components[-1], "they hold different tensors"
    video = models["video"]
    opted = {**models, "video": replace(video, spec=replace(video.spec, share="equivalent"))}
    borrowing = encodes(opted)[1]
    assert borrowing.components[-1] == first.components[-1]
    assert borrowing.recipe != second.recipe, "what differs a little has another key"


def test_a_borrowed_text_encoder_is_what_the_video_model_gets(rig: Rig, tmp_path: Path) -> None:
    models = rig.models
    video = models["video"]
    opted = {**models, "video": replace(video, spec=replace(video.spec, share="equivalent"))}
    engine, store = rig.engine(), rig.store(tmp_path)
    cascade = pipeline.cascade(shot(caption="A red boat sails."), opted)
    phases = [phase for phase in cascade.phases if phase.verb in ("given", "encode")]
    made = engine.plan(phases)
    engine.check(made)
    list(engine.run(made, store))
    loads = [action.component.name for action in made.actions if isinstance(action, Load)]
    assert "image.text_encoder_2" in loads and "video.text_encoder" not in loads
    assert all(store.artifact(phase) for phase in phases)


def test_text_encoders_of_other_sizes_are_never_equivalent(rig: Rig) -> None:
    models = rig.models
    video = models["video"]
    larger = replace(video, spec=replace(video.spec, share="equivalent", dtype="float32"))
    with pytest.raises(PresetError, match=r"share = .equivalent"):
        encodes({**models, "video": larger})
