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
from transformers import AutoConfig

from animatic import media, weights
from animatic.core import Phase, Step, stage_seed
from animatic.errors import WeightsError
from animatic.spec import ModelSpec, Preview
from animatic.store import Artifact

Parts = Mapping[str, Any]
"""Loaded components by name: {"image.transformer": module, ...}."""


@dataclass(frozen=True)
class Work:
    """One phase of one shot, with its inputs' artifacts by kind."""

    phase: Phase
    inputs: Mapping[str, Artifact]

    def tensors(self, kind: str, device: torch.device | str = "cpu") -> dict[str, torch.Tensor]:
        return {name: t.to(device) for name, t in safetensors.torch.load(self.inputs[kind].read()).items()}

    def caption(self) -> str:
        return str(json.loads(self.inputs["caption"].read())["text"])

    def still(self) -> np.ndarray:
        """uint8 [height, width, 3]."""
        return media.read_png(self.inputs["still"].read())

    def option(self, name: str) -> Any:
        return self.phase.shot.option(name)

    def generator(self) -> torch.Generator:
        """The stage's own generator: on the CPU, where its draws do not depend on the device."""
        return torch.Generator().manual_seed(stage_seed(self.phase.shot.seed, self.phase.stage))

    def step(self, state: DenoiseState, preview: np.ndarray | None) -> Step:
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
    """

    step: int
    steps: int
    latents: torch.Tensor
    estimate: torch.Tensor
    history: torch.Tensor | None = None


class Family:
    """One model on one device. Subclasses add `classes` (part -> class) and a method per phase."""

    classes: ClassVar[Mapping[str, Any]] = {}

    def __init__(self, spec: ModelSpec, device: torch.device) -> None:
        self.spec = spec
        self.device = device

    @property
    def dtype(self) -> torch.dtype:
        return getattr(torch, self.spec.dtype)  # type: ignore[no-any-return]

    def load(self, part: str, folder: Path) -> Any:
        """Load one component from the model's folder: weights onto the device, all else as it is."""
        where = folder / part
        cls = self.classes[part]
        if not issubclass(cls, torch.nn.Module):
            return cls.from_pretrained(where, local_files_only=True)
        return load_weights(cls, where, self.dtype, self.device)

    def check(self, part: str, folder: Path) -> None:
        """See, from headers and on the meta device, that a component's files give its tensors their shapes."""
        cls = self.classes[part]
        if issubclass(cls, torch.nn.Module):
            check_weights(cls, folder / part)
        elif not any((folder / part).glob("*.json")):
            raise WeightsError(f"{folder / part} has no configuration: pull the model anew")

    def part(self, parts: Parts, name: str) -> Any:
        return parts[f"{self.spec.stage}.{name}"]


def load_weights(cls: Any, folder: Path, dtype: torch.dtype, device: torch.device) -> torch.nn.Module:
    """Load a module in evaluation mode. Raises WeightsError when the files do not give it every tensor in its shape."""
    try:
        module, report = cls.from_pretrained(
            folder, dtype=dtype, use_safetensors=True, local_files_only=True, output_loading_info=True
        )
    except (OSError, ValueError, RuntimeError) as error:
        raise WeightsError(f"{folder} does not load as {cls.__name__}: {_first_line(error)}") from error
    if missing := sorted(report["missing_keys"]):
        count = f"{len(missing)} {'tensor' if len(missing) == 1 else 'tensors'}"
        raise WeightsError(f"{folder} lacks {count} of {cls.__name__}, such as {missing[0]}: pull it anew")
    return module.eval().requires_grad_(False).to(device)  # type: ignore[no-any-return]


def check_weights(cls: Any, folder: Path) -> None:
    """Raises WeightsError for missing, damaged or pickled files, and for tensors of another shape than the model's."""
    found = {tensor.name: tensor.shape for tensor in weights.inspect(folder)}
    for name, wanted in _skeleton(cls, folder).state_dict().items():
        if name in found and tuple(found[name]) != tuple(wanted.shape):
            raise WeightsError(
                f"{folder}: {name} is {list(found[name])}, but its configuration says {list(wanted.shape)}: "
                "these weights are of another model"
            )


def _skeleton(cls: Any, folder: Path) -> torch.nn.Module:
    """The module without memory: its tensors have shapes only."""
    try:
        with torch.device("meta"):
            if hasattr(cls, "load_config"):
                return cls.from_config(cls.load_config(folder, local_files_only=True))  # type: ignore[no-any-return]
            config = AutoConfig.from_pretrained(folder, local_files_only=True)
            return cls.from_config(config) if hasattr(cls, "from_config") else cls(config)  # type: ignore[no-any-return]
    except (OSError, ValueError, KeyError) as error:
        raise WeightsError(f"{folder} has no usable configuration: {_first_line(error)}") from error


def tensors_made(work: Work, **tensors: torch.Tensor) -> Made:
    """An artifact of tensors. They are copied to the CPU, contiguous."""
    plain = {name: tensor.detach().to("cpu").contiguous() for name, tensor in tensors.items()}
    return Made(work, safetensors.torch.save(plain), ".safetensors")


def still_made(work: Work, image: np.ndarray) -> Made:
    return Made(work, media.png_bytes(image), ".png")


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


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
