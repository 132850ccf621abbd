"""How far off the latents are that the video transformer predicts from pure noise, movement by movement.

    python -m bench.pocket_latent_error

From pure noise everything has to be fetched from the still. This tells early, and without drawing a clip, how well that
is learnt: while a subject is a mosaic to the eye and to the oracle, its latents may already be half as wrong as before.
Prints a table and writes bench/results/pocket_latent_error.json.
"""

from __future__ import annotations

import argparse

import numpy as np
import torch
from diffusers import CogVideoXTransformer3DModel

from bench import report
from training.pocket.clips import autoencoder, encode
from training.pocket.common import POCKET
from training.pocket.scenario import MOVEMENTS, Scenario, sample
from training.pocket.texts import Texts
from training.pocket.train_video import Objective

SEED = 77
PURE_NOISE = 999  # the timestep


def filmed(movement: str, count: int) -> list[Scenario]:
    """Scenarios that no training drew, and whose pairs it knows."""
    rng, found = np.random.default_rng(SEED), list[Scenario]()
    while len(found) < count:
        s = sample(rng)
        if s.movement == movement:
            found.append(s)
    return found


@torch.no_grad()
def errors(
    model: CogVideoXTransformer3DModel, objective: Objective, texts: Texts, scenarios: list[Scenario]
) -> dict[str, float]:
    """Mean squares where the subject is and where it is not, and that of the latents themselves where it is."""
    data = encode(scenarios)
    x0, cover, anchor = data["clips"].float(), data["cover"].float(), data["anchors"][:, 0].float()
    time = torch.full((len(x0),), PURE_NOISE)
    off = objective.errors(model, x0, anchor, texts.tokens(texts.paragraphs(scenarios)), time)[:, objective.extra :]
    away = (cover == 0).float()
    return {
        "subject": float((off * cover).sum() / cover.sum()),
        "elsewhere": float((off * away).sum() / away.sum()),
        "of": float((x0.square().mean(2) * cover).sum() / cover.sum()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--clips", type=int, default=16, help="of each movement")
    options = parser.parse_args()
    torch.manual_seed(SEED)
    folder = POCKET / "video" / "transformer"
    model = CogVideoXTransformer3DModel.from_pretrained(folder, torch_dtype=torch.float32).eval()
    objective, texts = Objective(model, autoencoder()), Texts(SEED, torch.device("cpu"))
    table = {name: errors(model, objective, texts, filmed(name, options.clips)) for name in MOVEMENTS}
    print(f"{'':8}{'subject':>10}{'elsewhere':>11}{'of':>7}")
    for name, row in table.items():
        print(f"{name:8}{row['subject']:>10.3f}{row['elsewhere']:>11.3f}{row['of']:>7.2f}")
    command = f"python -m bench.pocket_latent_error --clips {options.clips}"
    report.write("pocket_latent_error", command, {"table": table})


if __name__ == "__main__":
    main()
