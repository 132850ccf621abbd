"""Where weights lie changes nothing that a shot gives: every placement, split and budget makes the same bits."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from mmap import mmap
from pathlib import Path
from typing import Any

import pytest
import torch

from animatic import machine, making, pipeline
from animatic.arena import Arenas
from animatic.core import Action, Component, Evict, Load, Phase, Placement, Plan, Run, Shot
from animatic.engine import LocalEngine
from animatic.errors import CapacityError
from animatic.events import Clip, Failed, Notice, PhaseEnded, Step
from animatic.history import History
from animatic.models.base import Works
from animatic.models.cogvideox import CogVideoX
from animatic.outputs import Outputs
from animatic.place import Capacity, computing
from animatic.plan import smallest
from tests.cascades import Rig, shot, tiny_rig
from tests.residents import outliving

CAPTION = "A red boat sails over the sea to the right while the camera stays still."
BOTH = frozenset({"image", "video"})


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Rig:
    return tiny_rig(tmp_path_factory.mktemp("tiny"), accounted=1 << 40)


GUIDED = shot("a blue cat", seed=8, image__true_cfg_scale=2.0)  # It goes through its image model twice a step.
SHOTS = [shot("a red boat", seed=3), GUIDED, shot("a green fish", seed=9)]


def artifacts(
    rig: Rig,
    folder: Path,
    shots: Sequence[Shot] = SHOTS,
    divided: frozenset[str] = frozenset(),
    change: Callable[[Action], Action] = lambda action: action,
) -> list[bytes]:
    """Run the shots' phases by a plan that was changed, and return all captions, stills and frames."""
    engine, store = rig.engine(), rig.store(folder)
    every = [pipeline.cascade(one, rig.models, divided) for one in shots]  # type: ignore[arg-type]
    made = engine.plan([phase for one in every for phase in one.phases])
    changed = Plan(tuple(change(action) for action in made.actions))
    engine.check(changed)
    for _ in engine.run(changed, store):
        pass
    results = [store.artifact(phase) for one in every for phase in (one.caption, one.still, one.frames)]
    return [result.read() for result in results if result]


