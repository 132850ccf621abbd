"""The contact sheet: sound markup, nothing of an unknown hand in it, no path out of the folder, all shots shown."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from typing import Any
from urllib.parse import unquote, urljoin

import pytest
from hypothesis import given
from hypothesis import strategies as st

from animatic import card, sheet

VOID = {"meta", "img", "input", "br", "link"}
NASTY = (
    "</script><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "javascript:alert(1)",
    "//evil.example/x.mp4",
    "http://evil.example/x",
    "/etc/passwd",
    "../../outside.mp4",
    "..\\outside.mp4",
    "</style><b>",
    "<!--",
    "]]>",
    "&amp;&lt;",
    "\u202eright to left",
    "قارب أحمر",
    "夜空下的红船",
    "🚀 👩‍🚀",
    "a\x00b\x1bc\ud800d\r\ne\ufffe",
    "w" * 3000,
    "100% a?b#c d",
)


def page_of(title: str, results: list[dict[str, Any]], missing: int = 0) -> str:
    return "".join(sheet.page(title, results, missing))


class Page(HTMLParser):
    """Checks that every tag is closed by its own, and keeps elements, attributes and text."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert not self.open, f"left open: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"{tag} has an attribute twice: {names}"
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] not in ("script", "style"):
            self.text += data

    def all(self, tag: str, kind: str = "") -> list[dict[str, str]]:
        return [a for name, a in self.tags if name == tag and (not kind or kind in a.get("class", "").split())]

    @property
    def urls(self) -> list[str]:
        return [a[key] for _, a in self.tags for key in ("href", "src", "poster", "action", "data") if key in a]


def completed(**more: Any) -> dict[str, Any]:
    return {
        "id": "boat",
        "status": "completed",
        "prompt": "a red boat sails",
        "seed": 7,
        "preset": "pocket",
        "caption": "A red boat sails under a night sky.",
        "clip": "boat.mp4",
        "still": "boat.png",
        "card": "boat-card.png",
        "sidecar": "boat.json",
        "size": [144, 96],
        "frames": 17,
        "fps": 8,
        "seconds": {"refine": 1.2, "image": 0.8, "video": 3.1, "file": 0.3},
        "measures": {
            "motion": 0.4213,
            "temporal_flickering": 0.98,
            "sharpness_drift": -0.25,
            "still_psnr": 31.24,
            "remarks": ["near-static: nothing moves"],
        },
        "made": "2026-11-25T02:00:00+00:00",
        **more,
    }


def failed(**more: Any) -> dict[str, Any]:
    text = "video.decode: 23.9 of 24.0 GiB were taken"
    return {"id": "keeper", "status": "failed", "prompt": "a keeper", "seed": 0, "error": text, **more}


def test_a_clip_is_shown_with_what_matters() -> None:
    page = Page(page_of("Harbour", [completed()]))
    (film,) = page.all("a", "film")
    assert film["href"] == "./boat.mp4" and {"plays", "crisp"} <= set(film["class"].split())
    (image,) = page.all("img")
    assert (
        image["src"] == "./boat.png"
        and image["loading"] == "lazy"
        and (image["width"], image["height"]) == ("144", "96")
    )
    for shown in ("boat", "a red boat sails", "A red boat sails under a night sky.", "near-static: nothing moves"):
        assert shown in page.text
    for shown in ("144×96", "17 in 2.1 s", "5.4 s: refine", "0.42 px", "5.1", "−25 %", "31.2 dB"):
        assert shown in page.text
    assert [a["href"] for a in page.all("a")[2:]] == ["./boat.mp4", "./boat.png", "./boat-card.png", "./boat.json"]


def test_failed_shots_are_shown_with_their_error() -> None:
    page = Page(page_of("Harbour", [completed(), failed(), failed(id="x", error=None)]))
    assert len(page.all("article")) == 3 and len(page.all("article", "failed")) == 2
    assert "23.9 of 24.0 GiB were taken" in page.text and "no reason is given" in page.text
    assert len(page.all("img")) == 1


def test_counts_and_sums_are_right() -> None:
    results = [completed(id=str(n)) for n in range(1200)] + [failed(id=f"f{n}") for n in range(3)]
    results += [completed(id="quiet", measures={})]
    page = Page(page_of("Harbour", results, missing=40))
    assert "1,201 completed" in page.text and "3 failed" in page.text and "40 not yet made" in page.text
    assert "all 1,204" in page.text and "with remarks 1,200" in page.text
    assert "24 min 01 s" in page.text  # of refining: 1,201 times 1.2 s
    assert len(page.all("article")) == 1204
    assert len({a["id"] for a in page.all("article")}) == 1204


def test_what_is_nought_is_not_counted() -> None:
    text = Page(page_of("Harbour", [completed()])).text
    assert "failed" not in text and "not yet made" not in text


def test_an_empty_batch_is_a_page() -> None:
    page = Page(page_of("Harbour", [], missing=5))
    assert "0 completed" in page.text and "5 not yet made" in page.text and "No clip is made yet." in page.text


@pytest.mark.parametrize("key", sorted(completed().keys() - {"id", "status", "prompt"}))
def test_any_key_may_be_lacking(key: str) -> None:
    result = completed()
    del result[key]
    assert "a red boat sails" in Page(page_of("Harbour", [result])).text


def test_a_bare_result_is_enough() -> None:
    page = Page(page_of("Harbour", [{"id": "a", "status": "completed", "prompt": "p"}, {"status": "failed"}, {}]))
    assert len(page.all("article")) == 3 and "no film" in page.text


