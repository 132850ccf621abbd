"""Is anything ever lost, or made twice? A batch is killed again and again, and has to end like one that was not.

    python -m bench.crash --shots 40 --kills 100

The batch runs as a user runs it, `animatic make -f`, and is killed by SIGKILL at random instants; for a part of the
kills two processes work on it with one store. Then it is left alone until it is done, and compared with an
undisturbed run: every artifact, byte by byte. What each process began and ended it says itself (`--json`), so what was
made twice is counted. Prints a table and writes bench/results/crash.json.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import report

SUBJECTS = (
    "a red boat",
    "a blue cat",
    "a green rocket",
    "a yellow car",
    "a white balloon",
    "an orange fish",
    "a pink house",
)
PLACES = ("under a night sky", "over the sea", "on a meadow", "in a busy city")
LONGEST = 9.0
"""Seconds within which a process is killed; about half of them go for imports and loading."""


@dataclass
class Life:
    """One process: what it said until it ended. `killed`: it did not end by itself."""

    events: list[dict[str, Any]] = field(default_factory=list)
    killed: bool = False

    def made(self) -> Iterator[tuple[str, str]]:
        """The phases it ended, by name and shot; not what was there already."""
        for event in self.events:
            if event["event"] == "phase_ended" and not event["hit"] and event["phase"] != "file.write":
                yield event["phase"], event["shot"]

    def begun(self) -> set[tuple[str, str]]:
        found = {(e["phase"], e["shot"]) for e in self.events if e["event"] == "phase_begun"}
        return {one for one in found if one[0] != "file.write"}

    def steps(self) -> Iterator[tuple[str, str, int]]:
        for event in self.events:
            if event["event"] == "step":
                yield event["phase"], event["shot"], event["step"]


class Batch:
    """The batch in a folder, and the processes that worked on it."""

    def __init__(self, folder: Path, shots: int) -> None:
        self.folder = folder
        self.lives: list[Life] = []
        folder.mkdir(parents=True)
        lines = [{"prompt": f"{SUBJECTS[n % 7]} {PLACES[n % 4]}", "seed": n} for n in range(shots)]
        (folder / "batch.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))

    def start(self) -> tuple[subprocess.Popen[bytes], Path]:
        command = [sys.executable, "-m", "animatic", "make", "-f", "batch.jsonl", "--preset", "pocket", "--json",
                   "--out", "out", "--store", "store"]  # fmt: skip
        log = self.folder / f"log-{len(list(self.folder.glob('log-*')))}"
        environment = {**os.environ, "OMP_NUM_THREADS": "2"}  # Another number of threads gives other bits.
        with log.open("wb") as sink, (self.folder / "errors").open("ab") as errors:
            return subprocess.Popen(command, cwd=self.folder, stdout=sink, stderr=errors, env=environment), log

    def ended(self, log: Path, killed: bool) -> None:
        life = Life(killed=killed)
        for line in log.read_text("utf-8", "replace").splitlines():
            with contextlib.suppress(ValueError):  # A line that the kill cut short.
                life.events.append({k: v for k, v in json.loads(line).items() if k != "preview"})
        self.lives.append(life)

    def run(self, kill_after: float | None = None, workers: int = 1) -> bool:
        """Run until it is done, or kill one of its workers, and then the others. Returns whether it was done."""
        going = [self.start() for _ in range(workers)]
        deadline = time.monotonic() + (kill_after or 1e9)
        while time.monotonic() < deadline and any(process.poll() is None for process, _ in going):
            time.sleep(0.01)
        for process, log in going:
            killed = process.poll() is None
            if killed:
                process.send_signal(signal.SIGKILL)
            status = process.wait()
            assert killed or status == 0, (self.folder / "errors").read_text()[-2000:]
            self.ended(log, killed)
        return not any(life.killed for life in self.lives[-workers:])

    def artifacts(self) -> dict[str, bytes]:
        files = (self.folder / "store/artifacts").rglob("*")
        return {file.name: file.read_bytes() for file in files if file.is_file() and ".about." not in file.name}

    def clips(self) -> dict[str, bytes]:
        return {file.name: file.read_bytes() for file in (self.folder / "out/batch").glob("*.mp4")}

    def gc(self) -> list[str]:
        """Collect, and name the temporary files that are left all the same."""
        command = [sys.executable, "-m", "animatic", "store", "--store", "store", "gc"]
        subprocess.run(command, cwd=self.folder, check=True, stdout=subprocess.DEVNULL)
        names = [str(path.relative_to(self.folder)) for path in self.folder.rglob("*") if path.is_file()]
        return [name for name in names if ".part" in name or name.endswith(".lock") or "/states/" in name]


def twice(lives: list[Life]) -> dict[str, Any]:
    """What was made more than once, phases and steps, and what was in flight at the kills."""
    made = collections.Counter(one for life in lives for one in life.made())
    steps = collections.Counter(one for life in lives for one in life.steps())
    flying = sum(len(life.begun() - set(life.made())) for life in lives if life.killed)
    return {
        "phases_made": made.total(),
        "phases_made_twice": sum(count - 1 for count in made.values()),
        "phases_in_flight_at_kills": flying,
        "steps": steps.total(),
        "steps_done_again": sum(count - 1 for count in steps.values()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--shots", type=int, default=40)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--two", type=float, default=0.3, help="the part of the kills with two workers")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    chance = random.Random(asked.seed)
    with tempfile.TemporaryDirectory() as place:
        calm, wild = Batch(Path(place) / "calm", asked.shots), Batch(Path(place) / "wild", asked.shots)
        begun = time.monotonic()
        assert calm.run()
        undisturbed = time.monotonic() - begun
        begun = time.monotonic()
        kills = 0
        while kills < asked.kills:
            paired = asked.kills * 0.3 <= kills < asked.kills * (0.3 + asked.two)
            wild.run(chance.uniform(0, LONGEST), 2 if paired else 1)
            kills += sum(life.killed for life in wild.lives[-(2 if paired else 1) :])
        done_before = sum(1 for _ in (Path(place) / "wild/out/batch").glob("*.mp4"))
        assert wild.run()
        disturbed = time.monotonic() - begun
        one, other = calm.artifacts(), wild.artifacts()
        for name in sorted(name for name, data in one.items() if other.get(name) != data):
            print("differs:", name)
        figures = {
            "shots": asked.shots, "kills": kills, "lives": len(wild.lives),
            "killed_with_two_workers": round(asked.kills * asked.two),
            "clips_before_the_last_run": done_before,
            "seconds_undisturbed": round(undisturbed, 1), "seconds_disturbed": round(disturbed, 1),
            "artifacts": len(one), "artifacts_equal": sum(other.get(name) == data for name, data in one.items()),
            "artifacts_besides": len(other.keys() - one.keys()),
            "clips": len(wild.clips()), "clips_equal": wild.clips() == calm.clips(),
            "undisturbed": twice(calm.lives), "disturbed": twice(wild.lives), "strays_after_gc": wild.gc(),
        }  # fmt: skip
    for name, value in figures.items():
        print(f"{name:28} {value}")
    report.write("crash", f"python -m bench.crash --shots {asked.shots} --kills {asked.kills}", figures)


if __name__ == "__main__":
    main()
