"""One cascade of random weights, made by Animatic and by stock pipelines from a cold disk: wall seconds and memory.

    python -m bench.cascade --folder /tmp/cascade

Every run is a process of its own, on files that were dropped from the page cache; it does the same prompts, seeds and
steps, and what it makes is compared bit for bit. The checkpoints have a real cascade's proportions
(`bench.checkpoints`), and steps and sizes are such that computing and loading stand to each other as on a data-centre
GPU and a disk of 3 GB/s; both ratios are printed. Prints a table and writes bench/results/cascade.json.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatch
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from animatic.budget import LIBRARIES
from animatic.options import resolve
from bench import checkpoints

RESULTS = Path(__file__).parent / "results"
PRESET = "random"
PROMPTS = (
    "a red boat", "an old train", "two white birds", "a small house", "a black cat", "rain at night", "a tall tree",
    "a blue car",
)  # fmt: skip
SYSTEM = "Describe the film in one paragraph."

REAL = {"refine": (5.35, 0.86, 6.5), "image": (11.24, 2.65, 5.0), "video": (7.21, 43.0, 93.0)}
"""Of Llama-3.1-8B, FLUX.1-dev (1024x1024, 28 steps) and CogVideoX-5B-I2V (49 frames, 50 steps with guidance), by stage:
seconds of loading from 3 GB/s, and of computing: at an H200's peak rate, and as measured elsewhere at usual rates."""

# ----------------------------------------------------------------------------------------------- what is to be compared


@dataclass(frozen=True)
class Variant:
    """One way to make the clips: a module of `bench` and its arguments."""

    key: str
    title: str
    module: str
    arguments: tuple[str, ...] = ()


SCRIPT = Variant("a", "published script", "bench.stock", ("--procedure", "script"))
MOVED = Variant("a moved", "script, copied from the map", "bench.stock",
                ("--procedure", "script", "--moved"))  # fmt: skip
RELOAD = Variant("b", "stock, reloaded per shot", "bench.stock", ("--procedure", "reload", "--moved"))
RELOAD_COLD = Variant("b cold", "the same, from the disk", "bench.stock",
                      ("--procedure", "reload-cold", "--moved"))  # fmt: skip
RESIDENT = Variant("resident", "all resident and warm", "bench.stock", ("--procedure", "resident", "--moved"))
OURS = Variant("c", "Animatic, no budget", "bench.ours", ("--preset", PRESET))
TIGHT = Variant("c tight", "Animatic, largest component", "bench.ours",
                ("--preset", PRESET, "--memory", "tight"))  # fmt: skip


def within(nbytes: int) -> Variant:
    """Animatic, in the memory that the script took."""
    return Variant("c as a", "Animatic, in the script's memory", "bench.ours",
                   ("--preset", PRESET, "--memory", str(nbytes)))  # fmt: skip


@dataclass
class Peak:
    """The most memory a process held at once, in bytes, and what it was made of at that moment."""

    total: int = 0
    anonymous: int = 0
    file: int = 0
    shared: int = 0


@dataclass
class Outcome:
    """One variant for so many shots.

    wall      seconds of the whole process; after: from when its libraries were imported
    peak      sampled every 20 ms; `own` is the same less what the process held before it began
    read      bytes it had read from the disk
    measured  shots that were really made, where the seconds of `shots` are extrapolated from fewer
    """

    variant: str
    title: str
    shots: int
    measured: int
    wall: float
    after: float
    peak: Peak
    own: int
    read: int
    bound: float = 0.0
    agrees: bool | None = None
    details: dict[str, Any] = field(default_factory=dict)


# ------------------------------------------------------------------------------------------------------------- one run


