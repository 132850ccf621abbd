"""How well a plan foretells what it takes: pocket in many settings, predicted against measured, after one calibration.

    python -m bench.prediction

One calibration run with pocket's own settings, then every other setting once: more and fewer steps, with and without
guidance, several takes, and budgets down to the least that works. The device is *accounted*: the CPU, with every byte
of weights and activations counted as a GPU would. Prints a table and writes bench/results/prediction.json.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from animatic import making
from animatic.budget import Budget
from animatic.device import Accounted
from animatic.engine import LocalEngine
from animatic.estimate import Estimator
from animatic.events import Event
from animatic.history import History
from animatic.outputs import Outputs
from animatic.prepare import Prepared, Wish, prepare, ready
from animatic.store import Store
from bench import report

SENTENCE = "an orange rocket takes off into the night sky"
MEMORY_WITHIN, SECONDS_WITHIN = 0.10, 0.25


@dataclass(frozen=True)
class Setting:
    """What differs from pocket's own: options, takes, and the budget in MiB."""

    name: str
    options: dict[str, Any]
    takes: int = 1
    mebibytes: int = 2048


def settings() -> Iterator[Setting]:
    for steps in (6, 10, 28, 40):
        yield Setting(f"image steps {steps}", {"image.num_inference_steps": steps})
    for steps in (4, 8, 20, 30):
        yield Setting(f"video steps {steps}", {"video.num_inference_steps": steps})
    yield Setting("no guidance", {"video.guidance_scale": 1.0})
    yield Setting("DDIM", {"video.scheduler": "ddim"})
    yield Setting("few steps of both", {"image.num_inference_steps": 8, "video.num_inference_steps": 6})
    for takes in (2, 3):
        yield Setting(f"{takes} takes", {}, takes)
    for mebibytes in (500, 320, 290, 275):
        yield Setting(f"budget {mebibytes} MiB", {}, 1, mebibytes)
    for mebibytes in (320, 275):
        yield Setting(f"2 takes in {mebibytes} MiB", {}, 2, mebibytes)
    yield Setting("more steps in 290 MiB", {"image.num_inference_steps": 30}, 1, 290)
    yield Setting("no guidance in 275 MiB", {"video.guidance_scale": 1.0}, 1, 275)


@dataclass(frozen=True)
class Outcome:
    """Predicted and measured: seconds from the first load to the last run, peak bytes of the device."""

    setting: str
    predicted_seconds: float
    seconds: float
    predicted_peak: int
    peak: int

    @property
    def seconds_error(self) -> float:
        return self.predicted_seconds / self.seconds - 1

    @property
    def peak_error(self) -> float:
        return self.predicted_peak / self.peak - 1


def measure(setting: Setting, history: History) -> Outcome:
    prepared = _prepared(setting, history)
    device = Accounted(prepared.budget.capacity.device)
    engine = LocalEngine(prepared.models, device, prepared.budget, prepared.estimator)
    forecast = prepared.plan().forecast
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "out").mkdir()
        store = Store(place / "store").open()
        events = making.run(prepared.shots, prepared.models, engine, store, Outputs(place / "out"))
        begun, ended, peak = time.perf_counter(), 0.0, 0
        for event in events:
            if _is_phase(event):
                ended, peak = time.perf_counter(), max(peak, event.peak)  # type: ignore[attr-defined]
            elif event.kind == "planned":
                begun = time.perf_counter()
    return Outcome(setting.name, forecast.seconds, ended - begun, forecast.peak_device, peak)


def _prepared(setting: Setting, history: History) -> Prepared:
    wish = Wish(SENTENCE, "pocket", takes=setting.takes, options=setting.options)
    made = ready(prepare([wish]))
    capacity = replace(made.budget.capacity, device=setting.mebibytes << 20, host=4 << 30, unified=False)
    budget: Budget = replace(made.budget, device="accounted", capacity=capacity)
    estimator = Estimator(made.models, budget.rates, history, budget.device)
    return replace(made, budget=budget, estimator=estimator, history=history)


def _is_phase(event: Event) -> bool:
    return event.kind == "phase_ended" and event.phase != "file.write"  # type: ignore[attr-defined]


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        history = History(Path(folder) / "history.json")
        measure(Setting("calibration", {}), history)  # the libraries' first use is not what is calibrated
        history = History(Path(folder) / "other.json")
        measure(Setting("calibration", {}), history)
        history._file = Path(folder) / "calibrated.json"
        history.save()
        # Every setting starts from the one calibration: none learns from the one before.
        outcomes = [measure(setting, History(Path(folder) / "calibrated.json")) for setting in settings()]
    _report(outcomes)


def _report(outcomes: list[Outcome]) -> None:
    table = Table("setting", "seconds", "measured", "error", "peak MiB", "measured ", "error ")
    for one in outcomes:
        mib = (f"{one.predicted_peak / 2**20:.1f}", f"{one.peak / 2**20:.1f}", f"{one.peak_error:+.1%}")
        seconds = (f"{one.predicted_seconds:.2f}", f"{one.seconds:.2f}", f"{one.seconds_error:+.0%}")
        table.add_row(one.setting, *seconds, *mib)
    Console().print(table)
    within_seconds = sum(abs(one.seconds_error) <= SECONDS_WITHIN for one in outcomes)
    within_memory = sum(abs(one.peak_error) <= MEMORY_WITHIN for one in outcomes)
    count = len(outcomes)
    print(f"seconds within 25 %: {within_seconds} of {count}; peak within 10 %: {within_memory} of {count}")
    figures = {
        "machine": f"{os.cpu_count()} cores, no GPU; an accounted device",
        "within_25_percent_of_seconds": within_seconds,
        "within_10_percent_of_peak": within_memory,
        "median_seconds_error": statistics.median(abs(one.seconds_error) for one in outcomes),
        "median_peak_error": statistics.median(abs(one.peak_error) for one in outcomes),
        "outcomes": [asdict(one) for one in outcomes],
    }
    report.write("prediction", "python -m bench.prediction", figures)


if __name__ == "__main__":
    main()
