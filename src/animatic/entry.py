"""A shot between what was asked for and what is made: whose caption it has, and which still."""

from __future__ import annotations

import functools
import json
from dataclasses import replace
from typing import Any

from animatic import pipeline
from animatic.books import Ask
from animatic.core import Shot
from animatic.prepare import Wish
from animatic.spec import Models
from animatic.store import Store


class Entry:
    """A shot on its way, from what was asked for to what is made: its still may be chosen in between."""

    def __init__(self, shot: Shot, wish: Wish, models: Models, store: Store) -> None:
        asked = pipeline.signature(shot, models)
        self.wish = wish
        self.open = wish.stills > 1 and wish.pick in (None, "best")
        self._models = models
        self._entry = f"{asked}/{wish.stills}/{wish.pick}/{wish.scorer}" if self.open else asked
        self.shot = _untouched(shot, models, store)
        self.picked = self.failed = False

    @property
    def ask(self) -> Ask:
        chosen = self.picked or not self.open
        return Ask(self.shot, pipeline.signature(self.shot, self._models) if chosen else "", self._entry)

    @property
    def count(self) -> int:
        """How many stills are drawn."""
        return self.wish.stills if self.open else 1

    def candidate(self, number: int) -> Shot:
        """The shot with one of its stills; where there is no choice, as it is."""
        if not self.open:
            return self.shot
        return replace(self.shot, options=_with_candidate(tuple(self.shot.options.items()), number))

    def pick(self, number: int) -> None:
        self.shot, self.picked = self.candidate(number), True


def _untouched(shot: Shot, models: Models, store: Store) -> Shot:
    """A shot whose given caption is just what the model wrote for it: then nobody gave one."""
    if shot.caption is None:
        return shot
    bare = replace(shot, caption=None)
    made = store.artifact(pipeline.refine(bare, models))
    return bare if made is not None and json.loads(made.read())["text"] == shot.caption else shot


@functools.lru_cache(4096)
def _with_candidate(options: tuple[tuple[str, Any], ...], number: int) -> dict[str, Any]:
    """One mapping for all shots of equal options: planning counts on that."""
    return {**dict(options), "image.candidate": number}
