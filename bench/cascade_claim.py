"""Does the cascade help? Sentence, paragraph, still, clip against text straight to video, on pocket's toy world.

    python -m training.pocket.train_direct --minutes 4.1 --batch 64  # the rival; the minutes of both of ours
    python -m bench.cascade_claim --prompts 60

The rival has as many parameters as the image and the video transformer together, and learnt from the same clips for as
long as both; its steps are chosen so that a clip costs as many FLOPs as the cascade's. Four ways, the same sentences
and seeds: from the sentence and from the refiner's paragraph, direct and in the cascade. Every clip is encoded and read
back, then judged by the oracle on what its sentence states, and by the weight-free measures. Differences are of the
full cascade, paired by sentence, with bootstrap intervals. Prints a table and writes bench/results/cascade_claim.*
"""

from __future__ import annotations

import argparse
import math
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKLCogVideoX, CogVideoXTransformer3DModel, FluxTransformer2DModel
from numpy.typing import NDArray
from PIL import Image
from torch.utils.flop_counter import FlopCounterMode

from animatic import api, media, metrics
from animatic.events import Clip
from bench import report
from bench.pocket_quality import Asked, asked
from training.pocket import train_direct, world
from training.pocket.clips import autoencoder
from training.pocket.common import POCKET, RUNS
from training.pocket.oracle import judge
from training.pocket.texts import LENGTH, Texts
from training.pocket.train_video import FRAMES, HEIGHT, WIDTH, Objective

ARMS = ("direct, sentence", "direct, paragraph", "cascade, sentence", "cascade, paragraph")
FULL = ARMS[-1]
JUDGED = ("subject", "colour", "scene", "movement", "present", "everything stated")
MEASURED = ("motion", "temporal_flickering", "sharpness", "sharpness_drift", "luma_drift")
STEPS, GUIDANCE = "num_inference_steps", {"image": "true_cfg_scale", "video": "guidance_scale"}
DRAWS = 10_000
Frames = NDArray[np.uint8]
Filmed = dict[str, list[Frames]]
Score = dict[str, float]


def flops(run: Callable[[], Any]) -> int:
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        run()
    return int(counter.get_total_flops())


def image_flops() -> int:
    """Of one forward of the image transformer for one still."""
    model = FluxTransformer2DModel.from_pretrained(POCKET / "image" / "transformer", torch_dtype=torch.float32)
    tokens = HEIGHT * WIDTH // 16**2
    inputs = {
        "hidden_states": torch.zeros(1, tokens, 64), "timestep": torch.ones(1), "txt_ids": torch.zeros(LENGTH, 3),
        "encoder_hidden_states": torch.zeros(1, LENGTH, 128), "pooled_projections": torch.zeros(1, 128),
        "img_ids": torch.zeros(tokens, 3),
    }  # fmt: skip
    return flops(lambda: model(**inputs))


