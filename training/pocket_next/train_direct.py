"""Train a direct text-to-video transformer, the rival of the cascade in cascade_claim.py; it is not shipped.

A CogVideoXTransformer3DModel on the same clips, texts, autoencoder, objective and optimiser as train_video.py, but with
nothing to begin from than the text, and with as many parameters as the image and the video transformer together. Give it
the minutes of both.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKLCogVideoX, CogVideoXPipeline, CogVideoXTransformer3DModel

from training.pocket.common import RUNS, Run, compiled, export, parser, plain_attention, setup
from training.pocket_next.clips import autoencoder, clips
from training.pocket_next.scenario import sample
from training.pocket_next.texts import Texts
from training.pocket_next.train_video import Objective, build, picked, scheduler

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
    args = parser(__doc__, "direct", minutes=83, lr=0.02)
    args.add_argument("--batch", type=int, default=8)
    options = args.parse_args()
    device = setup(options)
    plain_attention()
    data, vae = clips(), autoencoder()
    run = Run(options, rival().to(device))
    model, texts, objective = compiled(run.model), Texts(options.seed + run.step, device), Objective(device)
    for step in run.steps():
        x0, _, cover, tokens = picked(data, texts, options.batch)
        run.update(objective(model, x0, None, cover, tokens))
        if step % 1500 == 1499:
            judge(run, vae, texts)
    judge(run, vae, texts, 16)


def judge(run: Run, vae: AutoencoderKLCogVideoX, texts: Texts, count: int = 6) -> None:
    """Export, draw clips of paragraphs, half of them of pairs never trained together, and log what the oracle sees."""
    from training.pocket_next import oracle

    megabytes = export(run.ema, FOLDER)
    rng, pipe, scores = np.random.default_rng(999), pipeline(run.ema, vae), list[Any]()
    names = ("subject", "colour", "scene", "movement")
    for n in range(count):
        wanted = sample(rng, held_out=n % 2 == 1)
        seen = oracle.judge(draw(pipe, texts, texts.paragraphs([wanted])[0], steps=16, guidance=3.0, seed=n))
        scores.append([*(getattr(seen, name) == getattr(wanted, name) for name in names), all(seen.present)])
    run.log(**dict(zip((*names, "present"), np.mean(scores, 0).round(3).tolist(), strict=True)), megabytes=megabytes)


if __name__ == "__main__":
    main()
