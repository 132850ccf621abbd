"""What Animatic itself costs beside the models: start-up of the commands, and the engine, planner and residency.

    python -m bench.overhead --runs 9

Start-up: wall seconds of whole processes. The rest: one cascade with pocket, in which every second is assigned:
inside the models' phases, reading weights, storing artifacts, writing the clip, and what is left, which is ours. Prints
a table and writes bench/results/overhead.json.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from animatic import api
from animatic.device import Device
from animatic.events import Event
from animatic.outputs import Outputs
from animatic.prepare import Prepared, Wish, prepare, ready
from animatic.residency import Residency
from animatic.store import Store
from bench import report

SENTENCE = "an orange rocket takes off into the night sky"
COMMANDS = {
    "animatic --help": (["--help"], 0.3),
    "animatic plan, the default preset": (["plan", SENTENCE, "--preset", "flux-cogvideox", "--gpu", "RTX 4090"], 0.5),
    "animatic plan, pocket": (["plan", SENTENCE, "--preset", "pocket"], 0.5),
    "animatic plan, 1,000 shots": (["plan", "--shots", "1000", "--preset", "open", "--gpu", "RTX 4090"], None),
}
MOST_SHARE = 0.01


def command_seconds(arguments: list[str], runs: int) -> float:
    def once() -> float:
        begun = time.perf_counter()
        subprocess.run([sys.executable, "-m", "animatic", *arguments], check=True, capture_output=True)
        return time.perf_counter() - begun

    once()  # warms the page cache
    return statistics.median(once() for _ in range(runs))


class Watch:
    """Assigns wall seconds: wraps what does the work, so that the rest is what remains."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._undo: list[Callable[[], None]] = []

    def method(self, owner: type, name: str, label: str) -> None:
        original = getattr(owner, name)

        def timed(*args: Any, **kwargs: Any) -> Any:
            begun = time.perf_counter()
            try:
                return original(*args, **kwargs)
            finally:
                self._add(label, time.perf_counter() - begun)

        setattr(owner, name, timed)
        self._undo.append(lambda: setattr(owner, name, original))

    def generator(self, owner: type, name: str, label: str) -> None:
        original = getattr(owner, name)

        def timed(*args: Any, **kwargs: Any) -> Iterator[Any]:
            source = iter(original(*args, **kwargs))
            while True:
                begun = time.perf_counter()
                try:
                    item = next(source)
                except StopIteration:
                    return
                finally:
                    self._add(label, time.perf_counter() - begun)
                yield item

        setattr(owner, name, timed)
        self._undo.append(lambda: setattr(owner, name, original))

    def stop(self) -> None:
        for undo in self._undo:
            undo()

    def _add(self, label: str, seconds: float) -> None:
        self.seconds[label] = self.seconds.get(label, 0.0) + seconds


def cascade_seconds() -> dict[str, float]:
    """Wall seconds of one cascade by what they went to; "ours" is what nothing else claims."""
    watch = Watch()
    watch.generator(Device, "within", "models")
    watch.method(Residency, "wait", "weights")
    watch.method(Residency, "check", "weights")
    watch.method(Store, "put", "artifacts")
    watch.method(Outputs, "write", "files")
    with tempfile.TemporaryDirectory() as folder:
        prepared = ready(prepare([Wish(SENTENCE, "pocket")]))
        begun = time.perf_counter()
        for _ in _events(prepared, Path(folder)):
            pass
        total = time.perf_counter() - begun
    watch.stop()
    return {**watch.seconds, "ours": total - sum(watch.seconds.values()), "total": total}


def _events(prepared: Prepared, out: Path) -> Iterator[Event]:
    return api.run(prepared, out / "out", out / "store")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--runs", type=int, default=9)
    runs = parser.parse_args().runs
    commands = {name: command_seconds(arguments, runs) for name, (arguments, _) in COMMANDS.items()}
    for name, (_, most) in COMMANDS.items():
        print(f"{name:36} {commands[name]:6.2f} s" + (f"   (at most {most} s)" if most else ""))
    cascade_seconds()  # imports and first uses
    cascades = [cascade_seconds() for _ in range(runs)]
    median = {label: statistics.median(one.get(label, 0.0) for one in cascades) for label in cascades[0]}
    for label, seconds in median.items():
        print(f"  {label:34} {seconds:6.3f} s")
    share = median["ours"] / median["models"]
    print(f"{'engine, planner and residency':36} {share:6.2%} of the models' seconds (at most {MOST_SHARE:.0%})")
    figures = {
        "commands_median_seconds": commands,
        "cascade_median_seconds": median,
        "share": share,
    }
    report.write("overhead", f"python -m bench.overhead --runs {runs}", figures)


if __name__ == "__main__":
    main()
