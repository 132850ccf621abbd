"""How fast weights come from files into memory: our reader, the libraries, and the disk itself.

    python -m bench.loader --rounds 5

A diffusers transformer of random bfloat16 weights, in shards, is made for it in a temporary folder. Every way ends with
one element of each page touched, since some of them only map the files. Cold: each file's pages were dropped from the
page cache first, and the bytes that came from the disk are counted. Warm: all of it is in the page cache. The ways take
turns. Prints a table and writes bench/results/loader.json.
"""

from __future__ import annotations

import argparse
import gc
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from mmap import MAP_ANONYMOUS, MAP_PRIVATE, mmap
from pathlib import Path

import safetensors.torch
import torch
from diffusers import FluxTransformer2DModel
from diffusers.utils import logging
from rich.console import Console
from rich.table import Table

from animatic import reader, weights
from bench import report

OURS, RING = "our reader, into an arena", "our reader, through a ring"
STOCK, FILE = "from_pretrained", "safetensors load_file"
RAW, PLAIN = "pread, the same memory", "pread, small pages"
LEAST_SHARE = 0.85
"""Of the raw read, at least."""

PAGE = 4096
BLOCK, ELSEWHERE = 283_200_000, 130_000_000
"""Bytes of one block of FLUX's width in bfloat16, and of all tensors outside the blocks."""


