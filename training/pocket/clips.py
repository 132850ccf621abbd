"""The clips that the video transformers learn from, as latents of the frozen video autoencoder.

    python -m training.pocket.clips --count 1600 --workers 2

Knows: how scenarios become latents, and where they are kept. Must not know: transformers.
Image-to-video and direct text-to-video learn from the same file, so that they can be compared.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL, AutoencoderKLCogVideoX
from torch import Tensor

from training.pocket.common import POCKET, RUNS, autocast, cached, to_pixels
from training.pocket.footage import CHUNK, filmed, sampled
from training.pocket.scenario import Scenario

PATH = RUNS / "clips.pt"
COUNT, SEED = 1600, 1


def autoencoder() -> AutoencoderKLCogVideoX:
    """Pocket's video autoencoder, frozen, in fp32, where it will be used."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    vae = AutoencoderKLCogVideoX.from_pretrained(POCKET / "video" / "vae", torch_dtype=torch.float32)
    return vae.to(device).eval().requires_grad_(False)


def clips(count: int = COUNT, seed: int = SEED, workers: int = 1) -> dict[str, Any]:
    """Latents of `count` clips, from the file of the last call, or drawn by `workers` processes and encoded.

    clips    [n, t, 16, 12, 18], scaled; t frames
    anchors  [n, 2, 16, 12, 18]: mean and deviation of the first frame encoded alone
    cover    [n, t, 12, 18]: the share of each latent cell that the subject covers
    """
    return cached(PATH, lambda: encode(sampled(seed, count), workers), Scenario)


@torch.no_grad()
def encode(scenarios: list[Scenario], workers: int = 1) -> dict[str, Any]:
    """The entries of `clips` for these scenarios, coded by the image autoencoder that the video autoencoder is.

    That takes half the time and codes each frame exactly as a still; the video autoencoder's norms take in neighbouring
    frames, which moves latents by less than a hundredth of their spread.
    """
    scale = autoencoder().config.scaling_factor
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    flat = AutoencoderKL.from_pretrained(POCKET / "image" / "vae", torch_dtype=torch.float32).to(device).eval()
    at_once = CHUNK if device.type == "cuda" else 1  # one by one is no slower on a CPU
    found: dict[str, list[Tensor]] = {"clips": [], "anchors": [], "cover": []}
    for drawn in filmed(scenarios, workers=workers):
        for frames in torch.from_numpy(drawn.frames).split(at_once):
            with autocast(device):
                posterior = flat.encode(to_pixels(frames.to(device)).flatten(0, 1)).latent_dist
            kinds = (posterior.mean, posterior.std)
            mean, deviation = ((part * scale).half().cpu().unflatten(0, frames.shape[:2]) for part in kinds)
            found["clips"].append(mean)
            found["anchors"].append(torch.stack([mean[:, 0], deviation[:, 0]], 1))
        found["cover"].append(_cover(drawn.masks))
    return {"scenarios": scenarios, **{key: torch.cat(parts) for key, parts in found.items()}}


def _cover(masks: np.ndarray) -> Tensor:
    """float [n, t, 12, 18] of masks [n, t, 96, 144]."""
    count, frames, height, width = masks.shape
    cells = masks.reshape(count, frames, height // 8, 8, width // 8, 8)
    return torch.from_numpy(cells.mean((3, 5), dtype=np.float32))


def main() -> None:
    args = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    args.add_argument("--count", type=int, default=COUNT)
    args.add_argument("--seed", type=int, default=SEED)
    args.add_argument("--workers", type=int, default=1)
    options = args.parse_args()
    kept = clips(options.count, options.seed, options.workers)
    print(f"{len(kept['scenarios'])} clips in {PATH}")


if __name__ == "__main__":
    main()
