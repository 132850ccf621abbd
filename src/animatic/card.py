"""The share card: one picture that shows a clip with the words it came from.

Pillow only. First a pure layout (boxes and wrapped lines, from sizes and a measure of text), then drawing.
Must not know models, files of results or how anything was made: all it is told is in `Card`.
"""

from __future__ import annotations

import bisect
import functools
import io
import itertools
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

WIDTH = 1600
MARGIN = 88
INNER = WIDTH - 2 * MARGIN
GAP = 16
FINE = 4
LONGEST = 2500  # characters of a text that are looked at: more than fits

Measure = Callable[[str, int], float]
"""The width in pixels of a text at a size in pixels."""

_EMOJI = re.compile("[\U0001f000-\U0001ffff\u2600-\u27bf\ufe00-\ufe0f\u200d]")
# A warm, nearly black ground; cream for what is read, umber for what is looked up, amber for the one accent.
_GROUND, _HAIRLINE, _ACCENT = (23, 20, 18), (62, 55, 49), (226, 164, 88)
_CREAM, _SAND, _UMBER = (246, 239, 228), (202, 192, 178), (140, 129, 116)
_TONES = {"sentence": _CREAM, "paragraph": _SAND, "label": _UMBER, "value": _SAND, "mark": _ACCENT}
_SPACING = {"sentence": 1.16, "paragraph": 1.52, "label": 1.4}


@dataclass(frozen=True)
class Card:
    """What a card shows.

    still    uint8 RGB [H, W, 3];  frames: four of the same kind, of any one size
    facts    (name, value) pairs for the line at the bottom: ("model", "..."), ("seed", "0"), ...
    times    seconds into the clip of each frame, for the labels under them; empty: no labels
    """

    sentence: str
    paragraph: str
    still: NDArray[np.uint8]
    frames: Sequence[NDArray[np.uint8]]
    facts: tuple[tuple[str, str], ...]
    times: tuple[float, ...] = ()


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels."""

    x: int
    y: int
    w: int
    h: int


@dataclass(frozen=True)
class Text:
    """Wrapped lines in a box, `leading` pixels apart."""

    box: Box
    lines: tuple[str, ...]
    size: int
    leading: int
    tone: str


@dataclass(frozen=True)
class Layout:
    """Where everything goes. `texts` and `pictures` (the still, then the frames) never overlap."""

    height: int
    still: Box
    frames: tuple[Box, ...]
    texts: tuple[Text, ...]
    accent: Box
    hairline: Box


def card_png(card: Card) -> bytes:
    """The card as PNG bytes, 1600 pixels wide. Equal cards and fonts give equal bytes."""
    fonts = Fonts(card.sentence + card.paragraph + "".join(itertools.chain(*card.facts)))
    facts = tuple((fonts.plain(name), fonts.plain(value)) for name, value in card.facts)
    card = replace(card, sentence=fonts.plain(card.sentence), paragraph=fonts.plain(card.paragraph), facts=facts)
    buffer = io.BytesIO()
    # Six, the default, saves another 4 % of the bytes for as much time again.
    draw(card, layout(card, fonts.width), fonts).save(buffer, "PNG", compress_level=4)
    return buffer.getvalue()


def layout(card: Card, measure: Measure) -> Layout:
    """Pure: the same card and measure give the same boxes. Three forms, by the still's shape."""
    accent = Box(MARGIN, MARGIN, 64, 5)
    sentence = block(card.sentence, (MARGIN, MARGIN + 34), (INNER, 250), range(76, 39, -4), "sentence", measure)
    top = sentence.box.y + sentence.box.h + 44
    aspect = card.still.shape[1] / card.still.shape[0]
    arrange = _stacked if aspect > 2.1 or not card.paragraph else _tall if aspect < 0.9 else _beside
    still, paragraph, strip, bottom = arrange(card, top, measure)
    labels = [
        block(f"{time:.1f} s", (box.x, box.y + box.h + 10), (max(box.w, 10), 28), (19,), "label", measure)
        for box, time in zip(strip, card.times, strict=False)
    ]
    bottom += 44 if labels else 0
    hairline = Box(MARGIN, bottom + 44, INNER, 1)
    scale, rest = divmod(still.w, card.still.shape[1])
    facts = card.facts + ((("shown at", f"{scale}x"),) if scale >= 2 and not rest else ())
    footer = list(_footer(facts, hairline.y + 26, measure))
    texts = tuple(text for text in (sentence, paragraph, *labels, *footer) if text.lines)
    height = max(text.box.y + text.box.h for text in footer) + MARGIN - 24
    return Layout(height, still, strip, texts, accent, hairline)


