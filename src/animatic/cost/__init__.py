"""What phases and models take, in closed form from their configurations: FLOPs, bytes of activations, elements.

Pure arithmetic over `config.json`s, as diffusers and transformers compute; no torch, no device, no clock. Attention
is assumed to be fused: no matrix of scores is kept (CUDA's and the CPU's kernels of torch >= 2.2 keep none).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from animatic.core import Value
from animatic.cost import chat, cogvideox, flux
from animatic.cost.base import Config, Cost, Phase, Size

__all__ = ["Cost", "Size", "cost", "size"]

_PARTS = ("llm", "text_encoder", "text_encoder_2", "transformer", "vae")

_PHASES: Mapping[str, Mapping[str, Phase]] = {
    "chat": chat.PHASES,
    "flux": flux.PHASES,
    "cogvideox": cogvideox.PHASES,
}

_SIZES: Mapping[str, Mapping[str, Callable[[Config], Size]]] = {
    "chat": chat.SIZES,
    "flux": flux.SIZES,
    "cogvideox": cogvideox.SIZES,
}


def cost(
    family: str, verb: str, configs: Mapping[str, Mapping[str, Any]], options: Mapping[str, Value], itemsize: int
) -> Cost:
    """Of one phase of one shot. Raises WeightsError when a configuration lacks what it takes to know.

    configs   by part
    options   the shot's, resolved, by dotted name
    itemsize  bytes of an element of weights and activations
    """
    parts = {part: Config(part, configs.get(part, {})) for part in _PARTS}
    return _PHASES[family][verb](parts, options, itemsize)


def size(family: str, part: str, config: Mapping[str, Any]) -> Size:
    """Of one part of a model. Raises WeightsError when its configuration lacks what it takes to know."""
    return _SIZES[family][part](Config(part, config))