class Rig:
    """The checkpoints, the preset and the jobs; and processes that use them, with folders of their own for all else."""

    def __init__(self, folder: Path, scale: checkpoints.Scale, drop_caches: bool, threads: int) -> None:
        self.folder = folder
        self.scale = scale
        self.drop_caches = drop_caches
        self.threads = threads
        self.models = checkpoints.make(folder / "models", scale)
        system = folder / "system.txt"
        system.write_text(SYSTEM)
        self.options = resolve(scale.options, {"refine.system_prompt": str(system)})
        presets = folder / "config/animatic/presets"
        presets.mkdir(parents=True, exist_ok=True)
        chosen = {"refine.system_prompt": str(system)}
        (presets / f"{PRESET}.toml").write_text(checkpoints.preset(self.models, scale, **chosen))

    @property
    def files(self) -> list[Path]:
        return sorted((self.folder / "models").rglob("*.safetensors"))

    @property
    def nbytes(self) -> int:
        return sum(file.stat().st_size for file in self.files)

    def stage_nbytes(self, stage: str) -> int:
        return sum(file.stat().st_size for file in self.models[stage].rglob("*.safetensors"))

    def cold(self) -> str:
        """Drop the checkpoints from the page cache. Says how."""
        if self.drop_caches:
            os.sync()
            Path("/proc/sys/vm/drop_caches").write_text("3")
            # The libraries are not what is measured.
            subprocess.run([sys.executable, "-c", "import bench.stock"], check=True, env=self._environment())
            return "drop_caches, libraries then read again"
        for file in self.files:
            descriptor = os.open(file, os.O_RDONLY)
            os.fsync(descriptor)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(descriptor)
        return "posix_fadvise(DONTNEED) on all weight files"

    def disk_rate(self, threads: int = 4) -> float:
        """Bytes a second of reading all weights from the cold disk into fresh memory, `threads` at once."""
        self.cold()
        begun = time.perf_counter()
        with ThreadPoolExecutor(threads) as pool:
            read = sum(pool.map(_read, self.files))
        return read / (time.perf_counter() - begun)

    def run(self, variant: Variant, shots: int, measured: int | None = None) -> Outcome:
        count = measured or shots
        self.cold()
        with tempfile.TemporaryDirectory() as made:
            jobs, result = Path(made) / "jobs.json", Path(made) / "result.json"
            asked = [{"prompt": PROMPTS[i % len(PROMPTS)], "seed": i} for i in range(count)]
            jobs.write_text(json.dumps({"jobs": asked, "options": self.options}))
            models = ("--models", str(self.folder / "models")) if variant.module == "bench.stock" else ()
            command = [sys.executable, "-m", variant.module, *variant.arguments, *models,
                       "--jobs", str(jobs), "--result", str(result)]  # fmt: skip
            begun = time.perf_counter()
            process = subprocess.Popen(command, env=self._environment())
            with _sampled(process.pid) as peak:
                status = process.wait()
            wall = time.perf_counter() - begun
            if status:
                raise SystemExit(f"{variant.title} failed with status {status}")
            told = json.loads(result.read_text())
        after = told["done"] - told["ready"]
        own = peak.total - told["before"]["resident"]
        read = told["after"]["read_bytes"] - told["before"]["read_bytes"]
        return Outcome(variant.key, variant.title, shots, count, wall, after, peak, own, read, details=told)

    def _environment(self) -> dict[str, str]:
        own = {"XDG_CONFIG_HOME": str(self.folder / "config"), "XDG_CACHE_HOME": str(self.folder / "cache")}
        quiet = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"}
        # Threads that wait must not keep a core from those that read: on a GPU, computing takes no core either.
        threads = {"OMP_WAIT_POLICY": "PASSIVE"} | ({"OMP_NUM_THREADS": str(self.threads)} if self.threads else {})
        return dict(os.environ) | own | quiet | threads


def _read(file: Path) -> int:
    buffer = bytearray(file.stat().st_size)
    with file.open("rb", buffering=0) as source:
        at = 0
        while at < len(buffer):
            at += source.readinto(memoryview(buffer)[at : at + (8 << 20)]) or len(buffer)
    return len(buffer)