def make(folder: Path, gib: float) -> None:
    """A transformer as wide as FLUX's, of at least `gib` GiB (and at least one block)."""
    blocks = max(1, -(-int(gib * 2**30 - ELSEWHERE) // BLOCK))
    torch.set_default_dtype(torch.bfloat16)
    with torch.device("meta"):
        model = FluxTransformer2DModel(num_layers=0, num_single_layers=blocks, guidance_embeds=True)
    torch.set_default_dtype(torch.float32)
    model = model.to_empty(device="cpu")
    with torch.no_grad():
        for tensor in model.state_dict().values():
            tensor.normal_(std=0.02)
    model.save_pretrained(folder, max_shard_size="600MB")


def shards(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.safetensors"))


def size(files: list[Path]) -> int:
    return sum(file.stat().st_size for file in files)


# ------------------------------------------------------------------------------------------------- the ways


def touch(buffers: Iterable[torch.Tensor | memoryview]) -> None:
    for buffer in buffers:
        flat = buffer.view(-1) if isinstance(buffer, torch.Tensor) else torch.frombuffer(buffer, dtype=torch.uint8)
        flat[:: PAGE // flat.element_size()].sum()


def into_an_arena(folder: Path) -> None:
    places, nbytes = reader.layout(weights.inspect(folder))
    arena = reader.Arena(nbytes)
    reader.Reader().fill(places, arena.view())
    touch([arena.view()])


def through_a_ring(folder: Path) -> None:
    for _, _, data in reader.Reader().chunks(weights.inspect(folder)):
        touch([data])


def from_pretrained(folder: Path) -> None:
    model = FluxTransformer2DModel.from_pretrained(folder, dtype=torch.bfloat16)
    touch(model.state_dict().values())


def load_file(folder: Path) -> None:
    touch(tensor for file in [safetensors.torch.load_file(file) for file in shards(folder)] for tensor in file.values())


def pread(files: list[Path], memory: memoryview) -> None:
    """Whole files one after another, with no regard to what is in them."""
    jobs, start = [], 0
    descriptors = [os.open(file, os.O_RDONLY) for file in files]
    for descriptor in descriptors:
        end = os.fstat(descriptor).st_size
        jobs += [(descriptor, at, start + at, min(reader.CHUNK, end - at)) for at in range(0, end, reader.CHUNK)]
        start += end

    def read(job: tuple[int, int, int, int]) -> None:
        descriptor, at, into, nbytes = job
        while nbytes:
            got = os.preadv(descriptor, [memory[into : into + nbytes]], at)
            at, into, nbytes = at + got, into + got, nbytes - got

    with ThreadPoolExecutor(reader.THREADS) as pool:
        list(pool.map(read, jobs))
    for descriptor in descriptors:
        os.close(descriptor)
    touch([memory])


def raw(folder: Path) -> None:
    pread(shards(folder), reader.Arena(size(shards(folder))).view())


def plain(folder: Path) -> None:
    pread(shards(folder), memoryview(mmap(-1, size(shards(folder)), flags=MAP_PRIVATE | MAP_ANONYMOUS)))


WAYS: dict[str, Callable[[Path], None]] = {
    OURS: into_an_arena, RING: through_a_ring, STOCK: from_pretrained, FILE: load_file, RAW: raw, PLAIN: plain,
}  # fmt: skip


# ------------------------------------------------------------------------------------------- cold, warm, rounds


def drop(files: list[Path]) -> None:
    """Out of the page cache; pages that were never written back, or that someone has mapped, would stay."""
    for file in files:
        with file.open("rb") as opened:
            os.fsync(opened.fileno())
            os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def from_disk() -> int:
    """Bytes that this process has had read from the disk so far."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("read_bytes")).split()[1])


def once(way: str, folder: Path, cold: bool) -> dict[str, float]:
    files = shards(folder)
    nbytes = size(files)
    gc.collect()
    if cold:
        drop(files)
    else:
        for file in files:
            with file.open("rb") as opened:
                while opened.read(reader.CHUNK):
                    pass
    before, begun = from_disk(), time.perf_counter()
    WAYS[way](folder)
    seconds, share = time.perf_counter() - begun, (from_disk() - before) / nbytes
    assert share > 0.98 if cold else share < 0.02, f"{way}: {share:.0%} came from the disk, cold: {cold}"
    return {"seconds": seconds, "from_disk": round(share, 4), "gib_per_s": nbytes / 2**30 / seconds}


def rounds(folder: Path, count: int) -> dict[str, dict[str, list[dict[str, float]]]]:
    runs: dict[str, dict[str, list[dict[str, float]]]] = {s: {way: [] for way in WAYS} for s in ("cold", "warm")}
    ways = list(WAYS)
    for way in ways:
        WAYS[way](folder)  # First calls import and compile; they are not timed.
    for number in range(count):
        for state, by_way in runs.items():
            for way in ways[number % len(ways) :] + ways[: number % len(ways)]:
                by_way[way].append(once(way, folder, state == "cold"))
    return runs


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--gib", type=float, default=1.6)
    parser.add_argument("--folder", type=Path, help="on the disk to measure; the default is the temporary folder")
    options = parser.parse_args()
    logging.disable_progress_bar()
    with tempfile.TemporaryDirectory(dir=options.folder) as made:
        make(Path(made), options.gib)
        nbytes, count = size(shards(Path(made))), len(shards(Path(made)))
        runs = rounds(Path(made), options.rounds)
    rates = {s: {w: statistics.median(r["gib_per_s"] for r in rs) for w, rs in by.items()} for s, by in runs.items()}
    shares = {s: by_way[OURS] / by_way[RAW] for s, by_way in rates.items()}
    console = Console()
    console.print(table(rates, nbytes, count))
    for state, share in shares.items():
        console.print(f"{state}: {share:.2f} of a raw read (at least {LEAST_SHARE})")
    figures = {
        "versions": {name: version(name) for name in ("torch", "diffusers", "safetensors")},
        "bytes": nbytes,
        "shards": count,
        "threads": reader.THREADS,
        "chunk": reader.CHUNK,
        "cold_by": "fsync and posix_fadvise(DONTNEED); at least 98 % came from the disk, as /proc/self/io counts",
        "median_gib_per_s": rates,
        "share_of_raw": shares,
        "runs": runs,
    }
    report.write("loader", f"python -m bench.loader --rounds {options.rounds} --gib {options.gib}", figures)


def table(rates: dict[str, dict[str, float]], nbytes: int, count: int) -> Table:
    title = f"{nbytes / 2**30:.2f} GiB of bfloat16 in {count} shards, {reader.THREADS} threads: medians"
    shown = Table("way", title=title, title_justify="left")
    for state in rates:
        shown.add_column(f"{state}, GiB/s", justify="right")
        shown.add_column("ours is", justify="right")
    for way in WAYS:
        cells = [(f"{by_way[way]:.2f}", f"{by_way[OURS] / by_way[way]:.2f}x") for by_way in rates.values()]
        shown.add_row(way, *(cell for pair in cells for cell in pair))
    return shown


if __name__ == "__main__":
    main()
