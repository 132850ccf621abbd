"""What a client of the service asked for, as a job keeps it; and what is to be done for it next.

Plain data, and JSON in the database. Was checked when it was given; becomes a `Wish` when its turn comes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from animatic.pipeline import Until
from animatic.prepare import Wish

Kind = Literal["video", "image"]


@dataclass(frozen=True)
class Commission:
    """One clip, or with kind "image" some stills.

    preset   a preset's name
    image    the name of an uploaded picture, which is the still: SHA-256 of the file, .png
    stills   how many are drawn; `pick`: which of them is taken, a number or "best"; None: somebody is asked
    review   whether somebody reads the paragraph before the still is drawn
    remixed  the id of the job that this was made after
    webhook  the URL that is told when it is done
    """

    prompt: str
    preset: str
    seed: int = 0
    options: Mapping[str, Any] = field(default_factory=dict)
    kind: Kind = "video"
    caption: str | None = None
    image: str | None = None
    stills: int = 1
    pick: int | str | None = None
    review: bool = False
    remixed: str | None = None
    webhook: str | None = None

    @property
    def goal(self) -> Until:
        """The stage up to which nobody has to be asked."""
        if self.review and self.caption is None:
            return "refine"
        if self.kind == "image" or (self.stills > 1 and self.pick is None):
            return "image"
        return "file"

    @property
    def models(self) -> str:
        """Alike in jobs that can be made together."""
        return f"{self.preset}/{self.goal}"

    def wish(self, name: str, uploads: Path, memory: int | None = None) -> Wish:
        """What is asked of the cascade. `name`: the job's; its events and files bear it. `memory`: what is granted."""
        return Wish(
            self.prompt,
            preset=self.preset,
            seed=self.seed,
            options=self.options,
            caption=self.caption,
            image=uploads / self.image if self.image else None,
            content=Path(self.image).stem if self.image else "",
            stills=self.stills,
            pick=self.pick,
            memory=memory,
            name=name,
        )

    def dumps(self) -> str:
        return json.dumps(asdict(self), ensure_ascii=False)


def loads(text: str) -> Commission:
    """From a database of this version of the tables."""
    return Commission(**json.loads(text))
