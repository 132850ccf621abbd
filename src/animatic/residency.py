"""What is in memory now. Obeys Load and Evict; decides nothing.

The only owner of loaded components: whoever else needs one borrows it for the length of a phase.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch

from animatic.core import Component


class Residency:
    """`load`: how a component is brought in, wherever it comes from."""

    def __init__(self, device: torch.device, load: Callable[[Component], Any]) -> None:
        self._device = device
        self._load = load
        self._here: dict[Component, Any] = {}

    @property
    def resident(self) -> frozenset[Component]:
        return frozenset(self._here)

    def load(self, component: Component) -> None:
        self._here[component] = self._load(component)

    def evict(self, components: Iterable[Component]) -> None:
        """Drop components. Weights are never copied back: they are still on the disk."""
        for component in components:
            del self._here[component]
        _release(self._device)

    def parts(self, components: Iterable[Component]) -> Mapping[str, Any]:
        return {component.name: self._here[component] for component in components}


def _release(device: torch.device) -> None:
    """Give back what dropped references held: collect cycles, then the allocator's cache."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
