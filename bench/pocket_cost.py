"""What a clip by pocket costs a new user: wall seconds and peak memory of `animatic make`, each from a cold process.

    python -m bench.pocket_cost --runs 5
    python -m bench.pocket_cost --size 192x128      # what pocket would cost, were it trained for such clips

Prints a table and writes bench/results/pocket_cost.json, or pocket_cost_SIZE.json.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from importlib import resources
from pathlib import Path
from typing import Any

from bench import presets, report

SENTENCE = "an orange rocket takes off into the night sky"
OWN_SIZE = "144x96"
PRESET = """
extends = "pocket"
title = "Pocket, another size"

[image.geometry]
sizes = [[{width}, {height}]]

[video]
repo = "{video}"
[video.geometry]
sizes = [[{width}, {height}]]
[video.options]
width = {width}
height = {height}
"""
MOST_SECONDS, MOST_BYTES = 15.0, 1.2 * 2**30


def preset(size: str, home: Path) -> str:
    """Pocket, or one like it in `home` for clips of another size: it computes as much as a trained one would."""
    if size == OWN_SIZE:
        return "pocket"
    width, height = (int(side) for side in size.split("x"))
    package = Path(str(resources.files("animatic")))
    shutil.copytree(package / "pocket" / "video", home / "video")
    config = home / "video" / "transformer" / "config.json"
    latents = {"sample_height": height // 8, "sample_width": width // 8}  # where its rotary positions end
    config.write_text(json.dumps(json.loads(config.read_text()) | latents))
    return presets.write(home, f"pocket-{size}", PRESET.format(width=width, height=height, video=home / "video"))


def once(size: str) -> dict[str, Any]:
    """One run in a process of its own: its seconds, its peak resident bytes, and its phases."""
    with tempfile.TemporaryDirectory() as out:
        name = preset(size, Path(out))
        command = [sys.executable, "-m", "animatic", "make", SENTENCE, "--preset", name, "--out", out, "--quiet",
                   "--store", f"{out}/store"]  # fmt: skip
        begun = time.perf_counter()
        process = os.posix_spawn(sys.executable, command, os.environ | {"XDG_CONFIG_HOME": out})
        _, status, usage = os.wait4(process, 0)
        seconds = time.perf_counter() - begun
        assert status == 0, f"animatic make failed with status {status}"
        record = json.loads(next(Path(out).glob("*.json")).read_text())
    phases = {name: phase["seconds"] for name, phase in record["phases"].items()}
    return {"seconds": seconds, "peak_bytes": usage.ru_maxrss * 1024, "phases": phases, "loads": record["loads"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--size", default=OWN_SIZE)
    options = parser.parse_args()
    runs = [once(options.size) for _ in range(options.runs)]
    seconds = statistics.median(run["seconds"] for run in runs)
    peak = max(run["peak_bytes"] for run in runs)
    phases = {name: statistics.median(run["phases"][name] for run in runs) for name in runs[0]["phases"]}
    print(f"{'make, from a cold process':28} {seconds:6.1f} s   (at most {MOST_SECONDS:.0f} s)")
    print(f"{'peak memory':28} {peak / 2**30:6.2f} GiB (at most {MOST_BYTES / 2**30:.1f} GiB)")
    for name, median in phases.items():
        print(f"  {name:26} {median:6.2f} s")
    print(f"  {'loading':26} {sum(runs[0]['loads'].values()):6.2f} s")
    figures = {
        "median_seconds": seconds,
        "peak_bytes": peak,
        "phases": phases,
        "runs": runs,
    }
    name, command = "pocket_cost", f"python -m bench.pocket_cost --runs {len(runs)}"
    if options.size != OWN_SIZE:
        name, command = f"{name}_{options.size}", f"{command} --size {options.size}"
    report.write(name, command, figures)


if __name__ == "__main__":
    main()
