"""A disk that is full, and one that is read-only: what a batch of pocket says, and whether it goes on afterwards.

    sudo python -m bench.faults

Mounts small file systems in memory, so it needs root on Linux. Prints a table and writes bench/results/faults.json.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench import report

LINES = "a red boat\na blue cat\na green rocket\n"
FIRST = 1_400
"""KiB: room enough for a store to begin with, and not for three shots."""


def mount(folder: Path, kibibytes: int, more: str = "") -> None:
    folder.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kibibytes}k{more}", "tmpfs", folder], check=True)


def remount(folder: Path, how: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{how}", folder], check=True)


def animatic(place: Path, *arguments: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "animatic", *arguments]
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)
    lines = done.stderr.strip().splitlines()
    return {"exit": done.returncode, "said": lines[-1] if lines else "", "traceback": "Traceback" in done.stderr}


def make(place: Path, store: Path, out: Path) -> dict[str, Any]:
    folders = ("--store", str(store), "--out", str(out))
    return animatic(place, "make", "-f", "shots.txt", "--preset", "pocket", "-q", *folders)


def artifacts(store: Path) -> dict[str, bytes]:
    """What counts: the artifacts that have a record."""
    records = store.rglob("*.about.json")
    keys = {record.name.partition(".")[0] for record in records}
    files = (path for path in (store / "artifacts").rglob("*") if path.is_file() and ".about." not in path.name)
    return {path.name: path.read_bytes() for path in files if path.name.partition(".")[0] in keys}


def full(place: Path, whole: dict[str, bytes], what: str) -> dict[str, Any]:
    """A store that fills up midway, or an output folder that is too small from the start; then it gets room."""
    small = place / f"small-{what}"
    mount(small, FIRST if what == "store" else 2_400)
    store, out = (small, place / "out-a") if what == "store" else (place / "store-b", small / "out")
    first = make(place, store, out)
    between = artifacts(store)
    sound = all(whole.get(name) == data or name.endswith(".npy") for name, data in between.items())
    gc = animatic(place, "store", "--store", str(store), "gc")
    remount(small, "size=200m")
    second = make(place, store, out)
    after = artifacts(store)
    subprocess.run(["umount", small], check=True)
    return {
        "first": first, "artifacts_kept": len(between), "kept_are_sound": sound, "gc_on_a_full_disk": gc,
        "second": second, "equal_in_the_end": after == whole,
    }  # fmt: skip


def read_only(place: Path, whole: dict[str, bytes]) -> dict[str, Any]:
    """A store that cannot be written: what is made is found, what is missing is refused at once."""
    small = place / "read-only"
    mount(small, 200_000)
    assert make(place, small, place / "out-c")["exit"] == 0
    remount(small, "ro")
    found = make(place, small, place / "out-c")
    refused = make(place, small, place / "out-d")
    remount(small, "rw")
    later = make(place, small, place / "out-d")
    equal = artifacts(small) == whole
    subprocess.run(["umount", small], check=True)
    return {"all_made": found, "missing": refused, "writable_again": later, "equal_in_the_end": equal}


def main() -> None:
    argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0]).parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "shots.txt").write_text(LINES)
        assert make(place, place / "store", place / "out")["exit"] == 0
        whole = artifacts(place / "store")
        figures = {
            "store_full": full(place, whole, "store"),
            "outputs_too_small": full(place, whole, "outputs"),
            "store_read_only": read_only(place, whole),
        }
    for name, facts in figures.items():
        print(name)
        for what, value in facts.items():
            print(f"  {what:22} {value}")
    report.write("faults", "python -m bench.faults", figures)


if __name__ == "__main__":
    main()
