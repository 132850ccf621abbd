"""What the store costs: its part of a batch, a hit, and what it costs to be large.

    python -m bench.store --shots 6 --artifacts 100000 --made 10000

Prints a table and writes bench/results/store.json.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from animatic import api, inventory, pipeline
from animatic.checkpoint import Checkpoint
from animatic.claims import Claim, Claims
from animatic.prepare import Prepared, Wish, identified, prepare, ready
from animatic.store import Store
from bench import report
from bench.overhead import Watch

SENTENCE = "a red boat sails under a night sky"
MOST_SHARE, MOST_HIT, MOST_GC, MOST_SKIP = 0.02, 0.002, 20.0, 5.0
METHODS = ((Store, ("put", "missing", "get", "drop", "key")), (Claims, ("take",)), (Claim, ("release",)),
           (Checkpoint, ("offer", "load")))  # fmt: skip


def share(shots: int, folder: Path) -> dict[str, Any]:
    """Seconds within the store while a batch of pocket is made, against all."""
    prepared = ready(prepare([Wish(SENTENCE, "pocket", takes=shots)]))
    list(api.run(_first(prepared), folder / "warm", folder / "warm-store"))  # Imports and first uses.
    watch = Outermost()
    for owner, names in METHODS:
        for name in names:
            watch.method(owner, name, "store")
    begun = time.perf_counter()
    for _ in api.run(prepared, folder / "out", folder / "store"):
        pass
    total = time.perf_counter() - begun
    watch.stop()
    return {"seconds": total, "store_seconds": watch.seconds["store"], "share": watch.seconds["store"] / total}


class Outermost(Watch):
    """Counts a call within a counted call once."""

    def __init__(self) -> None:
        super().__init__()
        self._inside = False

    def method(self, owner: type, name: str, label: str) -> None:
        original = getattr(owner, name)

        def timed(*args: Any, **kwargs: Any) -> Any:
            if self._inside:
                return original(*args, **kwargs)
            self._inside, begun = True, time.perf_counter()
            try:
                return original(*args, **kwargs)
            finally:
                self._inside = False
                self._add(label, time.perf_counter() - begun)

        setattr(owner, name, timed)
        self._undo.append(lambda: setattr(owner, name, original))


def _first(prepared: Prepared) -> Prepared:
    return replace(prepared, shots=prepared.shots[:1], wishes=prepared.wishes[:1])


def hits(folder: Path) -> dict[str, float]:
    """Seconds to find and verify an artifact, by kind: the median over the artifacts of a batch."""
    seconds: dict[str, list[float]] = {}
    for item in inventory.items(Store(folder / "store")):
        store = Store(folder / "store")
        begun = time.perf_counter()
        assert store.get(item.key) is not None
        seconds.setdefault(item.kind, []).append(time.perf_counter() - begun)
    return {kind: statistics.median(some) for kind, some in seconds.items()}


def large(count: int, real: Path) -> dict[str, float]:
    """What `make` takes with so many artifacts more in the store, and what collecting half of them takes."""
    command = ["make", SENTENCE, "--preset", "pocket", "--out", str(real / "out"), "--store", str(real / "store"), "-q"]
    before = [_seconds(command) for _ in range(5)]
    for number in range(count):
        key = hashlib.sha256(str(number).encode()).hexdigest()
        place = real / "store/artifacts" / key[:2]
        place.mkdir(exist_ok=True)
        (place / f"{key}.latents.safetensors").write_bytes(b"0123456789" * 10)
        about = place / f"{key}.about.json"
        about.write_text(json.dumps({"file": f"{key}.latents.safetensors", "sha256": "", "digest": "", "record": {}}))
        os.utime(about, (1e9 + number, 1e9 + number))
    after = [_seconds(command) for _ in range(5)]
    size = sum(item.nbytes for item in inventory.items(Store(real / "store")))
    begun = time.perf_counter()
    done = inventory.collect(Store(real / "store").open(), keep=size // 2)
    return {
        "make_without": statistics.median(before), "make_with": statistics.median(after),
        "gc_seconds": time.perf_counter() - begun, "gc_removed": done.removed,
    }  # fmt: skip


def skipped(count: int, folder: Path) -> dict[str, float]:
    """What it takes to see that so many shots are made: seconds, and peak memory. Their clips are empty files."""
    folder.mkdir(parents=True)
    out = folder / "out/many"
    out.mkdir(parents=True)
    wishes = [Wish(SENTENCE, "pocket", seed=number, name=f"shot-{number}") for number in range(count)]
    prepared = identified(prepare(wishes))
    with (folder / "many.jsonl").open("w") as file, (out / "results.jsonl").open("w") as results:
        for shot in prepared.shots:
            file.write(json.dumps({"prompt": shot.prompt, "seed": shot.seed, "id": shot.name}) + "\n")
            results.write(json.dumps(_line(shot.name, pipeline.signature(shot, prepared.models))) + "\n")
            (out / f"{shot.name}.mp4").touch()
    command = ["make", "-f", str(folder / "many.jsonl"), "--preset", "pocket", "--out", str(folder / "out"),
               "--store", str(folder / "store"), "-q"]  # fmt: skip
    runs = [_usage(command) for _ in range(3)]
    return {"seconds": statistics.median(run[0] for run in runs), "peak_bytes": max(run[1] for run in runs)}


def _line(name: str, signature: str) -> dict[str, Any]:
    measures = {"frames": 17, "temporal_flickering": 0.98, "motion": 0.4, "remarks": []}
    return {
        "id": name, "status": "completed", "signature": signature, "prompt": SENTENCE, "seed": 0, "preset": "pocket",
        "caption": "A red boat appears under a night sky. " * 4, "clip": f"{name}.mp4", "still": f"{name}.png",
        "seconds": {"refine": 1.0, "image": 2.0, "video": 3.0}, "measures": measures,
    }  # fmt: skip


def _seconds(arguments: Sequence[str]) -> float:
    return _usage(arguments)[0]


LAUNCHER = """
import json, os, sys, time
nowhere = [(os.POSIX_SPAWN_OPEN, n, os.devnull, os.O_WRONLY, 0) for n in (1, 2)]
begun = time.perf_counter()
process = os.posix_spawn(sys.executable, [sys.executable, *sys.argv[1:]], os.environ, file_actions=nowhere)
_, status, usage = os.wait4(process, 0)
print(json.dumps([time.perf_counter() - begun, usage.ru_maxrss * 1024, status]))
"""
"""A process counts in its children's peaks with what it had itself when it made them: this one is small."""


