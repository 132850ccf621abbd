"""The lines of a batch: added whole, whatever was cut short before, and settled to one a shot."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from animatic.results import FILE, Lines


def line(name: str, text: str = "", status: str = "completed") -> dict[str, str]:
    return {"id": name, "status": status, "signature": "s", "clip": f"{name}.mp4", "text": text}


def test_a_line_that_was_cut_short_spoils_no_other(tmp_path: Path) -> None:
    results = Lines(tmp_path)
    results.add(line("a"))
    (tmp_path / FILE).write_bytes((tmp_path / FILE).read_bytes() + b'{"id": "b", "stat')
    results.add(line("c"))
    assert [one["id"] for one in results] == ["a", "c"]
    assert (tmp_path / FILE).read_bytes().endswith(b"}\n")


def test_the_last_word_counts_in_the_batchs_order(tmp_path: Path) -> None:
    results = Lines(tmp_path)
    for name, text in (("b", "1"), ("x", "1"), ("a", "1"), ("b", "2\n船")):
        results.add(line(name, text))
    results.settle(["a", "b", "c"])
    assert [(one["id"], one["text"]) for one in results] == [("a", "1"), ("b", "2\n船"), ("x", "1")]
    before = (tmp_path / FILE).stat().st_ino
    results.settle(["a", "b", "c"])
    assert (tmp_path / FILE).stat().st_ino == before, "what is settled is left alone"


def test_made_is_what_has_its_clip(tmp_path: Path) -> None:
    results = Lines(tmp_path)
    assert results.made() == {}
    for one in (line("a"), line("b"), line("c", status="failed")):
        results.add(one)
    (tmp_path / "a.mp4").touch()
    (tmp_path / "c.mp4").touch()
    assert results.made() == {"a": ("s", "a.mp4")}


@given(st.binary(max_size=200))
def test_garbage_is_no_line(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / FILE).write_bytes(data)
        results = Lines(Path(folder))
        results.add(line("a"))
        assert list(results)[-1]["id"] == "a"
        results.settle(["a"])
        assert next(iter(results))["id"] == "a"
