"""Pocket's models at a size and a length that nobody would look at: a clip in less than half of the time.

Tests of what surrounds the models ask for this preset; tests of what a clip shows ask for pocket itself.
"""

from __future__ import annotations

from pathlib import Path

NAME = "little"
WIDTH, HEIGHT, FRAMES = 80, 48, 5
PRESET = f"""
extends = "pocket"
title = "Pocket, little"
rank = -1  # never the one that is taken where none is named

[image.geometry]
sizes = [[{WIDTH}, {HEIGHT}]]

[video.geometry]
sizes = [[{WIDTH}, {HEIGHT}]]
frames = [{FRAMES}]

[video.options]
width = {WIDTH}
height = {HEIGHT}
num_frames = {FRAMES}
"""


def write(config: Path) -> None:
    """Make it a preset of the user whose configuration lies in `config`."""
    path = config / "animatic" / "presets" / f"{NAME}.toml"
    path.parent.mkdir(parents=True)
    path.write_text(PRESET, "utf-8")
