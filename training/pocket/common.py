"""What all pocket trainings share: seeds, a time budget, EMA, resumable checkpoints, logs, fp16 export.

Knows: torch modules and files. Must not know: which model is trained, or what the world looks like.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.pocket.muon import Muon
from training.pocket.replay import replayed

ROOT = Path(__file__).resolve().parents[2]
# Where checkpoints and where exported models go: of the pocket that ships, or of one in the making.
RUNS = Path(os.environ.get("POCKET_RUNS", Path(__file__).resolve().parent / "runs"))
POCKET = Path(os.environ.get("POCKET_FOLDER", ROOT / "src" / "animatic" / "pocket"))


def parser(doc: str | None, name: str, minutes: float, lr: float) -> argparse.ArgumentParser:
    """The options that every training script has."""
    args = argparse.ArgumentParser(description=(doc or "").split("\n")[0])
    args.add_argument("--name", default=name, help="folder under RUNS")
    args.add_argument("--minutes", type=float, default=minutes, help="length of the learning-rate schedule")
    args.add_argument("--lr", type=float, default=lr)
    args.add_argument("--seed", type=int, default=0)
    args.add_argument("--threads", type=int, default=1)
    args.add_argument("--workers", type=int, default=1, help="processes that draw pictures or write lessons")
    args.add_argument("--judgements", type=int, default=10, help="on the way, evenly over the minutes")
    args.add_argument("--fresh", action="store_true", help="start anew instead of resuming")
    return args


def setup(args: argparse.Namespace) -> torch.device:
    """Seed everything, fix the thread count, and say where to compute."""
    torch.set_num_threads(args.threads)
    random.seed(args.seed)
    np.random.seed(args.seed)
    torch.manual_seed(args.seed)
    if not torch.cuda.is_available():
        return torch.device("cpu")
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = torch.backends.cudnn.benchmark = True
    # On an H200 (torch 2.11) cuDNN's attention read beyond its memory in the image transformer's backward.
    torch.backends.cuda.enable_cudnn_sdp(False)
    return torch.device("cuda")


def autocast(device: torch.device) -> torch.autocast:
    """bfloat16 where the machine multiplies it fast (AMX, tensor cores), fp32 elsewhere; the weights stay fp32."""
    fast = device.type == "cuda" or bool(torch.cpu.get_capabilities().get("amx_bf16"))
    return torch.autocast(device.type, torch.bfloat16, enabled=fast)


def plain_attention() -> None:
    """Compute attention without a mask as two batched products with a softmax between them.

    In bfloat16 on CPUs with AMX, and compiled, forward and backward of this take half the time of the fused kernel. What
    has a mask, as the text encoders' attention has, is left to that.
    """
    fused = F.scaled_dot_product_attention

    def attention(
        query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None, dropout_p: float = 0.0,
        is_causal: bool = False, scale: float | None = None, **options: Any,
    ) -> Tensor:  # fmt: skip
        if attn_mask is not None or is_causal or dropout_p:
            return fused(query, key, value, attn_mask, dropout_p, is_causal, scale=scale, **options)
        scores = (query @ key.transpose(-1, -2)) * (scale or query.shape[-1] ** -0.5)
        return scores.softmax(-1).to(value.dtype) @ value

    if not torch.cuda.is_available():
        F.scaled_dot_product_attention = attention  # type: ignore[assignment]


def compiled(model: nn.Module) -> Any:
    """The model's forward as one compiled graph with fixed shapes: a third faster to train; takes a minute to build."""
    return torch.compile(model, dynamic=False)


def millions(module: nn.Module) -> float:
    return sum(p.numel() for p in module.parameters()) / 1e6


def psnr(a: Tensor, b: Tensor) -> float:
    """Decibels between pictures in [-1, 1]."""
    return 10 * math.log10(4 / max(float((a.float().clamp(-1, 1) - b.float()).square().mean()), 1e-10))


def to_pixels(frames: np.ndarray | Tensor) -> Tensor:
    """uint8 [..., H, W, 3] -> float [..., 3, H, W] in [-1, 1]."""
    return torch.as_tensor(frames).movedim(-1, -3).contiguous().float() / 127.5 - 1


def cached(path: Path, make: Callable[[], dict[str, Any]], *kinds: type) -> dict[str, Any]:
    """What `make` gives, kept on disk; `kinds` are the plain classes that it holds besides tensors."""
    if path.exists():
        with torch.serialization.safe_globals([*kinds]):
            kept: dict[str, Any] = torch.load(path, weights_only=True)
        return kept
    path.parent.mkdir(parents=True, exist_ok=True)
    data = make()
    torch.save(data, path)
    return data


def divergence(posterior: Any) -> Tensor:
    """Mean KL of a diagonal Gaussian posterior from the unit one, per latent element."""
    mean, logvar = posterior.mean.float(), posterior.logvar.float()
    return 0.5 * (mean.square() + logvar.exp() - 1 - logvar).mean()


