"""The model families by name: the door through which every model enters, a plug-in's like our own.

A plug-in's package offers a `Family` subclass under the entry point group `animatic.families`.
"""

from __future__ import annotations

from importlib.metadata import entry_points

from animatic.errors import PresetError, nearest
from animatic.models.base import Family

BUILT_IN = {
    "chat": "animatic.models.chat:Chat",
    "flux": "animatic.models.flux:Flux",
    "cogvideox": "animatic.models.cogvideox:CogVideoX",
}


def family(name: str) -> type[Family]:
    """The family of that name. Raises PresetError."""
    found = {point.name: point.value for point in entry_points(group="animatic.families")} | BUILT_IN
    if name not in found:
        raise PresetError(f"unknown model family {name!r}: {nearest(name, found)}")
    module, _, attribute = found[name].partition(":")
    return getattr(__import__(module, fromlist=[attribute]), attribute)  # type: ignore[no-any-return]