@contextmanager
def _sampled(pid: int) -> Iterator[Peak]:
    """The peak of a process while the block runs, sampled beside it."""
    peak, done = Peak(), threading.Event()

    def sample() -> None:
        while not done.wait(0.02):
            now = _resident(pid)
            if now.total > peak.total:
                peak.__dict__.update(now.__dict__)

    sampler = threading.Thread(target=sample)
    sampler.start()
    try:
        yield peak
    finally:
        done.set()
        sampler.join()


def _resident(pid: int) -> Peak:
    try:
        rows = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    except OSError:
        return Peak()
    kinds = [int(rows[name].split()[0]) * 1024 if name in rows else 0 for name in ("RssAnon", "RssFile", "RssShmem")]
    return Peak(sum(kinds), *kinds)


# ----------------------------------------------------------------------------------------------------------- the bound


def bound(loads: Mapping[str, float], compute: Mapping[str, float], shots: int) -> float:
    """Seconds that no schedule of whole components can beat: one lane loads in order, one computes stage by stage.

    loads    seconds of loading that must end before each phase, beyond what was loaded for those before it
    compute  seconds of each phase for one shot
    """
    loaded = computed = 0.0
    for phase, seconds in loads.items():
        loaded += seconds
        computed = max(computed, loaded) + shots * compute[phase]
    return computed


PARTS = {
    "refine.generate": ("refine", "."), "image.encode": ("image", "text_encoder*"),
    "image.denoise": ("image", "transformer"), "image.decode": ("image", "vae"),
    "video.encode": ("video", "text_encoder"), "video.anchor": ("video", "vae"),
    "video.denoise": ("video", "transformer"), "video.decode": ("video", "nothing"),
}  # fmt: skip
"""What must be loaded before each phase, as folders of a model; the last one's VAE is there already."""


def load_seconds(rig: Rig, rate: float) -> dict[str, float]:
    """Of what each phase needs first, at `rate` bytes a second."""
    found = {}
    for phase, (stage, part) in PARTS.items():
        model = rig.models[stage]
        files = [f for f in rig.files if f.is_relative_to(model) and fnmatch(str(f.parent.relative_to(model)), part)]
        found[phase] = sum(file.stat().st_size for file in files) / rate
    return found


def ratios(rig: Rig, rate: float, compute: Mapping[str, float]) -> dict[str, dict[str, float]]:
    """Computing over loading by stage, here and of the real cascade."""
    rows: dict[str, dict[str, float]] = {}
    for stage, (load, least, usual) in REAL.items():
        seconds = sum(s for phase, s in compute.items() if phase.startswith(f"{stage}."))
        rows[stage] = {"here": seconds / (rig.stage_nbytes(stage) / rate), "floor": least / load, "usual": usual / load}
    load, least, usual = (sum(real[i] for real in REAL.values()) for i in range(3))
    rows["all"] = {"here": sum(compute.values()) / (rig.nbytes / rate), "floor": least / load, "usual": usual / load}
    return rows


# -------------------------------------------------------------------------------------------------------------- report


def measure(rig: Rig, shots: Sequence[int], reload_shots: int) -> dict[str, Any]:
    how = rig.cold()
    rate = rig.disk_rate()
    resident = rig.run(RESIDENT, 2)
    compute: dict[str, float] = resident.details["phases"]
    print(f"{rig.nbytes / 1e9:.2f} GB of weights; the disk gives {rate / 1e9:.2f} GB/s; cold by {how}")
    # Unmeasured: digests are made and rates learnt once per machine, not per run.
    rig.run(OURS, 1)
    outcomes: list[Outcome] = []
    for count in shots:
        script, moved = rig.run(SCRIPT, count), rig.run(MOVED, count)
        few = min(count, max(2, reload_shots))
        outcomes += [script, moved, *_reloaded(rig, count, few)]
        # Tiny checkpoints take less than what Animatic sets aside for the libraries.
        as_script = within(max(LIBRARIES + (128 << 20), min(script.peak.total, moved.peak.total)))
        outcomes += [rig.run(variant, count) for variant in (OURS, as_script, TIGHT)]
    for one in outcomes:
        one.bound = bound(load_seconds(rig, rate), compute, one.shots)
        same = [o for o in outcomes if o.shots == one.shots and o.measured >= one.measured]
        one.agrees = all(o.details["digests"][: one.measured] == one.details["digests"] for o in same)
    return {
        "nbytes": rig.nbytes, "disk_rate": rate, "cold_by": how, "compute": compute,
        "ratios": ratios(rig, rate, compute), "outcomes": outcomes,
    }  # fmt: skip


