"""The clips that the video transformers learn from, as latents of the frozen video autoencoder.

    python -m training.pocket.clips --count 1600 --workers 2

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
from training.pocket.toys import PACKAGES, Toy, toy

PATH = RUNS / "clips.pt"


def autoencoder() -> AutoencoderKLCogVideoX:
    """Pocket's video autoencoder, frozen, in fp32, where it will be used."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    vae = AutoencoderKLCogVideoX.from_pretrained(POCKET / "video" / "vae", torch_dtype=torch.float32)
    return vae.to(device).eval().requires_grad_(False)


def clips(world: Toy, count: int = 1600, seed: int = 1, workers: int = 1) -> dict[str, Any]:
    """Latents of `count` clips, from the file of the last call or encoded by `workers` processes of one thread each.

    clips    [n, t, 16, 12, 18], scaled; t latent frames
    anchors  [n, 2, 16, 12, 18]: mean and deviation of the first frame encoded alone
    cover    [n, t, 12, 18]: the share of each latent cell that the subject covers, the most while the cell lasts
    """
    return cached(PATH, lambda: _encoded(world, count, seed, workers), world.scenario.Scenario)


def _encoded(world: Toy, count: int, seed: int, workers: int) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    scenarios = [world.scenario.sample(rng) for _ in range(count)]
    if workers == 1:
        return encode(world.name, scenarios)
    shares = [scenarios[n::workers] for n in range(workers)]
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        parts = list(pool.map(encode, [world.name] * workers, shares))
    return {
        "scenarios": [s for part in parts for s in part["scenarios"]],
        **{key: torch.cat([part[key] for part in parts]) for key in ("clips", "anchors", "cover")},
    }


@torch.no_grad()
def encode(name: str, scenarios: list[Any]) -> dict[str, Any]:
    """The entries of `clips` for these scenarios of the world of that name (modules do not travel to other processes)."""
    if not torch.cuda.is_available():
        torch.set_num_threads(1)
    vae, world = autoencoder(), toy(name).world
    found: dict[str, list[Tensor]] = {"clips": [], "anchors": [], "cover": []}
    for s in scenarios:
        video = to_pixels(world.frames(s)).transpose(0, 1)[None].to(vae.device)
        with autocast(vae.device):
            moving = vae.encode(video).latent_dist.mode().transpose(1, 2)
            alone = vae.encode(video[:, :, :1]).latent_dist
        both = torch.stack([alone.mean, alone.std], 1)[:, :, :, 0]
        found["clips"].append((moving * vae.config.scaling_factor).half().cpu())
        found["anchors"].append((both * vae.config.scaling_factor).half().cpu())
        found["cover"].append(torch.from_numpy(_cover(world, s, moving.shape[1])).float()[None])
    return {"scenarios": scenarios, **{key: torch.cat(parts) for key, parts in found.items()}}


def _cover(world: Any, s: Any, latents: int) -> np.ndarray:
    masks = np.stack([world.mask(s, n) for n in range(world.FRAMES)])
    cells = masks.reshape(len(masks), masks.shape[1] // 8, 8, masks.shape[2] // 8, 8).mean((2, 4))
    first, rest = cells[:1], cells[1:].reshape(latents - 1, -1, *cells.shape[1:])
    return np.concatenate([first, rest.max(1)])


def main() -> None:
    args = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    args.add_argument("--count", type=int, default=1600)
    args.add_argument("--seed", type=int, default=1)
    args.add_argument("--workers", type=int, default=1)
    args.add_argument("--toy", choices=PACKAGES, default="pocket", help="the world to film")
    options = args.parse_args()
    kept = clips(toy(options.toy), options.count, options.seed, options.workers)
    print(f"{len(kept['scenarios'])} clips in {PATH}")


if __name__ == "__main__":
    main()
