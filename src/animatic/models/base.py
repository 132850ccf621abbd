"""What every model family offers, and what they share: loading weights, reading and making artifacts, previews.

A family has one method per phase, named by the phase's verb. It takes the loaded components and a list of works (one
phase of one shot each), and yields steps and results. It never decides about memory: it holds no component itself.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import safetensors.torch
import torch

from animatic import bitmap
from animatic.checkpoint import Checkpoint
from animatic.core import Phase, Subset
from animatic.errors import WeightsError
from animatic.events import Step
from animatic.skeleton import Skeleton, skeleton
from animatic.spec import MODULATION, ModelSpec, Preview
from animatic.store import Artifact

Parts = Mapping[str, Any]
"""Loaded components by name: {"image.transformer": module, ...}."""


Saved = Mapping[str, torch.Tensor]
"""A `DenoiseState` as tensors on the CPU: what the next step depends on, and "step", how many are done."""


@dataclass(frozen=True)
class Work:
    """One phase of one shot, with its inputs' artifacts by kind. `checkpoint`: where a denoising is saved."""

    phase: Phase
    inputs: Mapping[str, Artifact]
    checkpoint: Checkpoint | None = None

    def tensors(self, kind: str, device: torch.device | str = "cpu") -> dict[str, torch.Tensor]:
        return {name: t.to(device) for name, t in safetensors.torch.load(self.inputs[kind].read()).items()}

    def caption(self) -> str:
        return str(json.loads(self.inputs["caption"].read())["text"])

    def still(self) -> np.ndarray:
        """uint8 [height, width, 3]."""
        return bitmap.read_png(self.inputs["still"].read())

    def option(self, name: str) -> Any:
        return self.phase.shot.option(name)

    def generator(self) -> torch.Generator:
        """The stage's own generator: on the CPU, where its draws do not depend on the device."""
        return torch.Generator().manual_seed(self.phase.recipe["seed"])

    def saved(self) -> Saved | None:
        """Where the denoising stood when it was interrupted; None: it begins."""
        state = self.checkpoint.load() if self.checkpoint else None
        return None if state is None else safetensors.torch.load(state)

    def step(self, state: DenoiseState, preview: np.ndarray | None) -> Step:
        """Tell that a step is done, and save where it stands if it is time to. The last one is an artifact soon."""
        if self.checkpoint and state.step < state.steps:
            self.checkpoint.offer(lambda: safetensors.torch.save(state.saved()))
        return Step(self.phase.name, self.phase.shot.id, state.step, state.steps, preview)


@dataclass(frozen=True)
class Made:
    """A work's result, ready for the store. `identity`: what counts as its content, where that is less than all."""

    work: Work
    data: bytes
    suffix: str
    identity: bytes | None = None


@dataclass
class DenoiseState:
    """Where a denoising stands after `step` of `steps`: all that the next step depends on, and what to show.

    latents    the noisy latents
    estimate   the model's present guess of the clean latents, of the same shape
    history    what a multistep scheduler remembers (DPM-Solver++'s last estimate), or None
    generator  what the next step draws from, or None where it draws nothing
    """

    step: int
    steps: int
    latents: torch.Tensor
    estimate: torch.Tensor
    history: torch.Tensor | None = None
    generator: torch.Generator | None = None

    def saved(self) -> dict[str, torch.Tensor]:
        state = {"step": torch.tensor(self.step), "latents": self.latents}
        if self.history is not None:
            state["history"] = self.history
        if self.generator is not None:
            state["generator"] = self.generator.get_state()
        return {name: tensor.detach().to("cpu").contiguous() for name, tensor in state.items()}


class Family:
    """One model on one device. Subclasses add `classes` (part -> class) and a method per phase."""

    classes: ClassVar[Mapping[str, Any]] = {}

    def __init__(self, spec: ModelSpec, device: torch.device) -> None:
        self.spec = spec
        self.device = device

    @property
    def dtype(self) -> torch.dtype:
        return getattr(torch, self.spec.dtype)  # type: ignore[no-any-return]

    def module_class(self, part: str) -> Any | None:
        """The class of a part that holds weights; None of a tokenizer or a scheduler."""
        cls = self.classes[part]
        return cls if issubclass(cls, torch.nn.Module) else None

    def load(self, part: str, folder: Path) -> Any:
        """A part without weights, from the model's folder."""
        return self.classes[part].from_pretrained(folder / self.spec.folder_of(part), local_files_only=True)

    def skeleton(self, part: str, folder: Path, subset: Subset = "whole") -> Skeleton | None:
        """The module of a part with weights, without memory, and where its weights are; None: the part has none.

        Raises WeightsError, from headers alone, when its files do not give it every tensor in its shape.
        """
        cls = self.module_class(part)
        if cls is None:
            return None
        pattern = MODULATION.get(self.spec.family)

        def only(name: str) -> bool:
            return subset == "whole" or bool(pattern and pattern.match(name)) == (subset == "modulation")

        where = folder / self.spec.folder_of(part)
        return skeleton(cls, where, self.dtype, only, lambda module: self.adapt(module, subset))

    def adapt(self, module: torch.nn.Module, subset: Subset) -> None:
        """Alter a part's module so that it runs with a subset of its tensors."""

    def check(self, part: str, folder: Path) -> None:
        """See that a part's files are there and, from headers, that they give its tensors their shapes."""
        where = folder / self.spec.folder_of(part)
        if self.skeleton(part, folder) is None and not any(where.glob("*.json")):
            raise WeightsError(f"{where} has no configuration: pull the model anew")

    def part(self, parts: Parts, name: str) -> Any:
        return parts[f"{self.spec.stage}.{name}"]


def tensors_made(work: Work, **tensors: torch.Tensor) -> Made:
    """An artifact of tensors. They are copied to the CPU, contiguous."""
    plain = {name: tensor.detach().to("cpu").contiguous() for name, tensor in tensors.items()}
    return Made(work, safetensors.torch.save(plain), ".safetensors")


def still_made(work: Work, image: np.ndarray) -> Made:
    return Made(work, bitmap.png_bytes(image), ".png")


def frames_made(work: Work, frames: np.ndarray) -> Made:
    """uint8 [frames, height, width, 3]."""
    buffer = io.BytesIO()
    np.save(buffer, frames)
    return Made(work, buffer.getvalue(), ".npy")


def preview_rgb(latents: torch.Tensor, preview: Preview | None) -> np.ndarray | None:
    """Latents [frames, channels, height, width] as small pictures, uint8 [frames, height, width, 3]: a linear map."""
    if preview is None:
        return None
    factors = torch.tensor(preview.factors, dtype=torch.float32)
    bias = torch.tensor(preview.bias, dtype=torch.float32)
    rgb = torch.einsum("fchw,cd->fhwd", latents.detach().float().cpu(), factors) + bias
    return np.asarray((rgb.nan_to_num().clamp(0, 1) * 255).round().to(torch.uint8))


Progress = Iterator[Step | Made]
Works = Sequence[Work]
