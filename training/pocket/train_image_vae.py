"""Train the image autoencoder of pocket: AutoencoderKL, 8x8 in space, 16 channels.

It learns crops around the subject, at last whole stills too, since group norm and attention make the size matter.
"""

from __future__ import annotations

import torch
from diffusers import AutoencoderKL
from torch import Tensor

from training.pocket.common import POCKET, Run, autocast, divergence, export, parser, psnr, setup, to_pixels
from training.pocket.footage import filmed, sampled
from training.pocket.pictures import Pictures

WHOLE = 0.75  # share of the time at which whole stills join


def build() -> AutoencoderKL:
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(16, 32, 64, 64), latent_channels=16, layers_per_block=1, norm_num_groups=8,
        sample_size=144, scaling_factor=1.0, shift_factor=0.0, use_quant_conv=False, use_post_quant_conv=False,
        mid_block_add_attention=False,
    )  # fmt: skip


def loss_of(model: AutoencoderKL, stills: Tensor, kl_weight: float) -> Tensor:
    """How far what comes back is off, its outlines once more, and how far the posterior is from the unit Gaussian."""
    with autocast(stills.device):
        posterior = model.encode(stills).latent_dist
        out = model.decode(posterior.sample()).sample.float()
    error = out - stills
    outline = error.diff(dim=-1).abs().mean() + error.diff(dim=-2).abs().mean()
    return error.abs().mean() + error.square().mean() + 0.25 * outline + kl_weight * divergence(posterior)


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
    args.add_argument("--clips", type=int, default=600, help="whose frames are learnt from")
    args.add_argument("--batch", type=int, default=8, help="crops; a quarter as many stills")
    options = args.parse_args()
    device = setup(options)
    run = Run(options, build().to(device), decay=0.998)
    pictures = Pictures(options.seed + 1, options.clips, options.workers, device)
    test = to_pixels(next(filmed(sampled(999, 16), 1)).frames[:, 0]).to(device)
    on_crops = run.learner(lambda: loss_of(run.model, pictures.crops(options.batch), options.kl))
    on_stills = run.learner(lambda: loss_of(run.model, pictures.whole(options.batch // 4), options.kl))
    for step in run.steps():
        (on_stills if run.progress > WHOLE and step % 2 else on_crops)()
        if run.due():
            run.log(**check(run.ema, test))
    scores = check(run.ema, test)
    scale = {"shift_factor": scores["mean"], "scaling_factor": 1 / scores["std"]}
    run.log(**scores, megabytes=export(run.ema, POCKET / "image" / "vae", **scale))


if __name__ == "__main__":
    main()
