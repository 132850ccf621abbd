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

from training.pocket.common import POCKET, export, psnr, to_pixels
from training.pocket.train_video_vae import build, inflate
from training.pocket_next import world
from training.pocket_next.scenario import sample


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
    model = build(frames_a_latent=1)
    inflate(AutoencoderKL.from_pretrained(POCKET / "image" / "vae", torch_dtype=torch.float32), model)
    found = check(model.eval())
    print(found, export(model, POCKET / "video" / "vae", scaling_factor=1 / found["std"]), "MB")


if __name__ == "__main__":
    main()
