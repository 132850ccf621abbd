"""The timeline as an SVG: well-formed, self-contained, true to scale."""

from __future__ import annotations

import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from animatic.canvas import LEFT, MARGIN, RIGHT, WIDTH
from animatic.core import Plan
from animatic.outlook import Outlook
from animatic.picture import svg
from tests.outlooks import GIB, NEEDS, cascade, outlook

SVG = "{http://www.w3.org/2000/svg}"

OUTLOOKS = {
    "one": outlook(),
    "streamed": outlook(8, streamed=True, memory=25 * GIB),
    "thousand": outlook(1000, streamed=True),
    "tiny": outlook(scale=0.0005),
    "large budget": outlook(memory=140 * GIB),
    "unified": replace(outlook(8, streamed=True), unified=True),
    "no forecast": replace(outlook(), plan=Plan(tuple(cascade()))),
    "nothing": replace(outlook(), plan=Plan(())),
}


def drawn(one: Outlook) -> ElementTree.Element:
    return ElementTree.fromstring(svg(one))


def texts(picture: ElementTree.Element) -> list[str]:
    return [text.text or "" for text in picture.iter(f"{SVG}text")]


def bars(picture: ElementTree.Element) -> dict[str, tuple[float, float]]:
    """By what they tell: where bars and bands begin and end."""
    return {
        title.text: (float(rect.get("x", 0)), float(rect.get("x", 0)) + float(rect.get("width", 0)))
        for rect in picture.iter(f"{SVG}rect")
        if (title := rect.find(f"{SVG}title")) is not None and title.text
    }


@pytest.mark.parametrize("name", OUTLOOKS)
def test_everything_lies_on_the_drawing_and_comes_from_nowhere_else(name: str) -> None:
    picture = drawn(OUTLOOKS[name])
    height = float(picture.get("height", 0))
    assert picture.get("viewBox") == f"0 0 {WIDTH} {height:.0f}"
    for rect in picture.iter(f"{SVG}rect"):
        x, y, wide, tall = (float(rect.get(key, 0)) for key in ("x", "y", "width", "height"))
        assert wide >= 0 and tall >= 0 and x >= 0 and x + wide <= WIDTH and y >= 0 and y + tall <= height
    for text in picture.iter(f"{SVG}text"):
        assert MARGIN <= float(text.get("x", 0)) <= WIDTH - MARGIN and 0 < float(text.get("y", 0)) < height
    for path in picture.iter(f"{SVG}path"):
        heights = [float(number) for number in re.findall(r"V(-?[\d.]+)", path.get("d", ""))]
        assert all(0 <= at <= height for at in heights)
    whole = svg(OUTLOOKS[name])
    assert "nan" not in whole and "inf" not in whole
    assert "href" not in whole and whole.count("http") == 1, "only the namespace's name"
    assert all(place.startswith("#") for place in re.findall(r"url\((.*?)\)", whole))


def test_bars_are_true_to_scale() -> None:
    one = outlook()
    found = bars(drawn(one))
    begin, end = found["video.denoise, 2 min 20 s"]
    assert (end - begin) / (RIGHT - LEFT) == pytest.approx(140 / one.seconds, abs=0.001)
    assert end == pytest.approx(RIGHT - (RIGHT - LEFT) * 12 / one.seconds, abs=0.1)
    assert found["waits 2.9 s"][1] == pytest.approx(begin, abs=0.1), "the wait ends where the run begins"


def test_every_phase_and_every_load_is_named() -> None:
    every = " ".join(texts(drawn(outlook())))
    for name in (*NEEDS, "refine.llm", "image.text_encoder_2", "video.transformer", "video.vae"):
        assert name in every or name.partition(".")[2] in every


def test_streams_and_host_memory_are_shown_where_there_are_any() -> None:
    every = texts(drawn(OUTLOOKS["streamed"]))
    assert "streams 174 GiB" in every and "host memory" in every and "budget 32.0 GiB" in every
    assert "host memory" not in texts(drawn(outlook()))
    assert "memory" in texts(drawn(OUTLOOKS["unified"])) and "host memory" not in texts(drawn(OUTLOOKS["unified"]))


def test_the_budget_is_a_line_unless_it_is_far_away() -> None:
    def lines(one: Outlook) -> int:
        return sum(path.get("class") == "budget" for path in drawn(one).iter(f"{SVG}path"))

    assert lines(outlook()) == 1 and "budget 40.0 GiB" in texts(drawn(outlook()))
    assert lines(OUTLOOKS["large budget"]) == 0 and "budget 140 GiB, far above" in texts(
        drawn(OUTLOOKS["large budget"])
    )


def test_it_can_be_read_aloud_and_seen_in_the_dark() -> None:
    picture = drawn(outlook())
    assert picture.get("role") == "img" and picture.find(f"{SVG}title") is not None
    described = picture.find(f"{SVG}desc")
    assert described is not None and "3 min 24 s" in (described.text or "")
    assert "prefers-color-scheme:dark" in svg(outlook())


def test_names_are_text_and_nothing_else() -> None:
    strange = '<script>&"\x1b[31m漢'
    every = texts(drawn(replace(outlook(), preset=strange, device=strange)))
    assert any('<script>&"漢' in text for text in every)
