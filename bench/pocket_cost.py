"""What a clip by pocket costs a new user: wall seconds and peak memory of `animatic make`, each from a cold process.

    python -m bench.pocket_cost --runs 5

Prints a table and writes bench/results/pocket_cost.json.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench import report

SENTENCE = "an orange rocket takes off into the night sky"
MOST_SECONDS, MOST_BYTES = 15.0, 1.2 * 2**30


def once() -> dict[str, Any]:
    """One run in a process of its own: its seconds, its peak resident bytes, and its phases."""
    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, "-m", "animatic", "make", SENTENCE, "--preset", "pocket", "--out", out, "--quiet",
                   "--store", f"{out}/store"]  # fmt: skip
        begun = time.perf_counter()
        process = os.posix_spawn(sys.executable, command, dict(os.environ))
        _, status, usage = os.wait4(process, 0)
        seconds = time.perf_counter() - begun
        assert status == 0, f"animatic make failed with status {status}"
        record = json.loads(next(Path(out).glob("*.json")).read_text())
    phases = {name: phase["seconds"] for name, phase in record["phases"].items()}
    return {"seconds": seconds, "peak_bytes": usage.ru_maxrss * 1024, "phases": phases, "loads": record["loads"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--runs", type=int, default=5)
    runs = [once() for _ in range(parser.parse_args().runs)]
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
    report.write("pocket_cost", f"python -m bench.pocket_cost --runs {len(runs)}", figures)


if __name__ == "__main__":
    main()
