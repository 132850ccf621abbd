"""A warm engine: weights stay for the next run, alone, whether a run ends well or is stopped in the middle."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from animatic import pipeline
from animatic.core import Phase, Shot
from animatic.device import Accounted
from animatic.engine import LocalEngine
from animatic.estimate import Estimator
from animatic.events import Event, Loaded, Step
from animatic.history import History
from animatic.store import Store
from tests.cascades import Rig, shot, tiny_rig

ROOM = 1 << 30


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Rig:
    return replace(tiny_rig(tmp_path_factory.mktemp("tiny")), accounted=ROOM)


def warm(rig: Rig) -> tuple[LocalEngine, Accounted]:
    models, budget, device = rig.models, rig.budget, Accounted(ROOM)
    estimator = Estimator(models, budget.rates, History(), budget.device)
    return LocalEngine(models, device, budget, estimator, warm=True), device


def goals(rig: Rig, engine: LocalEngine, *shots: Shot) -> list[Phase]:
    return [one.frames for one in pipeline.cascades(shots, rig.models, engine.capacity, engine.demand)]


def run(engine: LocalEngine, store: Store, wanted: Sequence[Phase]) -> list[Event]:
    return list(engine.run(engine.plan(store.missing(wanted)), store, wanted))


def weights(events: Sequence[Event]) -> set[str]:
    return {event.component for event in events if isinstance(event, Loaded) and event.nbytes}


def test_the_second_run_loads_no_weights_and_gives_the_same(rig: Rig, tmp_path: Path) -> None:
    engine, device = warm(rig)
    store, cold = rig.store(tmp_path / "store"), rig.store(tmp_path / "cold")
    assert weights(run(engine, store, goals(rig, engine, shot("a red boat"))))
    gc.collect()
    assert device.used() == engine.device_bytes > 0
    (wanted,) = goals(rig, engine, shot("a blue cat", seed=1))
    assert weights(run(engine, store, [wanted])) == set()
    other = rig.engine()
    (alone,) = goals(rig, other, shot("a blue cat", seed=1))
    run(other, cold, [alone])
    made, expected = store.artifact(wanted), cold.artifact(alone)
    assert made and expected and made.read() == expected.read()
    engine.close()
    gc.collect()
    assert device.used() == 0


def test_stopped_in_the_middle_only_weights_stay(rig: Rig, tmp_path: Path) -> None:
    engine, device = warm(rig)
    store = rig.store(tmp_path / "store")
    wanted = goals(rig, engine, shot("a red boat"))
    events = engine.run(engine.plan(store.missing(wanted)), store, wanted)
    assert any(isinstance(event, Step) and event.phase == "video.denoise" for event in events)
    events.close()  # type: ignore[attr-defined]
    del events
    gc.collect()
    assert device.used() == engine.device_bytes > 0
    assert "video.transformer" not in weights(run(engine, store, wanted))
    engine.close()
    gc.collect()
    assert device.used() == 0


def test_a_model_that_is_warm_on_the_gpu_is_another_than_one_on_the_cpu(rig: Rig, tmp_path: Path) -> None:
    engine, _ = warm(rig)
    store = rig.store(tmp_path)
    for device in ("same", "cpu", "same"):
        phase = pipeline.refine(shot(f"a boat on {device}", refine__device=device), rig.models)
        run(engine, store, [phase])
        assert store.artifact(phase) is not None


def test_what_was_learnt_of_one_shots_options_is_not_told_of_anothers(rig: Rig) -> None:
    """Their mappings may come to lie where others lay."""
    engine, _ = warm(rig)
    steps = [engine.demand(goals(rig, engine, shot(video__num_inference_steps=n))[0].inputs[0]).passes
             for n in range(1, 60)]  # fmt: skip
    assert steps == list(range(1, 60))
