"""What a denoising step and guidance are worth: pocket's quality against both, of each diffusion model alone.

    python -m bench.pocket_steps stills --count 160
    python -m bench.pocket_steps clips --count 18

Stills are drawn from true paragraphs, clips from true stills, by the stock pipelines, half of them of combinations that
no training saw, and judged by the oracle. "clear" is the mean share of a perfect sticker's fit. Prints a table and
writes bench/results/pocket_steps_stills.json (or _clips); the preset's steps and guidance are chosen from it.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL, AutoencoderKLCogVideoX, CogVideoXTransformer3DModel, FluxTransformer2DModel

from animatic.metrics import psnr
from bench import report
from training.pocket import train_image, train_video, world
from training.pocket.common import POCKET
from training.pocket.oracle import judge, judge_still
from training.pocket.scenario import Scenario, trials
from training.pocket.texts import Texts

Row = dict[str, float]
SEED = 77


def stills(wanted: list[Scenario], texts: Texts, steps: int, guidance: float) -> Row:
    """Shares of stills that show what they should, and core seconds a still."""
    vae = AutoencoderKL.from_pretrained(POCKET / "image" / "vae", torch_dtype=torch.float32)
    transformer = FluxTransformer2DModel.from_pretrained(POCKET / "image" / "transformer", torch_dtype=torch.float32)
    pipe = train_image.pipeline(transformer.eval(), vae.eval())
    texts.rng = np.random.default_rng(0)
    begun = time.process_time()
    drawn = train_image.draw(pipe, texts, texts.paragraphs(wanted), steps, guidance)
    seconds = (time.process_time() - begun) / len(wanted)
    seen = [judge_still(still) for still in drawn]
    right = {
        name: float(np.mean([getattr(one, name) == getattr(s, name) for one, s in zip(seen, wanted, strict=True)]))
        for name in ("scene", "time", "prop", "colour", "subject")
    }
    clear = float(np.mean([one.share for one in seen]))
    return {"steps": steps, "guidance": guidance, **right, "clear": clear, "core seconds": seconds}


def clips(wanted: list[Scenario], texts: Texts, steps: int, guidance: float) -> Row:
    """Shares of clips that show what they should, decibels of the first frame, and core seconds a clip."""
    vae = AutoencoderKLCogVideoX.from_pretrained(POCKET / "video" / "vae", torch_dtype=torch.float32)
    folder = POCKET / "video" / "transformer"
    transformer = CogVideoXTransformer3DModel.from_pretrained(folder, torch_dtype=torch.float32)
    pipe = train_video.pipeline(transformer.eval(), vae.eval())
    texts.rng = np.random.default_rng(0)
    scores, seconds = [], 0.0
    for n, s in enumerate(wanted):
        still, (paragraph,) = world.still(s), texts.paragraphs([s])
        begun = time.process_time()
        clip = train_video.draw(pipe, texts, paragraph, still, steps=steps, guidance=guidance, seed=n)
        seconds += time.process_time() - begun
        seen = judge(clip)
        kept = [all(seen.present), seen.movement == s.movement, seen.camera == s.camera, seen.last_colour == s.colour]
        scores.append([*kept, min(seen.shares), float(psnr(clip[0], still) or 99)])
    names = ("present", "movement", "camera", "last colour", "share", "first dB")
    means = dict(zip(names, np.mean(scores, 0).tolist(), strict=True))
    return {"steps": steps, "guidance": guidance, **means, "core seconds": seconds / len(wanted)}


TRIED = {
    "stills": (stills, (2, 4, 6, 8, 12, 16, 24), (1.5, 2.0, 3.0)),
    "clips": (clips, (4, 6, 8, 12, 16, 24), (3.0, 6.0)),
}
"""How each is measured, at which numbers of steps, and with how much guidance."""


def pairs(steps: Sequence[int], guidances: Sequence[float]) -> list[tuple[int, float]]:
    """All numbers of steps without guidance, and three from the middle with each strength of it."""
    middle = len(steps) // 2
    return [(n, 1.0) for n in steps] + [(n, g) for g in guidances for n in steps[middle - 1 : middle + 2]]


def show(title: str, rows: list[Row]) -> None:
    print(title)
    print("".join(f"{name:>12}" for name in rows[0]))
    for row in rows:
        print("".join(f"{value:>12.3g}" for value in row.values()), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("stage", choices=("stills", "clips"))
    parser.add_argument("--count", type=int, default=48)
    options = parser.parse_args()
    texts, wanted = Texts(0, torch.device("cpu")), trials(np.random.default_rng(SEED), options.count)
    measure, steps, guidances = TRIED[options.stage]
    rows = [measure(wanted, texts, *pair) for pair in pairs(steps, guidances)]
    show(f"{options.count} {options.stage}", rows)
    command = f"python -m bench.pocket_steps {options.stage} --count {options.count}"
    figures: dict[str, Any] = {"threads": torch.get_num_threads(), options.stage: rows}
    report.write(f"pocket_steps_{options.stage}", command, figures)


if __name__ == "__main__":
    main()
