"""Train the image autoencoder of pocket: AutoencoderKL, 8x8 in space, 16 channels.

It learns crops around the subject, at last whole stills too, since group norm and attention make the size matter.
"""

from __future__ import annotations

import torch
from diffusers import AutoencoderKL
from torch import Tensor

from training.pocket.common import POCKET, Run, autocast, divergence, export, parser, psnr, setup
from training.pocket.data import Pool
from training.pocket.toys import toy

WHOLE = 0.75  # share of the time at which whole stills join


def build() -> AutoencoderKL:
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(16, 32, 64, 64), latent_channels=16, layers_per_block=1, norm_num_groups=8,
        sample_size=144, scaling_factor=1.0, shift_factor=0.0, use_quant_conv=False, use_post_quant_conv=False,
        mid_block_add_attention=False,
    )  # fmt: skip


def loss_of(model: AutoencoderKL, stills: Tensor, kl_weight: float) -> tuple[Tensor, Tensor, Tensor]:
    """Loss, squared error and mean KL per latent element of one batch."""
    with autocast(stills.device):
        posterior = model.encode(stills).latent_dist
        out = model.decode(posterior.sample()).sample.float()
    error = out - stills
    kl = divergence(posterior)
    outline = error.diff(dim=-1).abs().mean() + error.diff(dim=-2).abs().mean()
    loss = error.abs().mean() + error.square().mean() + 0.25 * outline + kl_weight * kl
    return loss, error.detach().square().mean(), kl.detach()


@torch.no_grad()
def check(model: AutoencoderKL, stills: Tensor) -> dict[str, float]:
    """PSNR of whole stills by the posterior mean, and the latents' mean and spread."""
    with autocast(stills.device):
        latents = model.encode(stills).latent_dist.mode()
        out = model.decode(latents).sample
    latents = latents.float()
    return {"still": round(psnr(out, stills), 3), "mean": float(latents.mean()), "std": float(latents.std())}


def main() -> None:
    args = parser(__doc__, "image_vae", minutes=18, lr=0.02)
    args.add_argument("--kl", type=float, default=5e-4)
    options = args.parse_args()
    device = setup(options)
    run = Run(options, build().to(device), decay=0.998)
    world = toy(options.toy).world
    pool = Pool(options.seed + 1 + run.step, world)
    test = Pool(999, world, 16, 0).whole(16, 1)[:, :, 0].to(device)
    for step in run.steps():
        stills = pool.whole(2, 1) if run.progress > WHOLE and step % 2 else pool.crops(8, 1, 48)
        loss, error, kl = loss_of(run.model, stills[:, :, 0].to(device), options.kl)
        run.update(loss, db=4.34294 * torch.log(4 / error), kl=kl)
        if step % 400 == 399:
            run.log(**check(run.ema, test))
    scores = check(run.ema, test)
    scale = {"shift_factor": scores["mean"], "scaling_factor": 1 / scores["std"]}
    run.log(**scores, megabytes=export(run.ema, POCKET / "image" / "vae", **scale))


if __name__ == "__main__":
    main()