class Run:
    """One resumable training: optimiser, schedule by elapsed time, EMA, checkpoints and a JSON-lines log.

    The learning rate warms up for 100 steps, then follows a half cosine down to a twentieth over `minutes`.
    """

    def __init__(self, args: argparse.Namespace, model: nn.Module, decay: float = 0.999, optimiser: Any = Muon):
        self.folder = RUNS / args.name
        self.folder.mkdir(parents=True, exist_ok=True)
        self.model, self.lr, self.budget, self.decay = model, args.lr, args.minutes * 60, decay
        self.ema = copy.deepcopy(model).eval().requires_grad_(False)
        self.optimiser = optimiser(dict(model.named_parameters()), args.lr)
        # How far the EMA goes to meet the weights in a step. A tensor, since a captured step looks here again each time.
        self.pace = torch.zeros((), device=next(model.parameters()).device)
        self.step, self.before = 0, 0.0
        self.clock = time.monotonic if torch.cuda.is_available() else time.process_time
        self.start, self.saved, self.logged = self.clock(), time.monotonic(), time.monotonic()
        self.judgements = args.judgements
        self.sums: dict[str, float] = {}
        self.counts: dict[str, int] = {}
        if not args.fresh:
            self._resume()
        self.judged = int(self.progress * self.judgements)
        signal.signal(signal.SIGTERM, self._stop)
        self.say(f"{args.name}: {millions(model):.2f} M parameters, step {self.step}, {vars(args)}")

    @property
    def elapsed(self) -> float:
        """Seconds trained so far, earlier sessions included: of the GPU, or on CPUs of all cores together.

        Counted so, other programs on the machine cost patience but not quality.
        """
        return self.before + self.clock() - self.start

    @property
    def progress(self) -> float:
        return min(self.elapsed / self.budget, 1.0)

    def due(self) -> bool:
        """Whether another of the `judgements` is: the last of them comes when the time is over, and is not told."""
        before, self.judged = self.judged, int(self.progress * self.judgements)
        return before < self.judged < self.judgements

    def steps(self) -> Iterator[int]:
        """Count steps until the time is over, setting the learning rate and saving every three minutes."""
        while self.elapsed < self.budget:
            cosine = 0.05 + 0.95 * (0.5 + 0.5 * math.cos(math.pi * self.progress))
            self.optimiser.set_rate(self.lr * cosine * min(1.0, (self.step + 1) / 100))
            yield self.step
            if time.monotonic() - self.saved > 180:
                self.save()
        self.save()

    def update(self, loss: Tensor, **numbers: float | Tensor) -> None:
        """Backward, clipped optimiser step, EMA; `numbers` are averaged into the log every half minute."""
        self._set_pace()
        self._count(loss=loss, norm=self._learn(loss), **numbers)

    def learner(self, draw: Callable[[], Tensor]) -> Callable[[], None]:
        """What does a whole step, from drawing a batch to the EMA, with the loss that `draw` gives; see replayed.

        The time until it is ready (compiling, capturing) does not count.
        """

        def whole() -> tuple[Tensor, ...]:
            loss = draw()
            return loss.detach(), self._learn(loss)

        self.optimiser.set_rate(0.0)  # nothing is learnt while a graph warms up, and the EMA stays
        self.pace.zero_()
        once = replayed(whole)
        self.start = self.clock()

        def step() -> None:
            self._set_pace()
            loss, norm = once()
            self._count(loss=loss, norm=norm)

        return step

    def _learn(self, loss: Tensor) -> Tensor:
        """Backward, clipped optimiser step, EMA; gives the gradient's norm. Looks into no tensor: it may be captured."""
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        for slow, fast in zip(self.ema.parameters(), self.model.parameters(), strict=True):
            slow.lerp_(fast.detach(), self.pace)
        return norm

    def _set_pace(self) -> None:
        self.pace.fill_(1 - min(self.decay, (2 + self.step) / (11 + self.step)))

    def _count(self, **numbers: float | Tensor) -> None:
        """A step is done: count it, and average `numbers` into the log every half minute."""
        self.step += 1
        for key, value in numbers.items():
            self.sums[key] = self.sums.get(key, 0.0) + float(torch.as_tensor(value).detach())
            self.counts[key] = self.counts.get(key, 0) + 1
        if time.monotonic() - self.logged > 30:
            self.logged = time.monotonic()
            means = {key: round(self.sums[key] / self.counts[key], 5) for key in self.sums}
            self.sums, self.counts = {}, {}
            self.log(**means)

    def log(self, **numbers: Any) -> None:
        record = {"minute": round(self.elapsed / 60, 1), "step": self.step, **numbers}
        with (self.folder / "log.jsonl").open("a") as file:
            file.write(json.dumps(record) + "\n")
        self.say(" ".join(f"{key}={value}" for key, value in record.items()))

    def say(self, line: str) -> None:
        print(line, flush=True)

    def save(self) -> None:
        """Write the checkpoint atomically."""
        state = {
            "model": self.model.state_dict(), "ema": self.ema.state_dict(), "optimiser": self.optimiser.state_dict(),
            "step": self.step, "elapsed": self.elapsed,
        }  # fmt: skip
        partial = self.folder / "checkpoint.partial"
        torch.save(state, partial)
        os.replace(partial, self.folder / "checkpoint.pt")
        self.saved = time.monotonic()

    def _stop(self, *_: Any) -> None:
        self.save()
        sys.exit(143)  # not finished: what called it must not go on with half of a training

    def _resume(self) -> None:
        path = self.folder / "checkpoint.pt"
        if not path.exists():
            return
        state = torch.load(path, map_location="cpu", weights_only=True)
        self.model.load_state_dict(state["model"])
        self.ema.load_state_dict(state["ema"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.step, self.before = state["step"], state["elapsed"]
        torch.manual_seed(self.step + 1)


def export(model: Any, folder: Path, **config: Any) -> float:
    """Save a diffusers or transformers model as fp16 safetensors, replacing `folder` in one step; gives megabytes."""
    half = copy.deepcopy(model)
    if config:
        half.register_to_config(**config)
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    half.to("cpu", torch.float16).save_pretrained(partial)
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)
    return sum(f.stat().st_size for f in folder.iterdir()) / 1e6


def write_json(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.write_text(json.dumps(value, indent=2) + "\n")
    os.replace(partial, path)
