"""The user's `config.toml`: one table for each part of the program that can be set up there."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from platformdirs import user_config_path

from animatic.errors import OptionError, in_a_line


def default() -> Path:
    return user_config_path("animatic") / "config.toml"


def table(file: Path, name: str) -> dict[str, Any] | None:
    """A table of the file; None: there is none, or no file. Raises OptionError."""
    try:
        found = tomllib.loads(file.read_text("utf-8")).get(name)
    except FileNotFoundError:
        return None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise OptionError(f"{file}: cannot be read ({in_a_line(error)})") from error
    if found is not None and not isinstance(found, dict):
        raise OptionError(f"{file}: {name} must be a table: write [{name}]")
    return found
