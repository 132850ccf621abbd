"""Animatic from Python.

    for clip in animatic.make("an orange rocket takes off into the night sky"):
        print(clip.path, clip.caption)

Everything is checked before torch is imported, and before any model loads.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from animatic import batch as batches
from animatic import store as stores
from animatic.errors import InputError
from animatic.events import Clip, Event
from animatic.outlook import Outlook
from animatic.pipeline import Until
from animatic.prepare import ANY, Prepared, Wish, prepare
from animatic.production import Chooser, Order, outlook, produce

__all__ = ["Wish", "batch", "make", "plan", "run", "stream"]


def make(prompt: str, **wish: Any) -> list[Clip]:
    """Make the clips of a prompt and return them. Takes what `stream` takes. Raises AnimaticError."""
    return [event for event in stream(prompt, **wish) if isinstance(event, Clip)]


def stream(
    prompt: str,
    *,
    out: str | Path = "outputs",
    store: str | Path | None = None,
    until: Until = "file",
    choose: Chooser | None = None,
    **wish: Any,
) -> Iterator[Event]:
    """Make the clips of a prompt, yielding what happens as it happens.

    out     the folder of the results
    store   the folder of the artifacts; None: in the platform's cache folder
    until   "refine" or "image" stops there, and writes a file to edit and go on from
    choose  asked which of several stills is taken
    wish    what `Wish` takes besides

    What is made already is not made again. Everything is checked at the call, not at the first event. Raises
    AnimaticError: at the call, and in the end when a shot failed.
    """
    order = Order(Path(out), _folder(store), until, choose)
    return produce([prepare([Wish(prompt, **wish)])], order)


def batch(
    file: str | Path,
    *,
    out: str | Path = "outputs",
    store: str | Path | None = None,
    until: Until = "file",
    choose: Chooser | None = None,
    shard: tuple[int, int] = (1, 1),
    **defaults: Any,
) -> Iterator[Event]:
    """Make every shot of a file (see batch.py), in a folder of `out` that is called like the file.

    shard     (2, 4): the second quarter of the shots
    defaults  what `Wish` takes, for what the file's lines do not say

    A shot that fails does not stop the others. For the rest, see `stream`.
    """
    file = Path(file)
    groups, title = _groups(batches.read(file, Wish("", **defaults)), shard), batches.title(file)
    return produce(groups, Order(Path(out) / title, _folder(store), until, choose, title))


def run(prepared: Prepared, out: Path, store: Path | None = None) -> Iterator[Event]:
    """Make prepared shots. Their clips' files go to `out`."""
    return produce([prepared], Order(out, _folder(store)))


def plan(
    prompt: str = "",
    *,
    file: Path | None = None,
    shots: int = 1,
    gpu: str | None = None,
    **wish: Any,
) -> Outlook:
    """What making clips would take, without torch and without a download. Raises AnimaticError.

    prompt, file, shots  one sentence, or a file of shots (see batch.py); or just so many shots of any sentence
    gpu                  a card that need not be at hand, such as "RTX 4070"; None: this machine
    wish                 what `Wish` takes besides
    """
    defaults = Wish(prompt or ANY, **({"takes": shots} | wish))
    wishes = batches.read(file, defaults) if file else [defaults]
    if len(presets := {one.preset for one in wishes}) > 1:
        raise InputError(f"{file} uses {len(presets)} presets, and a plan is of one: give --preset, or divide the file")
    prepared = prepare(wishes, gpu)
    return outlook(prepared, prepared.plan())


def _groups(wishes: Sequence[Wish], shard: tuple[int, int]) -> list[Prepared]:
    """The shots by preset, each with a name of its own; of them, one part of so many."""
    by_preset: dict[str | None, list[Wish]] = {}
    for wish in wishes:
        by_preset.setdefault(wish.preset, []).append(wish)
    groups = [prepare(some) for some in by_preset.values()]
    part, parts = shard
    named = batches.named([shot for group in groups for shot in group.shots])
    kept = iter(one if number % parts == part - 1 else None for number, one in enumerate(named))
    found = []
    for group in groups:
        mine = [(shot, wish) for wish in group.wishes if (shot := next(kept)) is not None]
        if mine:
            found.append(replace(group, shots=tuple(s for s, _ in mine), wishes=tuple(w for _, w in mine)))
    return found


def _folder(store: str | Path | None) -> Path:
    return stores.default() if store is None else Path(store)
