"""Prose as text: count its words, find its sentences, shorten it.

Knows the marks of several scripts. Must not know what wrote the text or what it is for; imports only the standard
library.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from functools import partial

CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
"""Scripts that set no spaces between words, as the inside of a character class."""

STOPS = ".!?\u2026\u3002\uff01\uff1f"
_CLOSERS = "\"')]*_\u2019\u201d\u00bb\u203a\u300d\u300f\uff09\u300b"
_WORD = re.compile(rf"[{CJK}]|[^\s{CJK}]+")
_PLAIN = str.maketrans("\u2018\u2019\uff1a\uff01\uff0c\uff08\uff09\u2013\u2014", "'':!,()--")


def count_words(text: str) -> int:
    """Words between spaces that hold a letter or digit; of Chinese and Japanese, which set none, characters."""
    return sum(any(map(str.isalnum, word)) for word in _WORD.findall(text))


def shorten(text: str, fits: Callable[[str], bool]) -> str:
    """The longest beginning of `text` that fits; `text` itself where that does.

    Cut at a sentence end where a sentence fits, else at a clause end, a word end, or inside the first word, and then
    closed with a full stop if there is room. `fits` is asked O(log n) times and taken to be monotonic: what fits
    keeps fitting when shortened. Where it is not, the result still fits but may not be the longest. '' if none does.
    """
    if fits(text):
        return text
    if whole := _longest(sentence_ends(text), partial(_prefix, text), fits):
        return whole
    stopped, bare = (lambda end: closed(_prefix(text, end))), partial(_prefix, text)
    for cut in (stopped, bare):
        word = _longest(_word_ends(text), cut, fits)
        clause = _longest([m.start() for m in _CLAUSE.finditer(text)], cut, fits)
        # A clause that ends long before the room does ("Slowly, ...") would throw away the shot.
        if best := clause if 2 * len(clause) >= len(word) else word:
            return best
    return next((part for cut in (stopped, bare) if (part := _longest(_character_ends(text), cut, fits))), "")


_END = re.compile(
    r"(?<![.!?\u2026])[.!?\u2026]++[\"')\]*_\u2019\u201d\u00bb\u203a]*+(?=\s|\Z)"
    r"|[\u3002\uff01\uff1f]++[\u2019\u201d\u300d\u300f\uff09]*+"
)
_CLAUSE = re.compile(r"[,;:](?=\s)|\s[\u2013\u2014-](?=\s)|\u2014|[\uff0c\uff1b\uff1a\u3001]")
_TITLES = frozenset(
    "mr mrs ms dr prof st sr jr mt capt gen col lt sgt rev vs approx fig e.g i.e cf".split()  # noqa: SIM905
)
_SHORT = frozenset(
    ("etc", "a.m", "p.m", "u.s", "u.k", "d.c", "inc", "ltd", "co", "ft", "in", "oz", "lb", "lbs", "no", "vol", "ca")
)


def sentence_ends(text: str) -> list[int]:
    """Offsets just after each sentence, its closing quotes included."""
    return [m.end() for m in _END.finditer(text) if not _abbreviated(text, m)]


def _abbreviated(text: str, end: re.Match[str]) -> bool:
    mark, rest = end.group(), text[end.end() : end.end() + 4].lstrip()
    if not rest or mark[0] in "!?\u3002\uff01\uff1f":
        return False
    if mark.startswith(("..", "\u2026")):
        return rest[0].islower()
    before = text[max(0, end.start() - 12) : end.start()].split()
    word = before[-1].lstrip("\"'([\u201c\u2018") if before else ""
    if word.lower() in _TITLES or (len(word) == 1 and word.isupper()):
        return True
    return word.lower() in _SHORT and not rest[0].isupper() and (word.lower() != "no" or rest[0].isdigit())


def _word_ends(text: str) -> list[int]:
    return [m.end() for m in _WORD.finditer(text)]


def _character_ends(text: str) -> list[int]:
    marks = ("Mn", "Mc", "Me", "Cf")
    return [i for i in range(1, len(text) + 1) if i == len(text) or unicodedata.category(text[i]) not in marks]


def _prefix(text: str, end: int) -> str:
    return text[:end].rstrip()


def _longest(ends: Sequence[int], cut: Callable[[int], str], fits: Callable[[str], bool]) -> str:
    best, low, high = "", 0, len(ends)
    while low < high:
        middle = (low + high) // 2
        text = cut(ends[middle])
        if fits(text):
            best, low = text, middle + 1
        else:
            high = middle
    return best


def to_words(text: str, words: int) -> str:
    """`text`, shortened to so many words."""
    return shorten(text, lambda t: count_words(t) <= words)


def finished(text: str) -> bool:
    """It ends with a sentence's end, quotes after it aside."""
    return text.rstrip(_CLOSERS).endswith(tuple(STOPS))


def closed(text: str) -> str:
    """`text` with a full stop, in its own script, unless a sentence ends there already."""
    text = text.rstrip(" ,;:-(\u2013\u2014\uff0c\uff1b\uff1a\u3001\u201c\u2018")
    if not text or finished(text):
        return text
    return text + ("\u3002" if re.match(rf"[{CJK}]", text[-1]) else ".")


def plain(text: str) -> str:
    """The same length with apostrophes and punctuation in their ASCII forms, to match patterns on."""
    return text.translate(_PLAIN)


def tidy(text: str) -> str:
    """One line without control characters, words untouched."""
    return " ".join(uncontrolled(text).split())


_CONTROL = re.compile(
    r"\x1b\[[0-9;]{0,20}[A-Za-z]|[\x00-\x08\x0e-\x1b\x1f\x7f-\x84\x86-\x9f\u00ad\u200b\u200e\u200f\u202a-\u202e"
    r"\u2060-\u206f\ufeff\ufff9-\ufffd\ud800-\udfff]"
)


def uncontrolled(text: str) -> str:
    """Without control characters, terminal colours, invisible marks and half characters."""
    return _CONTROL.sub("", text)
