"""Every error Animatic raises on purpose. Messages carry the numbers and a way out, in one line; doors translate them.

AnimaticError
├── InputError            what the user gave cannot be used (exit code 2)
│   ├── PromptError       the sentence, the caption or the word limit
│   ├── OptionError       an unknown option or a value out of range
│   ├── GeometryError     a size or a frame count that the model cannot make
│   ├── ImageError        a still that cannot be read or used
│   └── PresetError       an unknown or malformed preset
├── WeightsError          weights that are missing, damaged, pickled or of another shape (exit code 3)
├── CapacityError         what cannot fit in memory (exit code 4)
├── OutputError           a folder cannot be written (exit code 5)
├── BatchError            some shots of several failed, the others are made (exit code 6)
└── ServiceError          a server that does not answer, wants another key, is full or failed (exit code 7)
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class AnimaticError(Exception):
    """The root. `exit_code` is what the command line ends with."""

    exit_code = 1


class InputError(AnimaticError):
    exit_code = 2


class PromptError(InputError):
    pass


class OptionError(InputError):
    pass


class GeometryError(InputError):
    pass


class ImageError(InputError):
    pass


class PresetError(InputError):
    pass


class WeightsError(AnimaticError):
    exit_code = 3


class CapacityError(AnimaticError):
    exit_code = 4


class OutputError(AnimaticError):
    exit_code = 5


class BatchError(AnimaticError):
    exit_code = 6


class ServiceError(AnimaticError):
    exit_code = 7


def in_a_line(error: Exception) -> str:
    """What an error says, in one line; of a library's, also its kind."""
    first = next(iter(str(error).splitlines()), "")[:300]
    return first if isinstance(error, AnimaticError) and first else f"{type(error).__name__}: {first}".rstrip(": ")


def nearest(word: str, known: Iterable[str]) -> str:
    """A clause that helps with a misspelt name: the nearest known one, else all of them."""
    names = sorted(known)
    close = difflib.get_close_matches(word, names, n=1, cutoff=0.5)
    return f"did you mean {close[0]!r}?" if close else "known: " + ", ".join(names)


def one_line(text: str) -> str:
    """Text of unknown hand as a part of a message: what cannot be printed or encoded is gone."""
    return " ".join("".join(c if c.isprintable() else " " for c in encodable(text)).split())


def encodable(text: str) -> str:
    """With a question mark for each half character, as file names of another encoding hold them."""
    return text.encode("utf-8", "replace").decode()


def reason(error: BaseException, most: int = 120) -> str:
    """What another library's error says, in at most `most` characters of one line."""
    return one_line(getattr(error, "strerror", None) or str(error) or type(error).__name__)[:most]
