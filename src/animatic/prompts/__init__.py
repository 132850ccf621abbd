"""The system prompts: editable text files, with {words} where the word limit goes."""

from __future__ import annotations

from pathlib import Path

from animatic.errors import OptionError, nearest

_FOLDER = Path(__file__).parent


def system_prompt(name: str, words: int) -> str:
    """The text of a packaged prompt, or of the user's own file when `name` is a path. Raises OptionError."""
    ours = _FOLDER / f"{name}.txt"
    try:
        file = ours if ours.parent == _FOLDER and ours.is_file() else Path(name)
        text = file.read_text("utf-8").strip()
    except (OSError, ValueError):
        raise OptionError(
            f"refine.system_prompt = {name!r} is neither a packaged prompt nor a text file: {nearest(name, packaged())}"
        ) from None
    return text.replace("{words}", str(words))


def packaged() -> dict[str, Path]:
    """The packaged prompts' files, by name."""
    return {file.stem: file for file in _FOLDER.glob("*.txt")}
