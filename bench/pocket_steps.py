"""What a denoising step is worth: pocket's quality against the number of steps, of each diffusion model alone.

    python -m bench.pocket_steps --stills 96 --clips 24

Stills are drawn from true paragraphs, clips from true stills, by the stock pipelines, half of them of combinations that
no training saw, and judged by the oracle. "clear" is the mean share of a perfect sticker's fit. Prints two tables and
writes bench/results/pocket_steps.json; the preset's numbers of steps are chosen from it.
"""

from __future__ import annotations

import argparse
import time
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


def stills(wanted: list[Scenario], texts: Texts, steps: int) -> Row:
    """Shares of stills that show what they should, and seconds a still."""
    vae = AutoencoderKL.from_pretrained(POCKET / "image" / "vae", torch_dtype=torch.float32)
    transformer = FluxTransformer2DModel.from_pretrained(POCKET / "image" / "transformer", torch_dtype=torch.float32)
    pipe = train_image.pipeline(transformer.eval(), vae.eval())
    texts.rng = np.random.default_rng(0)
    begun = time.monotonic()
    drawn = train_image.draw(pipe, texts, texts.paragraphs(wanted), steps=steps)
    seconds = (time.monotonic() - begun) / len(wanted)
    seen = [judge_still(still) for still in drawn]
    right = {
        name: float(np.mean([getattr(one, name) == getattr(s, name) for one, s in zip(seen, wanted, strict=True)]))
        for name in ("scene", "time", "prop", "colour", "subject")
    }
    return {"steps": steps, **right, "clear": float(np.mean([one.share for one in seen])), "seconds": seconds}


def clips(wanted: list[Scenario], texts: Texts, steps: int, guidance: float) -> Row:
    """Shares of clips that show what they should, decibels of the first frame, and seconds a clip."""
    vae = AutoencoderKLCogVideoX.from_pretrained(POCKET / "video" / "vae", torch_dtype=torch.float32)
    folder = POCKET / "video" / "transformer"
    transformer = CogVideoXTransformer3DModel.from_pretrained(folder, torch_dtype=torch.float32)
    pipe = train_video.pipeline(transformer.eval(), vae.eval())
    texts.rng = np.random.default_rng(0)
    scores, seconds = [], 0.0
    for n, s in enumerate(wanted):
        still, (paragraph,) = world.still(s), texts.paragraphs([s])
        begun = time.monotonic()
        clip = train_video.draw(pipe, texts, paragraph, still, steps=steps, guidance=guidance, seed=n)
        seconds += time.monotonic() - begun
        seen = judge(clip)
        kept = [all(seen.present), seen.movement == s.movement, seen.camera == s.camera, seen.last_colour == s.colour]
        scores.append([*kept, min(seen.shares), float(psnr(clip[0], still) or 99)])
    names = ("present", "movement", "camera", "last colour", "share", "first dB")
    means = dict(zip(names, np.mean(scores, 0).tolist(), strict=True))
    return {"steps": steps, "guidance": guidance, **means, "seconds": seconds / len(wanted)}


def show(title: str, rows: list[Row]) -> None:
    print(title)
    print("".join(f"{name:>12}" for name in rows[0]))
    for row in rows:
        print("".join(f"{value:>12.3g}" for value in row.values()), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--stills", type=int, default=96)
    parser.add_argument("--clips", type=int, default=24)
    parser.add_argument("--still-steps", type=int, nargs="*", default=[2, 4, 6, 8, 12, 16, 20, 28])
    parser.add_argument("--clip-steps", type=int, nargs="*", default=[4, 6, 8, 12, 16, 24])
    parser.add_argument("--guidances", type=float, nargs="*", default=[1.0, 3.0, 6.0], help="the first for all steps")
    options = parser.parse_args()
    texts = Texts(0, torch.device("cpu"))
    wanted = trials(np.random.default_rng(SEED), options.stills)
    drawn = [stills(wanted, texts, steps) for steps in options.still_steps]
    show(f"{options.stills} stills", drawn)
    wanted = trials(np.random.default_rng(SEED), options.clips)
    first, *others = options.guidances
    middle = options.clip_steps[len(options.clip_steps) // 2]
    pairs = [(steps, first) for steps in options.clip_steps] + [(middle, guidance) for guidance in others]
    filmed = [clips(wanted, texts, steps, guidance) for steps, guidance in pairs]
    show(f"{options.clips} clips", filmed)
    command = f"python -m bench.pocket_steps --stills {options.stills} --clips {options.clips}"
    figures: dict[str, Any] = {"threads": torch.get_num_threads(), "stills": drawn, "clips": filmed}
    report.write("pocket_steps", command, figures)


if __name__ == "__main__":
    main()
