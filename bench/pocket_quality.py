"""How well pocket shows what it is asked for: seeded prompts through the whole cascade, judged by the oracle.

    python -m bench.pocket_quality --prompts 100

Prints a table and writes bench/results/pocket_quality.json. What is wanted of a clip is what its sentence states; what
the sentence leaves open is taken from the caption, since the chat model was free to invent it.
"""

from __future__ import annotations

import argparse
import datetime
import json
import math
import os
import platform
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from animatic import api, media
from animatic.core import Clip
from training.pocket.oracle import judge, judge_still
from training.pocket.text import prompt, told

RESULTS = Path(__file__).parent / "results"
GATES = {
    "caption valid": 0.95,
    "caption keeps every attribute": 0.95,
    "still: scene": 0.90,
    "still: colour": 0.75,
    "still: subject": 0.60,
    "clip: present in every frame": 0.80,
    "clip: movement": 0.70,
}
LEAST_DB = 20.0
CLEAR = 0.35


@dataclass(frozen=True)
class Asked:
    """A sentence and the attributes it states."""

    sentence: str
    stated: dict[str, str]


def asked(count: int, seed: int, held_out: bool) -> Iterator[Asked]:
    rng = np.random.default_rng(seed)
    for _ in range(count):
        sentence, scenario, stated = prompt(rng, held_out)
        yield Asked(sentence, {name: getattr(scenario, name) for name in sorted(stated)})


def score(one: Asked, clip: Clip) -> dict[str, Any]:
    """What the clip shows against what was wanted; every entry is a bool, but the decibels."""
    frames, still = media.frames_of(clip.path), media.read_image(clip.still)
    saying = told(clip.caption)
    wanted = {**saying, **one.stated}
    seen, drawn = judge(frames), judge_still(still)
    words = clip.record["options"]["refine.words"]
    return {
        "caption valid": clip.record["refine"]["source"] == "model" and clip.record["refine"]["words"] <= words,
        "caption keeps every attribute": all(saying.get(name) == value for name, value in one.stated.items()),
        "still: scene": drawn.scene == wanted.get("scene"),
        "still: colour": drawn.colour == wanted.get("colour"),
        "still: subject": drawn.subject == wanted.get("subject"),
        "clip: present in every frame": all(seen.present),
        "clip: movement": seen.movement == wanted.get("movement"),
        "first frame dB": psnr(frames[0], still),
        "least share": min(seen.shares),
        "wanted": wanted,
        "seen": {"subject": seen.subject, "colour": seen.colour, "scene": seen.scene, "movement": seen.movement},
    }


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    """Decibels between two pictures of 8 bits."""
    error = np.mean((a.astype(np.float64) - b.astype(np.float64)) ** 2)
    return 10 * math.log10(255**2 / max(error, 1e-9))


def wilson(hits: int, count: int, z: float = 1.96) -> tuple[float, float]:
    """The 95 % interval of a share (E. B. Wilson, JASA 22, 1927)."""
    share, square = hits / count, z * z
    centre = (share + square / (2 * count)) / (1 + square / count)
    half = z / (1 + square / count) * math.sqrt(share * (1 - share) / count + square / (4 * count * count))
    return centre - half, centre + half


def summary(scores: Sequence[dict[str, Any]]) -> dict[str, Any]:
    table: dict[str, Any] = {}
    for name, gate in GATES.items():
        hits = sum(bool(one[name]) for one in scores)
        low, high = wilson(hits, len(scores))
        table[name] = {"share": hits / len(scores), "low": low, "high": high, "gate": gate}
    clear = sum(one["least share"] > CLEAR for one in scores)
    table["clip: clear in every frame"] = {"share": clear / len(scores), "gate": None}
    decibels = [one["first frame dB"] for one in scores]
    low, median = float(np.percentile(decibels, 10)), float(np.median(decibels))
    table["first frame dB"] = {"median": median, "tenth percentile": low, "gate": LEAST_DB}
    return table


def show(table: dict[str, Any]) -> None:
    for name, row in table.items():
        if "share" in row and row["gate"] is None:
            print(f"{name:32} {row['share']:>6.0%}   (no gate: a sticker's fit above {CLEAR} of a clean render's)")
        elif "share" in row:
            verdict = "met" if row["share"] >= row["gate"] else "SHORT"
            interval = f"{row['low']:.0%} to {row['high']:.0%}"
            print(f"{name:32} {row['share']:>6.0%}   ({interval:>13})   gate {row['gate']:.0%}   {verdict}")
        else:
            verdict = "met" if row["median"] >= row["gate"] else "SHORT"
            tenth = f"tenth percentile {row['tenth percentile']:.1f}"
            print(f"{name:32} {row['median']:>6.1f}   ({tenth})   gate {row['gate']:.0f}   {verdict}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--prompts", type=int, default=100)
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--held-out", action="store_true", help="wordings that no training saw")
    parser.add_argument("--out", type=Path, help="keep the clips here")
    options = parser.parse_args()
    questions = list(asked(options.prompts, options.seed, options.held_out))
    out = options.out or Path(tempfile.mkdtemp(prefix="pocket-quality-"))
    begun = time.monotonic()
    wishes = [api.Wish(one.sentence, preset="pocket", seed=seed) for seed, one in enumerate(questions)]
    clips = {
        clip.record["seed"]: clip for clip in api.run(api.prepare(wishes), out, out / "store") if isinstance(clip, Clip)
    }
    seconds = time.monotonic() - begun
    scores = [score(one, clips[seed]) for seed, one in enumerate(questions)]
    table = summary(scores)
    show(table)
    print(f"{len(scores)} clips in {seconds:.0f} s")
    report = {
        "command": f"python -m bench.pocket_quality --prompts {options.prompts} --seed {options.seed}"
        + (" --held-out" if options.held_out else ""),
        "date": datetime.date.today().isoformat(),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, no GPU",
        "seconds": round(seconds, 1),
        "table": table,
        "prompts": [
            {"sentence": one.sentence, "caption": clips[i].caption, **scores[i]} for i, one in enumerate(questions)
        ],
    }
    name = "pocket_quality_held_out.json" if options.held_out else "pocket_quality.json"
    (RESULTS / name).write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
