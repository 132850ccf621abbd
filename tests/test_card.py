from __future__ import annotations

import io
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from animatic import card as cards
from animatic.card import WIDTH, Box, Card, Fonts, Layout, card_png, layout, wrap

WORDS = "a small red boat sits low in the water under a deep night sky while its hull glows softly"
FACTS = (("models", "pocket"), ("seed", "0"), ("size", "144x96"), ("length", "2.1 s"))


def picture(width: int, height: int, colour: tuple[int, int, int] = (200, 40, 60)) -> np.ndarray:
    return np.full((height, width, 3), colour, np.uint8)


def example(**changes: Any) -> Card:
    width, height = changes.pop("size", (144, 96))
    frames = [picture(width, height, (40 * n, 90, 200)) for n in range(4)]
    base: dict[str, Any] = {
        "sentence": "a red boat sails under a night sky",
        "paragraph": f"{WORDS}. " * 4,
        "still": picture(width, height),
        "frames": frames,
        "facts": FACTS,
        "times": (0.0, 0.6, 1.4, 2.0),
    }
    return Card(**{**base, **changes})


def opened(card: Card) -> Image.Image:
    return Image.open(io.BytesIO(card_png(card)))


def simple(text: str, size: int) -> float:
    """A measure without fonts: every letter is half as wide as high, wide ones as wide."""
    wide = 0 if text.isascii() else sum(ord(c) > 0x2E80 for c in text)
    return (len(text) + wide) * size / 2


def overlap(a: Box, b: Box) -> bool:
    return a.x < b.x + b.w and b.x < a.x + a.w and a.y < b.y + b.h and b.y < a.y + a.h


def check(plan: Layout, measure: cards.Measure) -> None:
    """Nothing overlaps, leaves the margins, or is wider than its box."""
    boxes = [text.box for text in plan.texts] + [plan.still, *plan.frames, plan.accent, plan.hairline]
    for box in boxes:
        assert box.x >= cards.MARGIN and box.x + box.w <= WIDTH - cards.MARGIN, box
        assert box.y >= cards.MARGIN and box.y + box.h <= plan.height - 40, box
        assert box.w >= 1 and box.h >= 1
    for a, b in itertools.combinations(boxes, 2):
        assert not overlap(a, b), (a, b)
    for text in plan.texts:
        assert len(text.lines) * text.leading <= text.box.h
        assert all(measure(line, text.size) <= text.box.w for line in text.lines), text


SHAPES = st.tuples(st.integers(8, 2000), st.integers(8, 2000))
TEXTS = st.one_of(
    st.lists(st.sampled_from(WORDS.split()), max_size=160).map(" ".join),
    st.text(max_size=300).map(lambda text: " ".join(text.split())),
    st.text("船夜空下。，航行", max_size=300),
    st.integers(0, 600).map(lambda n: "x" * n),
)