def _usage(arguments: Sequence[str]) -> tuple[float, int]:
    """Wall seconds and peak resident bytes of a command."""
    command = [sys.executable, "-c", LAUNCHER, "-m", "animatic", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    seconds, peak, status = json.loads(done.stdout)
    assert status == 0, f"animatic {' '.join(arguments)} failed"
    return seconds, peak


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--shots", type=int, default=6)
    parser.add_argument("--artifacts", type=int, default=100_000)
    parser.add_argument("--made", type=int, default=10_000)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        many, few = skipped(asked.made, folder / "many"), skipped(asked.made // 10, folder / "few")
        part = share(asked.shots, folder)
        found = hits(folder)
        heap = large(asked.artifacts, folder)
    print(f"{'the store in a batch of ' + str(asked.shots):44} {part['share']:8.2%}  (at most {MOST_SHARE:.0%})")
    for kind, seconds in found.items():
        print(f"{'a hit: ' + kind:44} {seconds * 1e3:8.2f} ms (at most {MOST_HIT * 1e3:.0f} ms)")
    print(f"{f'{asked.made:,} made shots skipped':44} {many['seconds']:8.2f} s  (at most {MOST_SKIP:.0f} s)")
    grown = (many["peak_bytes"] - few["peak_bytes"]) / (asked.made - asked.made // 10)
    print(f"{'  memory for each':44} {grown:8.0f} bytes; peak {many['peak_bytes'] / 2**20:.0f} MiB")
    print(f"{'an already made clip, small store':44} {heap['make_without']:8.2f} s  (at most 1 s)")
    print(f"{f'  with {asked.artifacts:,} artifacts':44} {heap['make_with']:8.2f} s")
    print(f"{'  collecting half of them':44} {heap['gc_seconds']:8.2f} s  (at most {MOST_GC:.0f} s)")
    figures = {
        "batch": part,
        "hits": found,
        "skipped": many,
        "skipped_tenth": few,
        "bytes_a_shot": grown,
        "large": heap,
    }
    command = f"python -m bench.store --shots {asked.shots} --artifacts {asked.artifacts} --made {asked.made}"
    report.write("store", command, figures)


if __name__ == "__main__":
    main()
