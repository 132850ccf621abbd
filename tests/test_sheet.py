"""The contact sheet: whole, self-contained, and safe against what a batch may call its shots."""

from __future__ import annotations

import re
import urllib.parse
from html.parser import HTMLParser
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from animatic import sheet

VOID = {"meta", "input", "link", "br", "img", "source", "hr", "path", "use"}
MADE = {
    "id": "boat", "status": "completed", "prompt": "a red boat", "seed": 7, "preset": "pocket",
    "caption": "A red boat.",
    "clip": "boat.mp4", "still": "boat.png", "card": "boat-card.png", "sidecar": "boat.json", "size": [144, 96],
    "frames": 17, "fps": 8, "seconds": {"refine": 1.2, "image": 0.8, "video": 3.1, "file": 0.3},
    "measures": {"motion": 0.53, "temporal_flickering": 0.98, "sharpness_drift": -0.5, "still_psnr": 31.6,
                 "remarks": ["near-static: nothing moves"]},
    "made": "2026-11-25T02:00:00+00:00",
}  # fmt: skip
FAILED = {
    "id": "cat",
    "status": "failed",
    "prompt": "a cat",
    "seed": 0,
    "error": "video.decode: RuntimeError: a bad day",
}


class Page(HTMLParser):
    """The tags of a page, with what they say; raises where they do not nest."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.said: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open and self.open.pop() == tag, tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] not in ("script", "style"):
            self.said.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.said).split())


def test_what_there_is_of_a_clip_is_told() -> None:
    page = Page(sheet.page("boats", [MADE, FAILED], missing=3))
    for said in ("boats", "a red boat", "A red boat.", "near-static: nothing moves", "a bad day", "144×96", "pocket"):
        assert said in page.text
    assert re.search(r"1 completed", page.text) and re.search(r"1 failed", page.text) and re.search(r"3 not", page.text)
    (video,) = [attributes for tag, attributes in page.tags if tag == "video"]
    assert video["src"] == "./boat.mp4" and video["preload"] == "none" and "muted" in video
    assert "./boat.png" in [attributes["src"] for tag, attributes in page.tags if tag == "img"], "seen before it plays"


def test_it_needs_no_network() -> None:
    text = sheet.page("boats", [MADE, FAILED])
    assert "://" not in text and "//" not in re.sub(
        r"/\*.*?\*/", "", re.sub(r"<script.*?</script>", "", text, flags=re.S)
    )
    for _, attributes in Page(text).tags:
        for name in ("src", "href", "poster"):
            target = attributes.get(name, "")
            assert not urllib.parse.urlsplit(target).scheme or target.startswith("data:")


NASTY = st.text(max_size=30) | st.sampled_from(
    ["</script><script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "javascript:alert(1)", "--><!--", "{{",
     "\u202ex", "//elsewhere/x", "a?b#c%d", "\u2026" * 40, "]]>"]
)  # fmt: skip
VALUES = (
    NASTY
    | st.integers()
    | st.floats()
    | st.none()
    | st.lists(NASTY, max_size=2)
    | st.dictionaries(NASTY, NASTY, max_size=2)
)


@given(
    st.dictionaries(st.sampled_from(sorted(MADE | FAILED)), VALUES),
    st.sampled_from(["completed", "failed", "odd"]),
    NASTY,
)
def test_no_text_breaks_out_and_no_lack_breaks_it(fields: dict[str, Any], status: str, title: str) -> None:
    plain = Page(sheet.page("t", [MADE, FAILED]))
    page = Page(sheet.page(title, [{"id": "x", "prompt": "p", **fields, "status": status}]))
    scripts = [tag for tag, _ in page.tags if tag == "script"]
    assert len(scripts) == len([tag for tag, _ in plain.tags if tag == "script"])
    for _, attributes in page.tags:
        assert not [name for name in attributes if name.startswith("on")]
        for name in ("src", "href", "poster"):
            target = attributes.get(name, "")
            if not target.startswith("data:"):
                parts = urllib.parse.urlsplit(target)
                assert not parts.scheme and not parts.netloc, target


@given(NASTY.filter(lambda name: name and not {"/", "\\", "\0"} & set(name) and name.isprintable()))
def test_names_lead_to_their_files(name: str) -> None:
    page = Page(sheet.page("t", [{**MADE, "clip": f"{name}.mp4"}]))
    found = [a.get("src") or a.get("href", "") for tag, a in page.tags if tag in ("video", "source", "a")]
    assert any(urllib.parse.unquote(target).removeprefix("./") == f"{name}.mp4" for target in found)


def test_ten_thousand_clips_are_a_page() -> None:
    text = sheet.page("many", ({**MADE, "id": f"boat-{n}"} for n in range(10_000)))
    assert text.count("<video") == 10_000 and len(text) < 40_000_000 and "content-visibility" in text