def test_a_clip_without_a_still_still_plays_and_a_still_without_a_clip_is_shown() -> None:
    page = Page(page_of("Harbour", [completed(still=None), completed(clip=None)]))
    first, second = page.all("a", "film")
    assert "plays" in first["class"] and first["href"] == "./boat.mp4"
    assert "plays" not in second["class"] and second["href"] == "./boat.png"


def test_large_clips_are_scaled_smoothly() -> None:
    page = Page(page_of("Harbour", [completed(size=[720, 480]), completed(size=[255, 999])]))
    assert ["crisp" in film["class"] for film in page.all("a", "film")] == [False, True]


def test_long_texts_fold_and_short_ones_do_not() -> None:
    page = Page(page_of("Harbour", [completed(caption="word " * 60), completed()]))
    assert len(page.all("details", "caption")) == 1 and len(page.all("p", "caption")) == 1
    assert "word " * 59 in page.text


def test_file_names_are_quoted_and_stay_in_the_folder() -> None:
    names = {"clip": "a b#c?d%20é.mp4", "still": "javascript:x.png", "card": "//evil/x.png", "sidecar": "../x.json"}
    page = Page(page_of("Harbour", [completed(**names)]))
    assert "./a%20b%23c%3Fd%2520%C3%A9.mp4" in page.urls and "./javascript%3Ax.png" in page.urls
    assert not [url for url in page.urls if "evil" in url or ".." in url]
    assert "./part/boat.mp4" in Page(page_of("Harbour", [completed(clip="part/boat.mp4")])).urls


def test_only_our_own_script_may_run_and_nothing_is_loaded_from_elsewhere() -> None:
    text = page_of("Harbour", [completed(), failed()], 3)
    scripts = re.findall(r"<script>(.*?)</script>", text, re.S)
    digest = base64.b64encode(hashlib.sha256(scripts[0].encode()).digest()).decode()
    (policy,) = (a["content"] for a in Page(text).all("meta") if "content" in a and "script-src" in a["content"])
    assert len(scripts) == 1 and f"script-src 'sha256-{digest}'" in policy
    assert "://" not in text and "@import" not in text and "url(" not in text
    assert not re.findall(r"http(?!-equiv)", text)


def test_the_palette_is_the_share_cards() -> None:
    for colour in (card._GROUND, card._HAIRLINE, card._ACCENT, card._CREAM, card._SAND):
        assert "#{:02x}{:02x}{:02x}".format(*colour) in sheet._STYLE


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_every_text_can_be_read_on_what_is_under_it(scheme: str) -> None:
    dark, _, rest = sheet._STYLE.partition("@media(prefers-color-scheme:light)")
    names = dict(re.findall(r"--([\w]+):(#[0-9a-f]{6})", dark))
    if scheme == "light":
        names |= dict(re.findall(r"--([\w]+):(#[0-9a-f]{6})", rest))
    pairs = [(ink, ground) for ink in ("cream", "sand", "umber", "accent") for ground in ("ground", "panel")]
    pairs += [("umber", "well"), ("accent", "tag"), ("bad", "badground"), ("cream", "badground"), ("bad", "ground")]
    for ink, ground in pairs:
        assert contrast(names[ink], names[ground]) >= 4.5, f"{ink} on {ground}"


def contrast(one: str, other: str) -> float:
    """WCAG 2's ratio."""

    def light(colour: str) -> float:
        parts = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((light(one), light(other)))
    return (high + 0.05) / (low + 0.05)


texts = (
    st.sampled_from(NASTY) | st.text(max_size=40) | st.text(st.sampled_from("<>&\"'/\\:;=`!-%#?. \n\x00a"), max_size=20)
)
odd = texts | st.none() | st.booleans() | st.integers() | st.floats() | st.lists(texts, max_size=2)
values = odd | st.dictionaries(texts, odd, max_size=3) | st.just(10**400) | st.just([10**400, -3])
results = st.builds(
    lambda base, change: {**base, **change},
    st.sampled_from([completed(), failed()]),
    st.dictionaries(st.sampled_from([*completed(), "error"]), values, max_size=8),
)
measures = st.dictionaries(st.sampled_from(["motion", "temporal_flickering", "sharpness_drift", "remarks"]), values)


@given(texts, st.lists(results, max_size=3), st.integers(0, 10**6))
def test_nothing_of_an_unknown_hand_becomes_markup(title: str, results: list[dict[str, Any]], missing: int) -> None:
    text = page_of(title, results, missing)
    text.encode()
    page = Page(text)
    plain = Page(page_of("", results[:0]))
    known = {
        tag for tag, _ in Page(page_of("t", [completed(caption="w " * 200), completed(still=None), failed()])).tags
    }
    assert {tag for tag, _ in page.tags} <= known
    assert len(page.all("script")) == len(plain.all("script")) == 1 and text.count("</style>") == 1
    assert not [name for _, a in page.tags for name in a if name.startswith("on")]
    assert len(page.all("article")) == len(results)
    for url in page.urls:
        assert url.startswith(("./", "#")), url
        there = urljoin("file:///batch/out/index.html", url)
        assert there.startswith("file:///batch/out/")
        assert "/../" not in unquote(there.replace("%5C", "")) and "\\" not in there


@given(texts)
def test_text_is_shown_as_it_is(prompt: str) -> None:
    page = Page(page_of("t", [completed(prompt=prompt, caption="")]))
    assert sheet._UNFIT.sub("\ufffd", prompt).replace("\r\n", "\n").replace("\r", "\n") in page.text.replace(
        "\r\n", "\n"
    ).replace("\r", "\n")


@given(measures)
def test_measures_may_be_anything(measures: dict[str, Any]) -> None:
    Page(page_of("t", [completed(measures=measures)]))
