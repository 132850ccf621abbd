"""Animatic: one short sentence becomes a video, with open models only, by a cascade of text, still and film."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from animatic.api import make as make
    from animatic.api import stream as stream

__all__ = ["make", "stream"]


def __getattr__(name: str) -> Any:
    """`make` and `stream`, imported when they are used: `import animatic` costs nothing."""
    if name in __all__:
        return getattr(importlib.import_module("animatic.api"), name)
    raise AttributeError(f"module 'animatic' has no attribute {name!r}")
