"""Residencies over tiny checkpoints: how tests load components without an engine."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from animatic.arena import Arenas
from animatic.core import Component, Subset
from animatic.device import Accounted, Device
from animatic.models import family
from animatic.reader import Reader
from animatic.residency import Residency
from animatic.spec import ModelSpec
from tests import tiny

STAGES = {"refine": "chat", "image": "flux", "video": "cogvideox"}
BLOCKS = {"image.transformer": 4, "image.text_encoder_2": 2, "video.transformer": 2, "refine.llm": 2}
"""How many blocks each tiny component has that can be streamed."""


@dataclass(frozen=True)
class Checkpoints:
    """Folders of tiny models by stage."""

    refine: Path
    image: Path
    video: Path

    def residency(
        self, device: Device, dtype: str = "bfloat16", reader: Reader | None = None, arenas: Arenas | None = None
    ) -> Residency:
        families = {
            stage: family(name)(
                ModelSpec(stage, name, str(getattr(self, stage)), dtype=dtype), device.torch  # type: ignore[arg-type]
            )
            for stage, name in STAGES.items()
        }
        reader = reader or Reader(threads=2)
        return Residency(device, lambda c: (families[c.stage], getattr(self, c.stage)), reader, arenas)


class Queueing(Accounted):
    """Takes the ways that a GPU takes: through a ring, and with copies that the computing thread queues itself."""

    @property
    def queues_copies(self) -> bool:
        return True

    def ring(self, nbytes: int) -> list[torch.Tensor]:
        return [self.host(min(nbytes, 1 << 12)) for _ in range(3)]


def make(root: Path) -> Iterator[Checkpoints]:
    """Makes them; until it goes on, each eviction's collection need look only at what came after, as in the engine."""
    made = Checkpoints(
        tiny.chat(root / "chat", "llama"),
        tiny.flux(root / "flux", guidance=True),
        tiny.cogvideox(root / "cog", newer=False),
    )
    gc.collect()
    gc.freeze()
    yield made
    gc.unfreeze()


def component(name: str, subset: Subset = "whole") -> Component:
    return Component(name, f"tiny {name.partition('.')[0]}", subset=subset)


def outliving(before: set[threading.Thread]) -> set[threading.Thread]:
    """Threads that were not there before and do not end. The libraries' loaders end theirs without waiting for them."""
    for thread in set(threading.enumerate()) - before:
        thread.join(timeout=10)
    return set(threading.enumerate()) - before


@pytest.fixture
def nothing_left() -> Iterator[None]:
    """No thread that began within a test outlives it."""
    before = set(threading.enumerate())
    yield
    assert not outliving(before)


def inputs(name: str, seed: int = 0) -> dict[str, Any]:
    """What a tiny component's forward takes."""
    generator = torch.Generator().manual_seed(seed)

    def noise(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator).bfloat16()

    match name:
        case "image.transformer":
            return {
                "hidden_states": noise(1, 24, 64), "encoder_hidden_states": noise(1, 8, 32),
                "pooled_projections": noise(1, 32), "timestep": torch.tensor([0.5]).bfloat16(),
                "guidance": torch.tensor([3.5]), "img_ids": torch.zeros(24, 3), "txt_ids": torch.zeros(8, 3),
                "return_dict": False,
            }  # fmt: skip
        case "video.transformer":
            return {
                "hidden_states": noise(1, 3, 32, 8, 12), "encoder_hidden_states": noise(1, 24, 32),
                "timestep": torch.tensor([500]), "return_dict": False,
                "image_rotary_emb": (torch.ones(72, 16), torch.zeros(72, 16)),
            }  # fmt: skip
        case _:
            return {"input_ids": torch.randint(3, 200, (1, 12), generator=generator)}


@torch.no_grad()
def output(module: Any, name: str, seed: int = 0) -> torch.Tensor:
    result = module(**inputs(name, seed))
    return result[0].clone() if isinstance(result, tuple) else next(iter(result.values())).clone()
