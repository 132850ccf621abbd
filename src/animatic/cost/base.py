"""What every family's costs are said in, and the little arithmetic that they share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from animatic.core import Value
from animatic.errors import WeightsError

FLOAT = 4
"""Bytes of a float32 element, in which rotary embeddings and some norms are computed."""


@dataclass(frozen=True)
class Cost:
    """What one phase of one shot takes.

    flops      twice the multiply-adds of matrix products, convolutions and attention
    workspace  most bytes of activations alive at once, beside weights and stored inputs
    passes     times the blocks are run through: denoising steps, prompts, or tokens that are written
    held       bytes that one more shot in lockstep holds between two blocks
    traffic    bytes of weights read from memory in all passes
    """

    flops: float
    workspace: int
    passes: int
    held: int
    traffic: float


@dataclass(frozen=True)
class Size:
    """Elements of a model's tensors.

    parameters  all of them
    modulation  of the transformer's adaptive norms (`spec.MODULATION`), the blocks' included
    blocks      of each block that can be streamed, without its modulation, in the order they run
    modulated   the modulation of each block
    buffers     of tensors in the files that are no parameters, such as CogVideoX's learned positional table
    """

    parameters: int
    modulation: int = 0
    blocks: tuple[int, ...] = ()
    modulated: tuple[int, ...] = ()
    buffers: int = 0

    @property
    def whole_blocks(self) -> tuple[int, ...]:
        """Elements of each block with its modulation."""
        return tuple(map(sum, zip(self.blocks, self.modulated, strict=True)))


class Config(dict[str, Any]):
    """A part's configuration. A key that must be there and is not raises WeightsError."""

    def __init__(self, part: str, config: Mapping[str, Any]) -> None:
        super().__init__(config)
        self.part = part

    def __missing__(self, key: str) -> Any:
        raise WeightsError(f"the configuration of the {self.part} says nothing of {key}: its memory cannot be told")


Configs = Mapping[str, Config]
"""By part: "llm", "text_encoder", "text_encoder_2", "transformer", "vae"."""

Options = Mapping[str, Value]
"""The shot's, resolved, by dotted name."""

Phase = Callable[[Configs, Options, int], Cost]
"""What a phase of one shot takes; the last argument: bytes of an element of weights and activations."""


def linear(given: int, made: int, bias: Any = True) -> int:
    """Elements of a linear layer, or of a convolution whose `given` is channels times kernel."""
    return given * made + (made if bias else 0)


def integer(options: Mapping[str, Value], name: str) -> int:
    value = options[name]
    assert isinstance(value, int), f"{name} is resolved"
    return value


def over_1(scale: Value) -> bool:
    return isinstance(scale, (int, float)) and scale > 1
