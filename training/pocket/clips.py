"""The clips that the video transformers learn from, as latents of the frozen video autoencoder.

    python -m training.pocket.clips --count 1600 --workers 2

Knows: how scenarios become latents, and where they are kept. Must not know: transformers.
Image-to-video and direct text-to-video learn from the same file, so that they can be compared.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL, AutoencoderKLCogVideoX
from torch import Tensor

from training.pocket.common import POCKET, RUNS, autocast, cached, to_pixels
from training.pocket.footage import filmed, sampled
from training.pocket.scenario import Scenario

PATH = RUNS / "clips.pt"
COUNT, SEED = 1600, 1
Coder = Callable[[Tensor], tuple[Tensor, Tensor, Tensor]]
"""From clips [n, f, 3, 96, 144] to latents [n, t, 16, 12, 18], and mean and deviation of the first frame alone."""


def autoencoder() -> AutoencoderKLCogVideoX:
    """Pocket's video autoencoder, frozen, in fp32, where it will be used."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    vae = AutoencoderKLCogVideoX.from_pretrained(POCKET / "video" / "vae", torch_dtype=torch.float32)
    return vae.to(device).eval().requires_grad_(False)


def clips(count: int = COUNT, seed: int = SEED, workers: int = 1) -> dict[str, Any]:
    """Latents of `count` clips, from the file of the last call, or drawn by `workers` processes and encoded.

    clips    [n, t, 16, 12, 18], scaled; t latent frames
    anchors  [n, 2, 16, 12, 18]: mean and deviation of the first frame encoded alone
    cover    [n, t, 12, 18]: the share of each latent cell that the subject covers, the most while the cell lasts
    """
    return cached(PATH, lambda: encode(sampled(seed, count), workers), Scenario)


@torch.no_grad()
def encode(scenarios: list[Scenario], workers: int = 1) -> dict[str, Any]:
    """The entries of `clips` for these scenarios."""
    vae = autoencoder()
    code = _coder(vae)
    found: dict[str, list[Tensor]] = {"clips": [], "anchors": [], "cover": []}
    for drawn in filmed(scenarios, workers=workers):
        # A clip at a time is no slower on a CPU; a GPU takes a chunk.
        for frames in torch.from_numpy(drawn.frames).to(vae.device).split(len(drawn.frames) if vae.device.type == "cuda" else 1):
            with autocast(vae.device):
                moving, mean, deviation = (part * vae.config.scaling_factor for part in code(to_pixels(frames)))
            found["clips"].append(moving.half().cpu())
            found["anchors"].append(torch.stack([mean, deviation], 1).half().cpu())
        found["cover"].append(torch.from_numpy(_cover(drawn.masks, found["clips"][-1].shape[1])))
    return {"scenarios": scenarios, **{key: torch.cat(parts) for key, parts in found.items()}}


def _coder(vae: AutoencoderKLCogVideoX) -> Coder:
    """By the image autoencoder that the video autoencoder is: half the time, and each frame exactly as a still.

    The video autoencoder's norms take in neighbouring frames, which moves latents by less than a hundredth of their spread.
    """
    flat = AutoencoderKL.from_pretrained(POCKET / "image" / "vae", torch_dtype=torch.float32).to(vae.device).eval()

    def code(frames: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        posterior = flat.encode(frames.flatten(0, 1)).latent_dist
        means, deviations = (part.unflatten(0, frames.shape[:2]) for part in (posterior.mean, posterior.std))
        return means, means[:, 0], deviations[:, 0]

    return code


def _cover(masks: np.ndarray, latents: int) -> np.ndarray:
    """float32 [n, t, 12, 18] of masks [n, f, 96, 144]."""
    count, frames, height, width = masks.shape
    cells = masks.reshape(count, frames, height // 8, 8, width // 8, 8).mean((3, 5), dtype=np.float32)
    first, rest = cells[:, :1], cells[:, 1:].reshape(count, latents - 1, -1, *cells.shape[2:])
    return np.concatenate([first, rest.max(2)], 1)


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
