"""What was measured is remembered, within bounds; damage costs accuracy only."""

from __future__ import annotations

from pathlib import Path

import pytest

from animatic.history import KEPT, SHAPES, History, Sample


def sample(seconds: float, flops: float = 1e12) -> Sample:
    return Sample(flops, 4, seconds, 1000)


def test_samples_come_back_from_the_file(tmp_path: Path) -> None:
    history = History(tmp_path / "h.json")
    history.note_run("gpu", "m@1", "image.denoise", sample(2.0))
    history.note_load("gpu", "m@1/transformer", 64 << 20, 0.5)
    history.save()
    again = History(tmp_path / "h.json")
    assert again.runs("gpu", "m@1", "image.denoise") == [sample(2.0)]
    assert again.runs("cpu", "m@1", "image.denoise") == []
    assert again.load_seconds("gpu", "m@1/transformer") == 0.5
    assert again.load_rate("gpu") == (64 << 20) / 0.5
    assert again.load_rate("cpu") is None
    assert again.of_device("gpu") == {"image.denoise": [sample(2.0)]}


def test_only_the_latest_samples_and_shapes_are_kept(tmp_path: Path) -> None:
    history = History(tmp_path / "h.json")
    for n in range(100):
        history.note_run("gpu", "m", "p", sample(float(n)))
    assert [s.seconds for s in history.runs("gpu", "m", "p")] == [float(n) for n in range(100 - KEPT, 100)]
    for n in range(100):
        history.note_run("gpu", "m", "p", sample(1.0, flops=float(n + 2)))
    assert len(history.runs("gpu", "m", "p")) == SHAPES


def test_the_median_withstands_one_disturbed_load(tmp_path: Path) -> None:
    history = History(tmp_path / "h.json")
    for seconds in (1.0, 1.1, 60.0):
        history.note_load("gpu", "c", 1, seconds)
    assert history.load_seconds("gpu", "c") == 1.1


STRANGE = '{"runs": {"a|b|c": [{"x": 1}, 4]}, "loads": {"d|e|": [7]}}'


@pytest.mark.parametrize("text", ["", "{", "[]", '{"runs": 3}', STRANGE])
def test_a_damaged_file_is_no_history(text: str, tmp_path: Path) -> None:
    (tmp_path / "h.json").write_text(text)
    history = History(tmp_path / "h.json")
    assert history.runs("a", "b", "c") == [] and history.load_rate("d") is None
    history.note_run("a", "b", "c", sample(1.0))
    history.save()
    assert History(tmp_path / "h.json").runs("a", "b", "c") == [sample(1.0)]


def test_a_home_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    history = History(tmp_path / "file" / "h.json")
    history.note_load("a", "b", 1, 1.0)
    history.save()