@given(
    SHAPES,
    SHAPES,
    TEXTS,
    TEXTS,
    st.lists(st.tuples(st.text(max_size=20), st.text(max_size=90)), max_size=7),
    st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_nothing_overlaps_whatever_is_shown(
    still: tuple[int, int],
    frame: tuple[int, int],
    sentence: str,
    paragraph: str,
    facts: list[tuple[str, str]],
    timed: bool,
) -> None:
    flat = np.broadcast_to(np.zeros(3, np.uint8), (still[1], still[0], 3))
    small = np.broadcast_to(np.zeros(3, np.uint8), (frame[1], frame[0], 3))
    times = (0.0, 0.6, 1.4, 2.0) if timed else ()
    check(layout(Card(sentence, paragraph, flat, [small] * 4, tuple(facts), times), simple), simple)


@pytest.mark.parametrize("size", [(144, 96), (720, 480), (480, 720), (512, 512), (1360, 400), (90, 900)])
def test_the_real_fonts_fit_too(size: tuple[int, int]) -> None:
    card = example(size=size)
    check(layout(card, Fonts(card.sentence).width), Fonts(card.sentence).width)


@given(TEXTS, st.integers(60, 900))
@settings(max_examples=60, deadline=None)
def test_wrapping_keeps_every_letter_and_the_width(text: str, width: int) -> None:
    lines = wrap(text, 20, width, simple)
    assert "".join("".join(lines).split()) == "".join(text.split())
    assert all(simple(line, 20) <= width and line.strip() for line in lines)


def test_a_long_paragraph_shrinks_and_an_endless_one_is_cut() -> None:
    def paragraph(count: int) -> cards.Text:
        card = example(paragraph=" ".join((WORDS.split() * count)[: 10 * count]))
        return next(text for text in layout(card, simple).texts if text.tone == "paragraph")

    short, full, endless = paragraph(3), paragraph(15), paragraph(200)
    assert short.size > full.size >= endless.size
    assert not full.lines[-1].endswith("…") and endless.lines[-1].endswith("…")


def test_large_type_leaves_no_word_alone() -> None:
    card = example(sentence="an old fisherman rows home across the misty lake at the first light of dawn")
    title = next(text for text in layout(card, simple).texts if text.tone == "sentence")
    widths = [simple(line, title.size) for line in title.lines]
    assert len(widths) > 1 and min(widths) > 0.6 * max(widths)


@pytest.mark.parametrize("size", [(144, 96), (720, 480), (96, 144), (1360, 400)])
def test_the_pictures_are_in_it(size: tuple[int, int]) -> None:
    card = example(size=size)
    image = np.asarray(opened(card)).astype(int)
    plan = layout(card, Fonts("").width)
    assert image.shape == (plan.height, WIDTH, 3)
    for pixels, box in zip([card.still, *card.frames], [plan.still, *plan.frames], strict=True):
        inside = image[box.y + 12 : box.y + box.h - 12, box.x + 12 : box.x + box.w - 12]
        assert np.abs(inside - pixels[0, 0].astype(int)).max() <= 1
        assert abs(box.w / box.h - size[0] / size[1]) < 0.02 * size[0] / size[1]


def test_small_stills_are_enlarged_by_a_whole_number_and_it_is_said() -> None:
    plan = layout(example(), simple)
    assert (plan.still.w, plan.still.h) == (144 * 6, 96 * 6)
    assert {"shown at", "6x"} <= {line for text in plan.texts for line in text.lines}
    large = layout(example(size=(720, 480)), simple)
    assert "shown at" not in {line for text in large.texts for line in text.lines}


def test_the_text_is_drawn() -> None:
    card = example()
    plan, image = layout(card, Fonts("").width), np.asarray(opened(card)).astype(int)
    for text in plan.texts:
        box = text.box
        assert np.ptp(image[box.y : box.y + box.h, box.x : box.x + box.w].sum(-1)) > 200, text


@pytest.mark.parametrize(
    "changes",
    [
        {"sentence": "", "paragraph": "", "facts": (), "times": ()},
        {"sentence": "word " * 500, "paragraph": "word " * 3000},
        {"sentence": "x" * 100_000, "paragraph": "y" * 100_000},
        {"sentence": "a cat 🐱 plays ❤️ piano", "paragraph": "👩‍👩‍👧 🎹 " * 20},
        {"sentence": "一只红色的小船在夜空下航行", "paragraph": "小船在夜海上漂流。" * 30},
        {"sentence": "Ωραία θάλασσα — naïve café", "paragraph": "مركب أحمر"},
        {"sentence": "tab\tnew\nline \x00\x1b[31m \ud800 end"},
        {"size": (1, 1)},
        {"size": (3000, 2)},
        {"size": (2, 3000)},
        {"facts": tuple((f"fact {n}", "value " * n) for n in range(30))},
        {"frames": []},
    ],
)
def test_extremes_make_a_card(changes: dict[str, Any]) -> None:
    image = opened(example(**changes))
    assert image.format == "PNG" and image.width == WIDTH and image.height > 300


def test_equal_cards_give_equal_bytes() -> None:
    assert card_png(example(sentence="é Ω 船")) == card_png(example(sentence="é Ω 船"))


def test_without_system_fonts_letters_are_folded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cards, "_font_files", lambda: iter(()))
    fonts = Fonts("naïve café — 12×8 船")
    assert fonts.plain("naïve café — 12×8 船") == "naive cafe - 12x8 船"
    assert opened(example(sentence="naïve café 船")).width == WIDTH


def test_a_system_font_fills_in_and_a_broken_one_is_passed_over(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    broken = tmp_path / "a.ttf"
    broken.write_bytes(b"no font")
    available = next(iter(cards._font_files()), None)
    if available is None:
        pytest.skip("this machine has no fonts")
    monkeypatch.setattr(cards, "_font_files", lambda: iter([str(broken), available]))
    fonts = Fonts("é")
    assert fonts.plain("é") in ("é", "e") and fonts.width("é", 40) > 0
