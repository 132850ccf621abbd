"""Fit the live previews of pocket: the linear map from scaled latents to colours, by least squares.

Writes preview.json next to the models: factors [16][3] and bias [3], colours in [0, 1].
"""

from __future__ import annotations

import argparse

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL, AutoencoderKLCogVideoX
from torch import Tensor

from training.pocket import world
from training.pocket.common import POCKET, to_pixels, write_json
from training.pocket.scenario import sample


def fit(latents: Tensor, colours: Tensor) -> dict[str, list[list[float]] | list[float]]:
    """Least squares from latents [n, 16] to colours [n, 3]."""
    rows = torch.cat([latents, torch.ones(len(latents), 1)], 1)
    solution = torch.linalg.lstsq(rows, colours).solution
    return {"factors": [[round(v, 4) for v in row] for row in solution[:-1].tolist()], "bias": [round(v, 4) for v in solution[-1].tolist()]}


@torch.no_grad()
def fitted(count: int = 40) -> None:
    """Fit both maps on stills and clips of the world, and write them."""
    rng = np.random.default_rng(5)
    image = AutoencoderKL.from_pretrained(POCKET / "image" / "vae", torch_dtype=torch.float32)
    video = AutoencoderKLCogVideoX.from_pretrained(POCKET / "video" / "vae", torch_dtype=torch.float32)
    pairs: dict[str, list[tuple[Tensor, Tensor]]] = {"image": [], "video": []}
    for _ in range(count):
        clip = to_pixels(world.frames(sample(rng)))
        small = F.avg_pool2d(clip / 2 + 0.5, 8)
        latents = (image.encode(clip[:1]).latent_dist.mode() - image.config.shift_factor) * image.config.scaling_factor
        pairs["image"].append((latents, small[:1]))
        latents = video.encode(clip.transpose(0, 1)[None]).latent_dist.mode()[0].transpose(0, 1)
        pairs["video"].append((latents * video.config.scaling_factor, small))
    flat = {
        name: [torch.cat(part).permute(0, 2, 3, 1).flatten(0, 2) for part in zip(*both, strict=True)]
        for name, both in pairs.items()
    }
    write_json(POCKET / "preview.json", {name: fit(*both) for name, both in flat.items()})


def main() -> None:
    argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0]).parse_args()
    fitted()


if __name__ == "__main__":
    main()
