"""The clips that the video transformers learn from, as latents of the frozen video autoencoder.

    python -m training.pocket_next.clips --count 2000 --workers 2

Knows: how scenarios become latents, and where they are kept. Must not know: transformers.
Image-to-video and direct text-to-video learn from the same file, so that they can be compared.
"""

from __future__ import annotations

import argparse
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKLCogVideoX
from torch import Tensor

from training.pocket.common import POCKET, RUNS, autocast, cached, to_pixels
from training.pocket_next import world
from training.pocket_next.scenario import Scenario, sample

HEIGHT, WIDTH, FRAMES = world.HEIGHT // 8, world.WIDTH // 8, world.FRAMES  # latents
PATH = RUNS / "clips.pt"


def autoencoder() -> AutoencoderKLCogVideoX:
    """Pocket's video autoencoder, frozen, in fp32, where it will be used."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    vae = AutoencoderKLCogVideoX.from_pretrained(POCKET / "video" / "vae", torch_dtype=torch.float32)
    return vae.to(device).eval().requires_grad_(False)


def clips(count: int = 2000, seed: int = 1, workers: int = 1) -> dict[str, Any]:
    """Latents of `count` clips, from the file of the last call or encoded by `workers` processes of one thread each.

    clips    [n, 17, 16, 12, 18], scaled
    anchors  [n, 2, 16, 12, 18]: mean and deviation of the first frame encoded alone
    cover    [n, 17, 12, 18]: the share of each latent cell that the subject covers
    """
    return cached(PATH, lambda: _encoded(count, seed, workers), Scenario)


def _encoded(count: int, seed: int, workers: int) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    scenarios = [sample(rng) for _ in range(count)]
    shares = [scenarios[n::workers] for n in range(workers)]
    if workers == 1:
        return encode(scenarios)
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        parts = list(pool.map(encode, shares))
    return {
        "scenarios": [s for part in parts for s in part["scenarios"]],
        **{key: torch.cat([part[key] for part in parts]) for key in ("clips", "anchors", "cover")},
    }


@torch.no_grad()
def encode(scenarios: list[Scenario]) -> dict[str, Any]:
    """The entries of `clips` for these scenarios."""
    if not torch.cuda.is_available():
        torch.set_num_threads(1)
    vae = autoencoder()
    found: dict[str, list[Tensor]] = {"clips": [], "anchors": [], "cover": []}
    for s in scenarios:
        video = to_pixels(world.frames(s)).transpose(0, 1)[None].to(vae.device)
        with autocast(vae.device):
            moving = vae.encode(video).latent_dist.mode().transpose(1, 2)
            alone = vae.encode(video[:, :, :1]).latent_dist
        both = torch.stack([alone.mean, alone.std], 1)[:, :, :, 0]
        found["clips"].append((moving * vae.config.scaling_factor).half().cpu())
        found["anchors"].append((both * vae.config.scaling_factor).half().cpu())
        found["cover"].append(torch.from_numpy(_cover(s)).float()[None])
    return {"scenarios": scenarios, **{key: torch.cat(parts) for key, parts in found.items()}}


def _cover(s: Scenario) -> np.ndarray:
    masks = np.stack([world.mask(s, n) for n in range(world.FRAMES)])
    return masks.reshape(FRAMES, HEIGHT, 8, WIDTH, 8).mean((2, 4))


def main() -> None:
    args = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    args.add_argument("--count", type=int, default=2000)
    args.add_argument("--seed", type=int, default=1)
    args.add_argument("--workers", type=int, default=1)
    options = args.parse_args()
    kept = clips(options.count, options.seed, options.workers)
    print(f"{len(kept['scenarios'])} clips in {PATH}")


if __name__ == "__main__":
    main()
