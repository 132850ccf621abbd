"""Train the image transformer of pocket: a FluxTransformer2DModel by flow matching on latents of stills.

x_t = (1 - sigma) x_0 + sigma noise, the network predicts noise - x_0 (rectified flow, Liu et al. 2022), sigma is
logit-normal (Esser et al. 2024). The subject is few tokens, so its tokens weigh more in the loss.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler, FluxPipeline, FluxTransformer2DModel
from torch import Tensor

from training.pocket.common import (
    POCKET,
    RUNS,
    Run,
    autocast,
    cached,
    compiled,
    export,
    parser,
    plain_attention,
    setup,
    to_pixels,
)
from training.pocket.footage import filmed, sampled
from training.pocket.oracle import judge_still
from training.pocket.scenario import Scenario, trials
from training.pocket.texts import LENGTH, Texts

HEIGHT, WIDTH = 6, 9  # tokens, each 2 x 2 latents of 8 x 8 pixels


def build(text: int = 128) -> FluxTransformer2DModel:
    return FluxTransformer2DModel(
        patch_size=1, in_channels=64, num_layers=2, num_single_layers=4, attention_head_dim=64, num_attention_heads=3,
        joint_attention_dim=text, pooled_projection_dim=text, guidance_embeds=False, axes_dims_rope=(16, 24, 24),
    )  # fmt: skip


def scheduler() -> FlowMatchEulerDiscreteScheduler:
    return FlowMatchEulerDiscreteScheduler(shift=1.5)


def pack(latents: Tensor) -> Tensor:
    """[n, 16, 12, 18] -> [n, 54, 64], FLUX's order."""
    return FluxPipeline._pack_latents(latents, len(latents), 16, 2 * HEIGHT, 2 * WIDTH)


@torch.no_grad()
def encode(vae: AutoencoderKL, seed: int, count: int, workers: int) -> dict[str, Any]:
    """`count` stills as scaled latents [n, 54, 64], how much of each token the subject covers [n, 54], and scenarios."""
    scenarios = sampled(seed, count)
    latents, covers = [], []
    for drawn in filmed(scenarios, 1, workers):
        stills = to_pixels(torch.from_numpy(drawn.frames[:, 0]).to(vae.device))
        with autocast(vae.device):
            mode = vae.encode(stills).latent_dist.mode().float()
        latents.append(pack((mode - vae.config.shift_factor) * vae.config.scaling_factor).half().cpu())
        tokens = drawn.masks.reshape(len(drawn.masks), HEIGHT, 16, WIDTH, 16).mean((2, 4), dtype=np.float32)
        covers.append(torch.from_numpy(tokens).flatten(1))
    return {"scenarios": scenarios, "latents": torch.cat(latents), "cover": torch.cat(covers)}


@cache
def places(device: torch.device) -> Tensor:
    """FLUX's row and column of every token, [54, 3]."""
    return FluxPipeline._prepare_latent_image_ids(1, HEIGHT, WIDTH, device, torch.float32)


def loss_of(model: Any, x0: Tensor, cover: Tensor, tokens: Tensor, pooled: Tensor) -> Tensor:
    """Weighted squared error of the predicted velocity."""
    sigma = torch.sigmoid(torch.randn(len(x0), device=x0.device) + 0.3)
    noise = torch.randn_like(x0)
    with autocast(x0.device):
        velocity = model(
            hidden_states=torch.lerp(x0, noise, sigma[:, None, None]), timestep=sigma, encoder_hidden_states=tokens,
            pooled_projections=pooled, img_ids=places(x0.device), txt_ids=torch.zeros(LENGTH, 3, device=x0.device),
            return_dict=False,
        )[0].float()  # fmt: skip
    error = (velocity - (noise - x0)).square().mean(-1)
    weight = 1 + 3 * cover
    return (error * weight).sum() / weight.sum()


@torch.no_grad()
def draw(
    pipe: FluxPipeline, texts: Texts, paragraphs: list[str], steps: int, guidance: float = 1.0, seed: int = 0
) -> np.ndarray:
    """Stills of paragraphs by the stock pipeline, uint8 [n, 96, 144, 3]. `guidance`: away from the empty text."""
    away, empty = {}, [""] * len(paragraphs)
    if guidance > 1:
        away = {"negative_prompt_embeds": texts.tokens(empty), "negative_pooled_prompt_embeds": texts.pooled(empty)}
    out = pipe(
        prompt_embeds=texts.tokens(paragraphs), pooled_prompt_embeds=texts.pooled(paragraphs), **away,
        true_cfg_scale=guidance, height=96, width=144, num_inference_steps=steps,
        generator=torch.Generator().manual_seed(seed), output_type="np",
    ).images  # fmt: skip
    return (out * 255).round().astype(np.uint8)


def pipeline(transformer: FluxTransformer2DModel, vae: AutoencoderKL) -> FluxPipeline:
    pipe = FluxPipeline(scheduler(), vae, None, None, None, None, transformer)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def main() -> None:
    args = parser(__doc__, "image", minutes=48, lr=0.02)
    args.add_argument("--stills", type=int, default=6000)
    args.add_argument("--wordings", type=int, default=4, help="of each still")
    args.add_argument("--batch", type=int, default=32)
    options = args.parse_args()
    device = setup(options)
    plain_attention()
    vae = AutoencoderKL.from_pretrained(POCKET / "image" / "vae", torch_dtype=torch.float32).to(device).eval()
    path, seed, workers = RUNS / options.name / "stills.pt", options.seed + 1, options.workers
    data = cached(path, lambda: encode(vae, seed, options.stills, workers), Scenario)
    run = Run(options, build().to(device))
    texts, model = Texts(options.seed + run.step, device), compiled(run.model)
    batch = Batches(data, *texts.told(data["scenarios"], options.wordings), options.batch)
    learn = run.learner(lambda: loss_of(model, *batch()))
    for _ in run.steps():
        learn()
        if run.due():
            judge(run, vae, texts)
    judge(run, vae, texts)


class Batches:
    """Draws batches from what lies on the device already: latents, covers, T5 states, CLIP's pooled output."""

    def __init__(self, data: dict[str, Any], tokens: Tensor, pooled: Tensor, size: int):
        self.latents, self.cover = (data[key].to(tokens.device) for key in ("latents", "cover"))
        self.tokens, self.pooled, self.size = tokens, pooled, size

    def __call__(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        picks, wordings = (torch.randint(most, (self.size,), device=self.tokens.device) for most in self.tokens.shape[:2])
        told = (part[picks, wordings].float() for part in (self.tokens, self.pooled))
        return (self.latents[picks].float(), self.cover[picks], *told)


def judge(run: Run, vae: AutoencoderKL, texts: Texts, count: int = 48) -> None:
    """Export, draw stills of scenarios to judge by, and log what the oracle sees in them."""
    megabytes = export(run.ema, POCKET / "image" / "transformer")
    wanted = trials(np.random.default_rng(999), count)
    stills = draw(pipeline(run.ema, vae), texts, texts.paragraphs(wanted), steps=16)
    seen = [judge_still(still) for still in stills]
    rates = {
        name: sum(getattr(s, name) == getattr(w, name) for s, w in zip(seen, wanted, strict=True)) / count
        for name in ("subject", "colour", "scene")
    }
    run.log(**rates, megabytes=megabytes)


if __name__ == "__main__":
    main()
