"""Make the video autoencoder of pocket from the image autoencoder: AutoencoderKLCogVideoX, a latent frame a frame.

Every 2D kernel becomes the last tap in time of a 3D one, so each frame is coded as the image autoencoder codes it; there
is nothing to train. CogVideoX puts four frames into one latent, which so small a network did not learn in an hour on one
core: subjects that move came back as the mean of the four (13 dB of the subject, against 25 when it stands still). So
pocket's transformer takes two latent frames a token instead, as that of CogVideoX 1.5.
"""

from __future__ import annotations

import numpy as np
import torch
from diffusers import AutoencoderKL, AutoencoderKLCogVideoX

from training.pocket import world
from training.pocket.common import POCKET, export, psnr, to_pixels
from training.pocket.scenario import sample


def build() -> AutoencoderKLCogVideoX:
    return AutoencoderKLCogVideoX(
        block_out_channels=(16, 32, 64, 64), latent_channels=16, layers_per_block=1, norm_num_groups=8,
        sample_height=96, sample_width=144, scaling_factor=1.0, temporal_compression_ratio=1,
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


@torch.no_grad()
def check(model: AutoencoderKLCogVideoX, count: int = 12) -> dict[str, float]:
    """PSNR of whole clips and of the subject in them by the posterior mean, and the latents' spread."""
    model = model.to("cuda" if torch.cuda.is_available() else "cpu")
    rng, scores = np.random.default_rng(999), list[tuple[float, float, float]]()
    for s in (sample(rng) for _ in range(count)):
        clip = to_pixels(world.frames(s)).transpose(0, 1)[None].to(model.device)
        latents = model.encode(clip).latent_dist.mode()
        out = model.decode(latents).sample
        covered = torch.from_numpy(np.stack([world.mask(s, n) for n in range(world.FRAMES)]))
        scores.append((psnr(out, clip), psnr(out[0, :, covered], clip[0, :, covered]), float(latents.std())))
    return dict(zip(("clip", "subject", "std"), np.mean(scores, 0).round(3).tolist(), strict=True))


def main() -> None:
    model = build()
    inflate(AutoencoderKL.from_pretrained(POCKET / "image" / "vae", torch_dtype=torch.float32), model)
    found = check(model.eval())
    print(found, export(model, POCKET / "video" / "vae", scaling_factor=1 / found["std"]), "MB")


if __name__ == "__main__":
    main()
