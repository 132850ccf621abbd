"""Train the video autoencoder of pocket: AutoencoderKLCogVideoX, 8x8 in space, 4x in time, 16 channels.

It starts as the image autoencoder: every 2D kernel becomes the last tap in time of a 3D one, so that stills are
already right and motion is what is left to learn. Then crops of clips around the subject, at last whole clips, since
group norm makes the picture's size matter.
"""

from __future__ import annotations

import torch
from diffusers import AutoencoderKL, AutoencoderKLCogVideoX
from torch import Tensor

from training.pocket.common import POCKET, Run, autocast, divergence, export, parser, psnr, setup, to_pixels
from training.pocket.data import Pool
from training.pocket.toys import toy

WHOLE = 0.8  # share of the time at which whole clips join
CROPS = ((2, 9, 48), (1, 9, 64), (8, 1, 48))  # count, frames, side
CROP_ODDS = torch.tensor((0.55, 0.3, 0.15))


def build(frames_a_latent: int = 4) -> AutoencoderKLCogVideoX:
    return AutoencoderKLCogVideoX(
        block_out_channels=(16, 32, 64, 64), latent_channels=16, layers_per_block=1, norm_num_groups=8,
        sample_height=96, sample_width=144, scaling_factor=1.0, temporal_compression_ratio=frames_a_latent,
    )  # fmt: skip


@torch.no_grad()
def inflate(image: AutoencoderKL, video: AutoencoderKLCogVideoX) -> None:
    """Give `video` the weights of `image`: on one frame both then compute the same."""
    flat = {key.replace("conv_norm_out", "norm_out"): value for key, value in image.state_dict().items()}
    for key, parameter in video.state_dict().items():
        plain = key if "samplers." in key else key.replace(".conv.", ".")
        source = flat.get(plain.replace(".norm_layer.", "."))
        if ".conv_y." in key or ".conv_b." in key:  # the spatial norm starts as a plain one
            parameter.fill_(float(".conv_y.conv.bias" in key))
        elif parameter.ndim == 5:
            parameter.zero_()[:, :, -1] = source
        else:
            parameter.copy_(source)


def edges(video: Tensor) -> Tensor:
    """Differences between neighbours in space and time, flattened: what makes outlines sharp and motion smooth."""
    parts = [video.diff(dim=-1), video.diff(dim=-2)] + ([video.diff(dim=2)] if video.shape[2] > 1 else [])
    return torch.cat([part.flatten() for part in parts])


def draw(pool: Pool, progress: float) -> Tensor:
    if progress > WHOLE and torch.rand(()) < 0.6:
        return pool.whole(1) if torch.rand(()) < 0.7 else pool.whole(2, 1)
    count, frames, side = CROPS[int(torch.multinomial(CROP_ODDS, 1))]
    return pool.crops(count, frames, side)


def loss_of(
    model: AutoencoderKLCogVideoX, video: Tensor, kl_weight: float, noise: float = 0.0
) -> tuple[Tensor, Tensor, Tensor]:
    """Loss, squared error and mean KL per latent element of one batch; `noise` on the latents, in their own units."""
    with autocast(video.device):
        posterior = model.encode(video).latent_dist
        latents = posterior.sample()
        out = model.decode(latents + noise * torch.rand(()) * torch.randn_like(latents)).sample.float()
    error = out - video
    kl = divergence(posterior)
    loss = error.abs().mean() + error.square().mean() + 0.5 * edges(error).abs().mean() + kl_weight * kl
    return loss, error.detach().square().mean(), kl.detach()


@torch.no_grad()
def check(model: AutoencoderKLCogVideoX, pool: Pool) -> dict[str, float]:
    """PSNR of whole clips and whole stills by the posterior mean, and the latents' spread."""
    scores: dict[str, list[float]] = {"clip": [], "still": [], "std": []}
    for clip, _ in pool.clips:
        video = to_pixels(clip).transpose(0, 1)[None].to(model.device)
        with autocast(video.device):
            latents = model.encode(video).latent_dist.mode()
            scores["clip"].append(psnr(model.decode(latents).sample, video))
            still = video[:, :, :1]
            scores["still"].append(psnr(model.decode(model.encode(still).latent_dist.mode()).sample, still))
        scores["std"].append(float(latents.float().std()))
    return {key: round(sum(values) / len(values), 3) for key, values in scores.items()}


def main() -> None:
    args = parser(__doc__, "video_vae", minutes=24, lr=0.002)
    args.add_argument("--kl", type=float, default=5e-4)
    args.add_argument("--decoder-only", action="store_true", help="freeze the encoder, so that latents can be kept")
    args.add_argument("--noise", type=float, default=0.0, help="latent noise, in deviations: what a transformer errs by")
    options = args.parse_args()
    device = setup(options)
    model = build()
    inflate(AutoencoderKL.from_pretrained(POCKET / "image" / "vae", torch_dtype=torch.float32), model)
    run = Run(options, model.to(device), decay=0.998)
    world = toy(options.toy).world
    pool, test = Pool(options.seed + 1 + run.step, world), Pool(999, world, 12, 0)
    if options.decoder_only:
        freeze(run, test)
    for step in run.steps():
        noise = options.noise / run.extra.get("scale", 1.0)
        loss, error, kl = loss_of(run.model, draw(pool, run.progress).to(device), options.kl, noise)
        run.update(loss, db=4.34294 * torch.log(4 / error), kl=kl)
        if step % 400 == 399:
            save(run, test)
    save(run, test)


def freeze(run: Run, test: Pool) -> None:
    """Fix the encoder as averaged so far, and the latents' scale with it."""
    if "scale" not in run.extra:
        run.model.load_state_dict(run.ema.state_dict())
        run.extra["scale"] = 1 / check(run.ema, test)["std"]
        save(run, test)
    run.model.encoder.requires_grad_(False)


def save(run: Run, test: Pool) -> None:
    """Measure and export."""
    scores = check(run.ema, test)
    scale = run.extra.get("scale", 1 / scores["std"])
    run.log(**scores, megabytes=export(run.ema, POCKET / "video" / "vae", scaling_factor=scale))


if __name__ == "__main__":
    main()
