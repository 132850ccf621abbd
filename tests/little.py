"""Pocket's models at a size and a length that nobody would look at: a clip in less than half of the time.

Tests of what surrounds the models ask for this preset; tests of what a clip shows ask for pocket itself.
"""

from __future__ import annotations

from pathlib import Path

import animatic

NAME = "little"
WIDTH, HEIGHT, FRAMES = 80, 48, 5
CHANGES = {
    "title = ": 'title = "Pocket, little"',
    "rank = ": "rank = -1",  # never the one that is taken where none is named
    "sizes = ": f"sizes = [[{WIDTH}, {HEIGHT}]]",
    "frames = ": f"frames = [{FRAMES}]",
    "width = ": f"width = {WIDTH}",
    "height = ": f"height = {HEIGHT}",
    "num_frames = ": f"num_frames = {FRAMES}",
}
"""Lines of pocket's preset, by how they begin, and what stands there instead."""


def write(config: Path) -> None:
    """Make it a preset of the user whose configuration lies in `config`."""
    lines = (Path(animatic.__file__).parent / "presets" / "pocket.toml").read_text("utf-8").splitlines()
    starts = [next((start for start in CHANGES if line.startswith(start)), None) for line in lines]
    assert {*starts} - {None} == {*CHANGES}
    changed = [CHANGES[start] if start else line for start, line in zip(starts, lines, strict=True)]
    path = config / "animatic" / "presets" / f"{NAME}.toml"
    path.parent.mkdir(parents=True)
    path.write_text("\n".join(changed) + "\n", "utf-8")