def video_flops(model: CogVideoXTransformer3DModel, vae: AutoencoderKLCogVideoX) -> int:
    """Of one forward of a video transformer for one clip, without guidance."""
    objective = Objective(model, vae)
    frames = 1 + (FRAMES - 1) // vae.config.temporal_compression_ratio + objective.extra
    size = (frames, model.config.in_channels, HEIGHT // 8, WIDTH // 8)
    inputs = {
        "hidden_states": torch.zeros(1, *size), "timestep": torch.ones(1),
        "encoder_hidden_states": torch.zeros(1, LENGTH, 128),
        "image_rotary_emb": objective.rotary,
    }  # fmt: skip
    return flops(lambda: model(**inputs))


def equal_steps(
    rival: CogVideoXTransformer3DModel, vae: AutoencoderKLCogVideoX, options: dict[str, Any], guidance: float
) -> tuple[int, dict[str, int]]:
    """The rival's steps for as many FLOPs as the cascade's denoising takes, and what was counted, per forward."""
    ours = CogVideoXTransformer3DModel.from_pretrained(POCKET / "video" / "transformer", torch_dtype=torch.float32)
    counted = {"image": image_flops(), "video": video_flops(ours, vae), "direct": video_flops(rival, vae)}
    passes = {
        stage: options[f"{stage}.{STEPS}"] * _passes(options[f"{stage}.{name}"]) for stage, name in GUIDANCE.items()
    }
    cascade = sum(count * counted[stage] for stage, count in passes.items())
    return max(round(cascade / (_passes(guidance) * counted["direct"])), 1), counted


def _passes(guidance: float) -> int:
    return 2 if guidance > 1 else 1


def cascade(wishes: list[api.Wish], out: Path) -> list[Clip]:
    made = {c.record["seed"]: c for c in api.run(api.prepare(wishes), out, out / "store") if isinstance(c, Clip)}
    return [made[wish.seed] for wish in wishes]


def direct(
    model: CogVideoXTransformer3DModel, vae: AutoencoderKLCogVideoX, texts: list[str], steps: int, guidance: float
) -> list[Frames]:
    """Clips of texts by the stock text-to-video pipeline, encoded and read back as the cascade's are."""
    pipe, embedder = train_direct.pipeline(model, vae), Texts(0, torch.device("cpu"))
    drawn = (train_direct.draw(pipe, embedder, text, steps, guidance, seed) for seed, text in enumerate(texts))
    return [np.stack(list(media.each_frame(media.mp4_bytes(clip, media.Encoding(), "", {})))) for clip in drawn]


def score(one: Asked, frames: Frames) -> Score:
    """1 or 0 for what the sentence states, nan for what it leaves open, and the measures."""
    seen, measures = judge(frames), metrics.measure(frames).as_dict()
    right = {name: float(getattr(seen, name) == value) for name, value in one.wanted.items()}
    judged = {name: right.get(name, math.nan) for name in JUDGED[:4]}
    judged |= {"present": float(all(seen.present)), "everything stated": min(right.values(), default=1.0)}
    return judged | {name: float(math.nan if measures[name] is None else measures[name]) for name in MEASURED}


def difference(full: NDArray[np.float64], other: NDArray[np.float64], seed: int = 0) -> tuple[float, float, float]:
    """Mean of the paired differences and its 95 % interval (percentile bootstrap over sentences)."""
    both = (full - other)[~np.isnan(full - other)]
    means = np.random.default_rng(seed).choice(both, (DRAWS, len(both))).mean(1)
    return float(both.mean()), float(np.percentile(means, 2.5)), float(np.percentile(means, 97.5))


def table(scores: dict[str, list[Score]]) -> dict[str, dict[str, Any]]:
    """Per name: every arm's mean, and the full cascade's lead over each other arm with its interval."""
    values = {arm: {name: np.array([s[name] for s in rows]) for name in rows[0]} for arm, rows in scores.items()}
    return {
        name: {
            "mean": {arm: float(np.nanmean(values[arm][name])) for arm in ARMS},
            "lead": {arm: difference(values[FULL][name], values[arm][name]) for arm in ARMS[:-1]},
        }
        for name in (*JUDGED, *MEASURED)
    }


def show(found: dict[str, dict[str, Any]]) -> None:
    print(f"{'':20}" + "".join(f"{arm:>22}" for arm in ARMS))
    for name, row in found.items():
        print(f"{name:20}" + "".join(f"{row['mean'][arm]:>22.3f}" for arm in ARMS))
        leads = (f"{m:+.3f} ({low:+.3f}, {high:+.3f})" for m, low, high in row["lead"].values())
        print(f"{'  lead of the last':20}" + "".join(f"{lead:>22}" for lead in leads))


def grid(filmed: Filmed, rows: int) -> Image.Image:
    """Rows of sentences, an arm beside the other, three frames of each."""
    at = (0, world.FRAMES // 2, world.FRAMES - 1)
    strips = {arm: [np.concatenate([clip[n] for n in at], 1) for clip in clips[:rows]] for arm, clips in filmed.items()}
    gap = np.full((world.HEIGHT, 6, 3), 255, np.uint8)
    lines = [np.concatenate([part for arm in ARMS for part in (strips[arm][n], gap)], 1) for n in range(rows)]
    return Image.fromarray(np.concatenate(lines))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--prompts", type=int, default=60)
    parser.add_argument("--seed", type=int, default=2027)
    parser.add_argument("--guidance", type=float, default=1.0, help="of the rival; above 1 for half as many steps")
    parser.add_argument("--rows", type=int, default=8, help="of the grid")
    options = parser.parse_args()
    rival = CogVideoXTransformer3DModel.from_pretrained(train_direct.FOLDER, torch_dtype=torch.float32).eval()
    vae = autoencoder()
    questions = asked(options.prompts, options.seed, held_out=True)
    out = Path(tempfile.mkdtemp(prefix="cascade-claim-"))
    plain = [api.Wish(one.sentence, preset="pocket", seed=n) for n, one in enumerate(questions)]
    full = cascade(plain, out / "full")
    unrefined = [api.Wish(wish.prompt, preset="pocket", seed=wish.seed, caption=wish.prompt) for wish in plain]
    guidance = options.guidance
    steps, counted = equal_steps(rival, vae, full[0].record["options"], guidance)
    print(f"{steps} steps of the direct model; FLOPs of a forward: {counted}")
    filmed: Filmed = {
        ARMS[0]: direct(rival, vae, [one.sentence for one in questions], steps, guidance),
        ARMS[1]: direct(rival, vae, [clip.caption for clip in full], steps, guidance),
        ARMS[2]: [media.frames_of(clip.path) for clip in cascade(unrefined, out / "unrefined")],
        ARMS[3]: [media.frames_of(clip.path) for clip in full],
    }
    scores = {arm: [score(one, clip) for one, clip in zip(questions, filmed[arm], strict=True)] for arm in ARMS}
    found = table(scores)
    show(found)
    grid(filmed, options.rows).quantize(128).save(report.RESULTS / "cascade_claim.png", optimize=True)
    trained = {name: _last(RUNS / name / "log.jsonl") for name in ("image", "video", "direct")}
    figures = {
        "steps": steps, "guidance": guidance, "flops of a forward": counted, "trained": trained, "table": found,
        "sentences": [one.sentence for one in questions],
    }  # fmt: skip
    command = f"python -m bench.cascade_claim --prompts {options.prompts} --seed {options.seed} --guidance {guidance}"
    report.write("cascade_claim", command, figures)


def _last(log: Path) -> str:
    return log.read_text().splitlines()[-1] if log.exists() else "not trained here"


if __name__ == "__main__":
    main()
