"""Train a direct text-to-video transformer, the rival of the cascade in cascade_claim.py; it is not shipped.

A CogVideoXTransformer3DModel on the same clips, texts, autoencoder, objective and optimiser as train_video.py, but with
nothing to begin from but the text, and with as many parameters as the image and the video transformer together. Give it
the minutes of both.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKLCogVideoX, CogVideoXPipeline, CogVideoXTransformer3DModel

from training.pocket.common import RUNS, Run, export, parser
from training.pocket.oracle import judge as judge_clip
from training.pocket.scenario import trials
from training.pocket.texts import Texts
from training.pocket.train_video import build, scheduler, train

FOLDER = RUNS / "direct" / "transformer"


def rival() -> CogVideoXTransformer3DModel:
    return build(heads=4, layers=8, channels=16)


def pipeline(transformer: CogVideoXTransformer3DModel, vae: AutoencoderKLCogVideoX) -> CogVideoXPipeline:
    pipe = CogVideoXPipeline(None, None, vae, transformer, scheduler())
    pipe.set_progress_bar_config(disable=True)
    return pipe


@torch.no_grad()
def draw(pipe: CogVideoXPipeline, texts: Texts, text: str, steps: int, guidance: float, seed: int = 0) -> np.ndarray:
    """One clip by the stock pipeline, uint8 [17, 96, 144, 3]."""
    out = pipe(
        prompt_embeds=texts.tokens([text]), negative_prompt_embeds=texts.tokens([""]), height=96, width=144, num_frames=17,
        num_inference_steps=steps, guidance_scale=guidance, generator=torch.Generator().manual_seed(seed), output_type="np",
    ).frames[0]  # fmt: skip
    return (out * 255).round().astype(np.uint8)


def main() -> None:
    train(parser(__doc__, "direct", minutes=380, lr=0.02), rival, judge)


def judge(run: Run, vae: AutoencoderKLCogVideoX, texts: Texts, count: int) -> None:
    """Export, draw clips of paragraphs of scenarios to judge by, and log what the oracle sees in them."""
    megabytes = export(run.ema, FOLDER)
    pipe, scores = pipeline(run.ema, vae), list[Any]()
    names = ("subject", "colour", "scene", "movement")
    for n, wanted in enumerate(trials(np.random.default_rng(999), count)):
        seen = judge_clip(draw(pipe, texts, texts.paragraphs([wanted])[0], steps=16, guidance=3.0, seed=n))
        scores.append([*(getattr(seen, name) == getattr(wanted, name) for name in names), all(seen.present)])
    run.log(**dict(zip((*names, "present"), np.mean(scores, 0).round(3).tolist(), strict=True)), megabytes=megabytes)


if __name__ == "__main__":
    main()