def _beside(card: Card, top: int, measure: Measure) -> tuple[Box, Text, tuple[Box, ...], int]:
    """The still, the paragraph to its right, the frames in a row below both."""
    w, h = shown(_size(card.still), 904, 720)
    paragraph = _paragraph(card, MARGIN + w + 60, top, INNER - w - 60, max(h, 430), measure)
    bottom = top + max(h, paragraph.box.h)
    strip = _strip(card, MARGIN, bottom + 44, INNER, 380)
    return Box(MARGIN, top, w, h), paragraph, strip, _lowest(strip, bottom)


def _tall(card: Card, top: int, measure: Measure) -> tuple[Box, Text, tuple[Box, ...], int]:
    """The still at full height, and to its right the paragraph above the frames."""
    w, h = shown(_size(card.still), 620, 880)
    left, room = MARGIN + w + 60, INNER - w - 60
    strip = _strip(card, left, 0, room, 400)
    high = _lowest(strip, 0) + (44 if card.times else 0)
    paragraph = _paragraph(card, left, top, room, max(h - high - 40, 300), measure)
    y = max(top + h - high, top + paragraph.box.h + 40)
    strip = tuple(replace(box, y=y) for box in strip)
    bottom = max(top + h, y + high) - (44 if card.times else 0)
    return Box(MARGIN, top, w, h), paragraph, strip, bottom


def _stacked(card: Card, top: int, measure: Measure) -> tuple[Box, Text, tuple[Box, ...], int]:
    """All below one another: for very wide stills, and where there is no paragraph to stand beside one."""
    w, h = _inside(_size(card.still), INNER, 950)
    paragraph = _paragraph(card, MARGIN, top + h + 40, 1180, 340, measure)
    bottom = paragraph.box.y + paragraph.box.h if paragraph.lines else top + h
    strip = _strip(card, MARGIN, bottom + 44, INNER, 380)
    return Box(MARGIN, top, w, h), paragraph, strip, _lowest(strip, bottom)


def _paragraph(card: Card, x: int, y: int, w: int, h: int, measure: Measure) -> Text:
    # The x-height of the first line should start level with the picture's edge, not the leading above it.
    return block(card.paragraph, (x, y - 8), (w, h + 8), range(33, 16, -1), "paragraph", measure)


def _strip(card: Card, x: int, y: int, w: int, h: int) -> tuple[Box, ...]:
    each = (w + GAP) // max(len(card.frames), 1) - GAP
    sizes = [_inside(_size(frame), each, h) for frame in card.frames]
    lefts = itertools.accumulate((size[0] + GAP for size in sizes), initial=x)
    return tuple(Box(left, y, *size) for left, size in zip(lefts, sizes, strict=False))


def _footer(facts: Iterable[tuple[str, str]], y: int, measure: Measure) -> Iterator[Text]:
    """Facts in one line, in more where they need it, beside the mark."""
    size, leading, space = 20, 34, 34
    width = round(measure("Animatic", 24)) + 1
    yield Text(Box(WIDTH - MARGIN - width, y, width, leading), ("Animatic",), 24, leading, "mark")
    x, right = MARGIN, WIDTH - MARGIN - width - 60
    for fact in facts:
        name, value = _cut(fact[0], size, 200, measure), _cut(fact[1], size, 500, measure)
        middle = x + int(measure(name, size)) + 9
        end = middle + int(measure(value, size)) + 1
        if x > MARGIN and end > right:
            x, y, middle, end = MARGIN, y + leading, middle - x + MARGIN, end - x + MARGIN
        yield Text(Box(x, y, middle - x, leading), (name,), size, leading, "label")
        yield Text(Box(middle, y, end - middle, leading), (value,), size, leading, "value")
        x = end + space