@pytest.fixture(scope="module")
def whole(rig: Rig, tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    made = artifacts(rig, tmp_path_factory.mktemp("whole"))
    assert len(made) == 9
    return made


def streamed(resident: int, source: str, lockstep: int) -> Callable[[Action], Action]:
    def change(action: Action) -> Action:
        if isinstance(action, Load) and action.component.blocks:
            return replace(action, placement=Placement(True, resident, source))  # type: ignore[arg-type]
        if isinstance(action, Run) and any(component.blocks for component in action.phases[0].components):
            return replace(action, lockstep=min(lockstep, len(action.phases)))
        return action

    return change


@pytest.mark.slow
@pytest.mark.parametrize("divided", [frozenset(), BOTH], ids=["whole", "divided"])
@pytest.mark.parametrize(
    ("resident", "source", "lockstep"), [(0, "host", 1), (0, "disk", 3), (1, "host", 2), (1, "disk", 1), (0, "host", 3)]
)
def test_streamed_and_divided_transformers_give_the_same_bits(
    resident: int, source: str, lockstep: int, divided: frozenset[str], rig: Rig, whole: list[bytes], tmp_path: Path
) -> None:
    assert artifacts(rig, tmp_path, divided=divided, change=streamed(resident, source, lockstep)) == whole


class Held(Arenas):
    """What some worker uses for as long as this is here."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.pieces: dict[str, object] = {}
        self.filled = 0

    def piece(self, name: str, nbytes: int, fill: Callable[[mmap], None], cancelled: threading.Event) -> mmap | None:
        def counted(memory: mmap) -> None:
            self.filled += 1
            fill(memory)

        self.pieces[name] = found = super().piece(name, nbytes, counted, cancelled)
        return found


@pytest.mark.slow
def test_weights_that_another_worker_read_give_the_same_bits(
    rig: Rig, whole: list[bytes], tmp_path: Path, arenas: Arenas
) -> None:
    first, second = Held(arenas.folder), Held(arenas.folder)
    change = streamed(0, "host", 1)
    assert artifacts(replace(rig, arenas=first), tmp_path / "first", change=change) == whole
    assert first.filled == len(first.pieces) > 0
    assert artifacts(replace(rig, arenas=second), tmp_path / "second", change=change) == whole
    assert second.filled == 0 and second.pieces.keys() == first.pieces.keys()


@pytest.mark.slow
def test_divided_transformers_give_the_same_bits(rig: Rig, whole: list[bytes], tmp_path: Path) -> None:
    assert artifacts(rig, tmp_path, divided=BOTH) == whole


@pytest.mark.slow
def test_the_plain_cpu_gives_the_same_bits(rig: Rig, whole: list[bytes], tmp_path: Path) -> None:
    assert artifacts(replace(rig, accounted=None), tmp_path) == whole


def phases_of(rig: Rig, engine: LocalEngine, shots: Sequence[Shot]) -> list[Phase]:
    every = pipeline.cascades(shots, rig.models, engine.capacity, engine.demand)
    return [phase for one in every for phase in one.phases]


def least(rig: Rig, shots: Sequence[Shot] = SHOTS) -> int:
    engine = replace(rig, accounted=1).engine()
    return smallest(phases_of(rig, engine, shots), engine.demand)


@pytest.mark.slow
@pytest.mark.parametrize("share", [1.15, 1.5, 3.0])
def test_every_budget_is_kept_and_gives_the_same_bits(
    share: float, rig: Rig, whole: list[bytes], tmp_path: Path
) -> None:
    tight = replace(rig, accounted=int(least(rig) * share))
    engine, store = tight.engine(), tight.store(tmp_path)
    every = pipeline.cascades(SHOTS, tight.models, engine.capacity, engine.demand)
    made = engine.plan([phase for one in every for phase in one.phases])
    engine.check(made)
    peaks = [event.peak for event in engine.run(made, store) if isinstance(event, PhaseEnded)]
    assert max(peaks) <= tight.accounted  # type: ignore[operator]
    assert abs(max(peaks) / made.forecast.peak_device - 1) < 0.25, "the forecast of so tiny a model is not far off"
    results = [store.artifact(phase) for one in every for phase in (one.caption, one.still, one.frames)]
    assert [result.read() for result in results if result] == whole


@pytest.mark.slow
def test_a_phase_that_needs_more_than_was_thought_is_planned_anew_once(
    rig: Rig, whole: list[bytes], tmp_path: Path
) -> None:
    """The device has less than the budget says; the plan made from what was measured fits."""
    engine, store = rig.engine(), rig.store(tmp_path)
    every = [pipeline.cascade(one, rig.models) for one in SHOTS]
    made = engine.plan([phase for one in every for phase in one.phases])
    # Everything is kept for ever: what a plan for a device without end would do.
    hoarding = Plan(tuple(action for action in made.actions if not isinstance(action, Evict)))
    engine.check(hoarding)
    weights = {component: component.nbytes for run in made.runs for component in run.phases[0].components}
    other = rig.engine()
    other.check(hoarding)
    events = list(other.run(hoarding, rig.store(tmp_path / "hoarding")))
    peak = max(event.peak for event in events if isinstance(event, PhaseEnded))
    engine._device.limit = engine._device._live.limit = peak - sum(weights.values()) // 2  # type: ignore[attr-defined]
    events = list(engine.run(hoarding, store))
    assert [event for event in events if isinstance(event, Notice) and "planning anew" in event.text]
    results = [store.artifact(phase) for one in every for phase in (one.caption, one.still, one.frames)]
    assert [result.read() for result in results if result] == whole


def test_seconds_of_computing_are_told_from_those_of_waiting() -> None:
    blocks = (1 << 30,) * 10
    component, streamed = Component("x.transformer", "x", sum(blocks), blocks=blocks), Placement(streamed=True)
    capacity = Capacity(4 << 30, 0, 1 << 30, 1 << 34)
    assert computing(200.0, component, streamed, 10, capacity) == 190.0, "the first block's second is not hidden"
    assert computing(120.0, component, streamed, 10, capacity) is None, "ten seconds a pass are the disk's alone"
    from_host = replace(streamed, source="host")
    assert computing(100.0, component, from_host, 10, capacity) == pytest.approx(100 - 10 / 16)


@pytest.mark.slow
@pytest.mark.parametrize(("disk_rate", "noted"), [(1e12, True), (1.0, False)])
def test_a_run_that_waited_for_its_blocks_tells_nothing_of_its_computing(
    rig: Rig, tmp_path: Path, disk_rate: float, noted: bool
) -> None:
    history = History(tmp_path / "h.json")
    engine, store = rig.engine(history), rig.store(tmp_path / "store")
    engine._budget = replace(engine._budget, capacity=replace(engine._budget.capacity, disk_rate=disk_rate))
    one = pipeline.cascade(SHOTS[0], rig.models)
    made = engine.plan([phase for phase in one.phases if phase.stage != "video"])
    changed = Plan(tuple(streamed(0, "disk", 1)(action) for action in made.actions))
    engine.check(changed)
    list(engine.run(changed, store))
    models = rig.models["image"].spec.identity
    assert bool(history.runs(engine._budget.device, models, "image.denoise")) == noted
    assert history.runs(engine._budget.device, models, "image.decode"), "it was not streamed"


@pytest.fixture
def greedy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Decoding what is called big runs out of memory."""
    decode = CogVideoX.decode

    def decoded(self: CogVideoX, parts: Any, works: Works) -> Any:
        if works[0].phase.shot.prompt == "big":
            raise torch.OutOfMemoryError("somebody else has the memory")
        return decode(self, parts, works)

    monkeypatch.setattr(CogVideoX, "decode", decoded)


@pytest.mark.slow
@pytest.mark.usefixtures("greedy")
def test_a_shot_that_runs_out_of_memory_and_fits_no_plan_stops_no_other(rig: Rig, tmp_path: Path) -> None:
    big, small = shot("big", video__num_frames=17), shot("small", video__num_frames=5)
    alike = shot("big", seed=1, video__num_frames=17)  # The same options, in a mapping of its own.
    tight = replace(rig, accounted=int(least(rig, [big, small]) * 1.05))
    engine, store = tight.engine(), tight.store(tmp_path)
    every = {one.prompt: pipeline.cascade(one, tight.models) for one in (alike, big, small)}
    others = pipeline.cascade(alike, tight.models).phases
    made = engine.plan([*others, *(phase for one in every.values() for phase in one.phases)])
    failures = [event for event in engine.run(made, store) if isinstance(event, Failed)]
    assert {event.shot for event in failures} == {big.id, alike.id}
    assert "video.decode ran out of memory" in failures[0].text and "the budget is" in failures[0].text
    assert store.artifact(every["small"].frames) is not None and store.artifact(every["big"].frames) is None


@pytest.mark.slow
@pytest.mark.usefixtures("greedy")
def test_later_rounds_of_shots_that_fit_no_plan_any_more_stop_no_other(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, later, small = (
        shot("big", video__num_frames=17), shot("big", seed=1, video__num_frames=17), shot("small", video__num_frames=5)
    )  # fmt: skip
    tight = replace(rig, accounted=int(least(rig, [first, small]) * 1.05))
    monkeypatch.setattr(making, "ROUND", 1)
    (tmp_path / "out").mkdir()
    asked, store = [first, later, small], tight.store(tmp_path / "store")
    told = list(making.run(asked, tight.models, tight.engine(), store, Outputs(tmp_path / "out")))
    assert [event.shot for event in told if isinstance(event, Failed)] == [first.id, later.id]
    assert [event.shot for event in told if isinstance(event, Clip)] == [small.id]


@pytest.mark.slow
def test_a_device_that_is_too_small_ends_with_the_numbers_and_nothing_left(rig: Rig, tmp_path: Path) -> None:
    engine, store = rig.engine(), rig.store(tmp_path)
    made = engine.plan([phase for one in SHOTS for phase in pipeline.cascade(one, rig.models).phases])
    engine.check(made)
    engine._device.limit = 200_000  # type: ignore[attr-defined]
    engine._device._live.limit = 200_000  # type: ignore[attr-defined]
    threads = set(threading.enumerate())
    with pytest.raises(CapacityError, match=r"memory|budget"):
        list(engine.run(made, store))
    assert not outliving(threads)
    assert engine._residency.device_bytes == 0 == engine._residency.host_bytes


@pytest.mark.slow
@pytest.mark.parametrize("phase", ["image.denoise", "video.denoise"])
def test_stopping_a_streamed_phase_leaves_no_thread_and_no_memory(phase: str, rig: Rig, tmp_path: Path) -> None:
    engine, store = rig.engine(), rig.store(tmp_path)
    made = engine.plan([p for one in SHOTS for p in pipeline.cascade(one, rig.models).phases])
    changed = Plan(tuple(streamed(0, "host", 3)(action) for action in made.actions))
    engine.check(changed)
    threads = set(threading.enumerate())
    events = engine.run(changed, store)
    for event in events:
        if isinstance(event, Step) and event.phase == phase:
            break
    events.close()  # type: ignore[attr-defined]
    gc.collect()
    assert not outliving(threads)
    assert engine._residency.device_bytes == 0 == engine._residency.host_bytes
    assert engine._device.weights == 0  # type: ignore[attr-defined]
    assert not torch.is_inference_mode_enabled() and torch.is_grad_enabled()


def test_what_was_measured_is_what_the_next_plan_says(rig: Rig, tmp_path: Path) -> None:
    history = History(tmp_path / "history.json")
    engine = rig.engine(history)
    one = pipeline.cascade(shot(caption=CAPTION), rig.models)
    made = engine.plan(one.phases)
    engine.check(made)
    ended = {e.phase: e for e in engine.run(made, rig.store(tmp_path / "s")) if isinstance(e, PhaseEnded)}
    again = rig.engine(history)
    for phase in one.phases:
        if phase.verb in ("denoise", "decode"):
            assert again.demand(phase).seconds == pytest.approx(ended[phase.name].seconds)


@pytest.mark.slow
@pytest.mark.skipif(not machine.used_bytes(), reason="the system does not tell what a process holds")
def test_fifty_shots_leave_the_process_as_large_as_ten(rig: Rig, tmp_path: Path) -> None:
    engine = replace(rig, accounted=None).engine()

    def ten(first: int) -> int:
        options = {"caption": CAPTION, "image__num_inference_steps": 1, "video__num_inference_steps": 1}
        few = [shot("a red boat", seed=seed, **options) for seed in range(first, first + 10)]  # type: ignore[arg-type]
        store = rig.store(tmp_path / str(first))
        made = engine.plan([phase for one in few for phase in pipeline.cascade(one, rig.models).phases])
        engine.check(made)
        for _ in engine.run(made, store):
            pass
        gc.collect()
        return machine.used_bytes()

    after_ten = ten(0)
    assert [ten(first) for first in (10, 20, 30, 40)][-1] - after_ten < 16 << 20