def _reloaded(rig: Rig, count: int, few: int) -> list[Outcome]:
    """Stock pipelines reloaded per shot: with the page cache as it comes, and from the disk each time.

    One shot is the script itself. Of more than `few`, each is taken to cost the mean of those after the first.
    """
    made = [rig.run(variant, count, few) for variant in (RELOAD, RELOAD_COLD)] if count > 1 else []
    for one in made:
        further = one.details["each"][1:]
        more = (count - few) * sum(further) / max(1, len(further))
        one.wall += more
        one.after += more
    return made


def show(report: Mapping[str, Any]) -> None:
    for stage, row in report["ratios"].items():
        print(f"computing / loading, {stage:6} {row['here']:5.2f}   (real: {row['floor']:.2f} to {row['usual']:.2f})")
    table = Table("", "shots", "wall s", "after imports s", "bound s", "x (a)", "peak GB", "anon", "file", "own",
                  "x own (a)", "read GB", "equal")  # fmt: skip
    for one in report["outcomes"]:
        base = fastest_script(report["outcomes"], one.shots)
        lean = min(o.own for o in report["outcomes"] if o.shots == one.shots and o.variant.startswith("a"))
        star = "" if one.measured == one.shots else f" ({one.measured})"
        table.add_row(
            f"({one.variant}) {one.title}", f"{one.shots}{star}", f"{one.wall:.1f}", f"{one.after:.1f}",
            f"{one.bound:.1f}", f"{one.after / base:.2f}", *(f"{n / 1e9:.2f}" for n in (
                one.peak.total, one.peak.anonymous, one.peak.file, one.own)),
            f"{one.own / lean:.2f}", f"{one.read / 1e9:.2f}", "yes" if one.agrees else "NO",
        )  # fmt: skip
    Console(width=170).print(table)


def fastest_script(outcomes: Sequence[Outcome], shots: int) -> float:
    """The published script's seconds, in whichever of its two forms is faster."""
    return min(one.after for one in outcomes if one.shots == shots and one.variant.startswith("a"))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--folder", type=Path, help="keeps the checkpoints; default: a temporary one")
    parser.add_argument("--scale", choices=checkpoints.SCALES, default="bench")
    parser.add_argument("--shots", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--reload-shots", type=int, default=4, help="(b) is measured for so many at most")
    parser.add_argument("--drop-caches", action="store_true", help="empty the whole page cache; needs root")
    parser.add_argument("--threads", type=int, default=0, help="for computing, in every run; default: as torch chooses")
    parser.add_argument("--result", type=Path, default=RESULTS / "cascade.json")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        begun = time.perf_counter()
        rig = Rig(folder.resolve(), checkpoints.SCALES[given.scale], given.drop_caches, given.threads)
        report = measure(rig, given.shots, given.reload_shots)
    show(report)
    report |= {
        "command": " ".join(["python -m bench.cascade", "--scale", given.scale, "--shots", *map(str, given.shots)]),
        "date": datetime.date.today().isoformat(),
        "machine": f"{os.cpu_count()} cores, no GPU",
        "versions": {name: version(name) for name in ("torch", "diffusers", "transformers")},
        "seconds": time.perf_counter() - begun,
        "options": rig.options,
        "threads": given.threads or "as torch chooses",
        "real": REAL,
        "outcomes": [asdict(one) for one in report["outcomes"]],
    }
    given.result.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
