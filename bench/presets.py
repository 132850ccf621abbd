"""Presets of a bench's own: they lie where a user's do, in a configuration that ends with the bench."""

from __future__ import annotations

from pathlib import Path


def write(config: Path, name: str, text: str) -> str:
    """Make it a preset of whoever has `config` as XDG_CONFIG_HOME; its name."""
    path = config / "animatic" / "presets" / f"{name}.toml"
    path.parent.mkdir(parents=True)
    path.write_text(text, "utf-8")
    return name
