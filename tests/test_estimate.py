"""What phases are expected to take: as measured where they were, scaled beside that, else by the device's rates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from animatic import pipeline
from animatic.core import Phase
from animatic.estimate import Estimator, Rates
from animatic.history import History
from animatic.parts import component
from animatic.prepare import Wish, prepare

RATES = Rates(1e11, 1e10)


def denoising(**options: Any) -> tuple[Phase, Any]:
    made = prepare([Wish("a red boat", "pocket", options={f"video.{name}": value for name, value in options.items()})])
    phases = pipeline.cascade(made.shots[0], made.models).phases
    return next(phase for phase in phases if phase.name == "video.denoise"), made.models


def estimator(models: Any, history: History, rates: Rates = RATES) -> Estimator:
    return Estimator(models, rates, history, "test")


def test_what_was_never_run_goes_by_the_rates(tmp_path: Path) -> None:
    phase, models = denoising()
    slow = estimator(models, History(tmp_path / "h.json")).demand(phase)
    fast = estimator(models, History(tmp_path / "h.json"), Rates(2e11, 2e10)).demand(phase)
    assert slow.seconds == pytest.approx(2 * fast.seconds)
    assert slow.passes == 8 and slow.workspace > 0


def test_what_was_measured_is_expected_again_and_other_steps_in_proportion(tmp_path: Path) -> None:
    history = History(tmp_path / "h.json")
    phase, models = denoising()
    estimator(models, history).note(phase, 6.0, 1 << 20)
    again = estimator(models, history)
    assert again.demand(phase).seconds == 6.0 and again.demand(phase).workspace == 1 << 20
    more, _ = denoising(num_inference_steps=16)
    assert again.demand(more).seconds == pytest.approx(12.0)
    assert again.demand(more).workspace > 0


def test_a_device_that_proved_slow_is_expected_to_be_slow_in_all(tmp_path: Path) -> None:
    history = History(tmp_path / "h.json")
    phase, models = denoising()
    decode = next(p for p in pipeline.cascade(phase.shot, models).phases if p.name == "video.decode")
    fresh = estimator(models, history)
    before, expected = fresh.demand(decode).seconds, fresh.demand(phase).seconds
    fresh.note(phase, 3 * expected, None)
    assert estimator(models, history).demand(decode).seconds == pytest.approx(3 * before)


def test_what_ran_out_of_memory_needs_more_from_then_on(tmp_path: Path) -> None:
    phase, models = denoising()
    one = estimator(models, History(tmp_path / "h.json"))
    one.raise_workspace(phase, 1 << 40)
    assert one.demand(phase).workspace == 1 << 40


def test_parts_of_a_transformer_have_load_times_of_their_own(tmp_path: Path) -> None:
    _, models = denoising()
    one = estimator(models, History(tmp_path / "h.json"))
    whole, rest = (component(models["video"], "transformer", subset) for subset in ("whole", "rest"))
    one.note_load(rest, 2.0)
    assert one.load_seconds(rest) == 2.0 and one.load_seconds(whole) is None


def test_what_was_measured_is_expected_at_once(tmp_path: Path) -> None:
    phase, models = denoising()
    one = estimator(models, History(tmp_path / "h.json"))
    assert one.demand(phase).seconds != 1234.0
    one.note(phase, 1234.0, None)
    assert one.demand(phase).seconds == 1234.0