def block(
    text: str, at: tuple[int, int], room: tuple[int, int], sizes: Iterable[int], tone: str, measure: Measure
) -> Text:
    """The text at the largest of `sizes` (descending) that fits into `room`, else at the last, cut short."""
    lines: list[str] = []
    size = leading = most = 0
    for size in sizes:
        leading = round(size * _SPACING[tone])
        most = max(room[1] // leading, 1)
        if measure(text, size) > most * (room[0] + size):  # a break drops a space, so only this is sure
            continue
        lines = wrap(text, size, room[0], measure)
        if len(lines) <= most:
            break
    else:
        lines = wrap(text, size, room[0], measure)
        lines = [*lines[: most - 1], _cut(lines[most - 1] + "…", size, room[0], measure)]
    if tone == "sentence" and 1 < len(lines) <= 4 and not lines[-1].endswith("…"):
        lines = _balanced(text, size, room[0], len(lines), measure)
    return Text(Box(*at, room[0], leading * len(lines)), tuple(lines), size, leading, tone)


def wrap(text: str, size: int, width: int, measure: Measure) -> list[str]:
    """Greedy lines no wider than `width`, broken at spaces, between ideographs, and inside words too long."""
    lines, line = [], ""
    for piece in _pieces(text):
        if measure((line + piece).rstrip(), size) <= width:
            line += piece
            continue
        if line.strip():
            lines.append(line.rstrip())
        line = piece.lstrip()
        while len(line) > 1 and measure(line.rstrip(), size) > width:
            fitting = max(_fitting(line, size, width, measure), 1)
            lines.append(line[:fitting])
            line = line[fitting:]
    return [*lines, line.rstrip()] if line.strip() else lines


def _pieces(text: str) -> Iterator[str]:
    """Words with the space after them, and ideographs one by one, with the punctuation that follows them."""
    piece = ""
    for letter in text:
        ends = piece.endswith(" ") or _is_wide(piece[-1:]) or _is_wide(letter)
        if piece and ends and letter != " " and unicodedata.category(letter) not in ("Po", "Pe", "Pf"):
            yield piece
            piece = ""
        piece += letter
    yield piece


def _is_wide(letter: str) -> bool:
    return letter != "" and unicodedata.east_asian_width(letter) in "WF"


def _balanced(text: str, size: int, width: int, count: int, measure: Measure) -> list[str]:
    """The same number of lines, as even as they can be: no last word alone in large type."""
    low, high = width // 2, width
    while high - low > 8:
        middle = (low + high) // 2
        low, high = (low, middle) if len(wrap(text, size, middle, measure)) <= count else (middle, high)
    return wrap(text, size, high, measure)


def _cut(text: str, size: int, width: int, measure: Measure) -> str:
    if measure(text, size) <= width:
        return text
    text = text.rstrip("…")
    room = width - measure("…", size) - 1
    return text[: _fitting(text, size, room, measure)].rstrip(" ,.;:") + "…"


def _fitting(text: str, size: int, width: float, measure: Measure) -> int:
    """How many of the first letters are no wider than `width`."""
    return bisect.bisect_right(range(1, len(text) + 1), width, key=lambda n: measure(text[:n], size))


def shown(size: tuple[int, int], w: int, h: int) -> tuple[int, int]:
    """The (width, height) of a still in a space. Small ones are enlarged by a whole number."""
    scale = int(min(w / size[0], h / size[1]))
    return (size[0] * scale, size[1] * scale) if scale >= 2 else _inside(size, w, h)


def _inside(size: tuple[int, int], w: int, h: int) -> tuple[int, int]:
    scale = min(w / size[0], h / size[1])
    return max(1, min(w, round(size[0] * scale))), max(1, min(h, round(size[1] * scale)))


def _size(image: NDArray[np.uint8]) -> tuple[int, int]:
    return image.shape[1], image.shape[0]


def _lowest(boxes: Iterable[Box], otherwise: int) -> int:
    return max((box.y + box.h for box in boxes), default=otherwise)


def draw(card: Card, plan: Layout, fonts: Fonts) -> Image.Image:
    """The picture of a layout."""
    canvas = Image.new("RGB", (WIDTH, plan.height), _GROUND)
    pen = ImageDraw.Draw(canvas)
    for box, colour in ((plan.accent, _ACCENT), (plan.hairline, _HAIRLINE)):
        pen.rectangle((box.x, box.y, box.x + box.w - 1, box.y + box.h - 1), fill=colour)
    _place(canvas, card.still, plan.still, 12)
    for frame, box in zip(card.frames, plan.frames, strict=True):
        _place(canvas, frame, box, 8)
    for text in plan.texts:
        for n, line in enumerate(text.lines):
            top = text.box.y + n * text.leading
            fonts.write(canvas, Box(text.box.x, top, 0, text.leading), line, text.size, _TONES[text.tone])
    return canvas


def _place(canvas: Image.Image, image: NDArray[np.uint8], box: Box, radius: int) -> None:
    picture = Image.fromarray(np.ascontiguousarray(image))
    picture = picture.resize((box.w, box.h), Image.Resampling.LANCZOS, reducing_gap=3.0)
    mask = Image.new("L", (box.w * FINE, box.h * FINE))
    corner = min(radius, box.w // 4, box.h // 4) * FINE
    ImageDraw.Draw(mask).rounded_rectangle((0, 0, mask.width - 1, mask.height - 1), corner, fill=255)
    canvas.paste(picture, (box.x, box.y), mask.resize((box.w, box.h), Image.Resampling.BOX))


class Fonts:
    """Pillow's built-in font, and for letters it lacks (it has few) the system's font with most of them.

    Text is measured and drawn at `FINE` times its size and averaged down: small hinted sizes close word gaps.
    """

    def __init__(self, text: str) -> None:
        missing = {c for c in _clean(text) if not c.isspace() and not _has(None, c)}
        self._other = _system_font(missing) if missing else None
        self._strange = {c for c in missing if self._other and _has(self._other, c)}
        self._folded = {ord(c): _folded(c) for c in missing - self._strange}

    def plain(self, text: str) -> str:
        """One line of the text, with the letters that no font has in their nearest plain form."""
        return _clean(text).translate(self._folded)

    def width(self, text: str, size: int) -> float:
        return sum(font.getlength(run) for font, run in self._runs(text, size)) / FINE

    def write(self, canvas: Image.Image, at: Box, text: str, size: int, colour: tuple[int, int, int]) -> None:
        """Draw one line from the left end of a box, in the middle of its height; its width plays no part."""
        room = round(self.width(text, size)) + size
        mask = Image.new("L", (room * FINE, at.h * FINE))
        pen, x, baseline = ImageDraw.Draw(mask), 0.0, (at.h + 0.72 * size) / 2 * FINE
        for font, run in self._runs(text, size):
            pen.text((x, round(baseline)), run, fill=255, font=font, anchor="ls")
            x += font.getlength(run)
        canvas.paste(colour, (at.x, at.y), mask.resize((room, at.h), Image.Resampling.BOX))

    def _runs(self, text: str, size: int) -> Iterator[tuple[ImageFont.FreeTypeFont, str]]:
        for strange, letters in itertools.groupby(text, key=self._strange.__contains__):
            yield _font(self._other if strange else None, size * FINE), "".join(letters)


@functools.lru_cache(64)
def _font(path: str | None, size: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.truetype(path, size) if path else ImageFont.load_default(size)
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise RuntimeError("this Pillow was built without FreeType: install Pillow's own wheel")
    return font


def _has(path: str | None, letter: str) -> bool:
    """Whether a font draws a letter as something else than its sign for a missing one."""
    font = _font(path, 32)
    return bytes(font.getmask(letter)) != bytes(font.getmask("\uffff"))


def _folded(letter: str) -> str:
    plain = "".join(c for c in unicodedata.normalize("NFKD", letter) if ord(c) < 128)
    return plain or {"—": "-", "–": "-", "×": "x", "·": "-", "•": "-", "ß": "ss", "ø": "o"}.get(letter, letter)


def _system_font(letters: set[str]) -> str | None:
    """The system's font file that has most of these letters; None if none has any."""
    best, most = None, 0
    sample = sorted(letters)[:200]
    for path in itertools.islice(_font_files(), 400):
        try:
            count = sum(_has(path, letter) for letter in sample)
        except (OSError, ValueError):
            continue
        if count > most:
            best, most = path, count
        if most == len(sample):
            break
    return best


def _font_files() -> Iterator[str]:
    """Regular sans-serif faces first, then by name, so that the choice does not hang on the disk's order."""
    homes = [Path.home() / ".fonts", Path.home() / ".local/share/fonts", Path("/usr/local/share/fonts")]
    folders = [Path("/usr/share/fonts"), *homes, Path("/System/Library/Fonts"), Path("C:/Windows/Fonts")]
    kinds = {".ttf", ".otf", ".ttc"}
    found = {file for folder in folders if folder.is_dir() for file in folder.rglob("*") if file.suffix in kinds}
    odd = (
        "bold",
        "italic",
        "oblique",
        "light",
        "thin",
        "black",
        "mono",
        "condensed",
        "serif",
        "emoji",
        "math",
    )
    ranked = sorted(found, key=lambda file: (any(word in file.stem.lower() for word in odd), str(file)))
    return map(str, ranked)


def _clean(text: str) -> str:
    """One line of what text fonts draw: no control characters, lone surrogates or emoji."""
    kept = (" " if unicodedata.category(c)[0] == "C" else c for c in text[:LONGEST] if not _EMOJI.match(c))
    return " ".join("".join(kept).split())
