"""A finished film, examined: the measures of its frames, how its file holds it, and what is wrong with either.

What is measured is the film as the user has it, after the encoder, so a record and a later look at the file agree.
Knows files and arrays; must not know models or torch.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from animatic import bitmap, media, metrics
from animatic.errors import InputError

Asked = Mapping[str, Any]
"""Options by their dotted names; of an unknown hand when they come out of a file."""
_FPS = 0.01
"""Frames a second by which a rate may differ from what was asked: a file's clock counts in ticks."""


def examine(clip: Path | bytes, still: bitmap.Pixels | None = None, asked: Asked | None = None) -> dict[str, Any]:
    """The measures of an MP4, as JSON data: those of `metrics.Measures`, "container" and "remarks".

    still   the picture that the film should begin with; brought to the film's size as video.fit in `asked` says
    asked   the options the film was made with; without them nothing is said of its size, length or rate
    Raises InputError for a file that is no clip.
    """
    frames = media.each_frame(clip)
    first = next(frames)
    if still is not None:
        rule: bitmap.Fit = "pad" if (asked or {}).get("video.fit") == "pad" else "crop"
        still = bitmap.fit(still, (first.shape[1], first.shape[0]), rule)
    measures = metrics.measure(itertools.chain([first], frames), still)
    container = media.container(clip)
    said = (*metrics.remarks(measures), *faults(container, asked))
    return {**measures.as_dict(), "container": dataclasses.asdict(container), "remarks": list(said)}


def faults(container: media.Container, asked: Asked | None = None) -> tuple[str, ...]:
    """What keeps the film from playing everywhere as it was meant, in plain words; nothing for a sound one."""
    c, said = container, []
    if (c.codec, c.pixel_format) != ("h264", "yuv420p"):
        said.append(f"{c.codec} {c.pixel_format}: not every player and browser plays it, as they do h264 yuv420p")
    if not c.faststart:
        said.append("the index stands at the file's end: a browser loads all of it before it plays")
    if not c.bt709:
        said.append("not tagged BT.709: players may show other colours")
    if not c.constant_rate:
        said.append("its frames do not all last equally long")
    for what, is_, wanted in _wanted(c, asked or {}):
        said.append(f"{what} {is_:g}, where {wanted:g} was asked for")
    return tuple(said)


def _wanted(container: media.Container, asked: Asked) -> list[tuple[str, float, float]]:
    """What is not as asked. H.264 needs even sides, so an odd one is one more in the file."""
    c = container
    facts = (
        ("frames:", c.frames, "video.num_frames", 0.0),
        ("frames a second:", c.fps, "file.fps", _FPS),
        ("width:", c.width, "video.width", 0.0),
        ("height:", c.height, "video.height", 0.0),
    )
    found = []
    for what, is_, option, slack in facts:
        wanted = asked.get(option)
        if isinstance(wanted, int | float):
            wanted += wanted % 2 if what in ("width:", "height:") else 0
            if not abs(is_ - wanted) <= slack:
                found.append((what, is_, wanted))
    return found


def look(path: Path, record: Mapping[str, Any]) -> dict[str, Any]:
    """`examine` a film that lies in a folder: against the still of its name beside it, and what its record says.

    A film whose still is gone, or is no picture, is measured without it. Raises InputError for a file that is no clip.
    """
    still, options = None, record.get("options")
    with contextlib.suppress(InputError):
        still = bitmap.read_image(path.with_suffix(".png"))
    return examine(path, still, options if isinstance(options, Mapping) else None)
