"""Copies under VBench's names: an index from 0 for each prompt, nobody's file replaced."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from animatic import bitmap, media, vbench
from animatic.errors import InputError
from tests.test_media import elsewhere, moving


def clip(path: Path, prompt: object, seed: int = 0) -> Path:
    path.write_bytes(media.mp4_bytes(moving(2), media.Encoding(), "t", {"prompt": prompt, "seed": seed}))
    return path


def names(paths: list[Path]) -> list[str]:
    return [path.name for path in paths]


def test_indices_count_from_zero_for_each_prompt(tmp_path: Path) -> None:
    clips = [clip(tmp_path / f"{n}.mp4", prompt, n) for n, prompt in enumerate(["A boat.", "a cat", "A boat."])]
    made = vbench.export(clips, tmp_path / "new/folder")
    assert names(made) == ["A boat.-0.mp4", "a cat-0.mp4", "A boat.-1.mp4"]
    for copy, original in zip(made, clips, strict=True):
        assert copy.read_bytes() == original.read_bytes() and not copy.is_symlink()
        assert copy.stat().st_ino != original.stat().st_ino


def test_nothing_is_replaced(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "a cat-0.mp4").write_text("mine")
    made = vbench.export([clip(tmp_path / "x.mp4", "a cat")], folder)
    assert names(made) == ["a cat-1.mp4"] and (folder / "a cat-0.mp4").read_text() == "mine"


def test_the_same_export_twice_is_one(tmp_path: Path) -> None:
    clips = [clip(tmp_path / f"{n}.mp4", "a cat", n) for n in range(2)]
    first = vbench.export(clips, tmp_path / "out")
    assert vbench.export(clips, tmp_path / "out") == first
    assert len(list((tmp_path / "out").iterdir())) == 2


def test_equal_takes_are_counted_each(tmp_path: Path) -> None:
    one = clip(tmp_path / "x.mp4", "a cat")
    assert names(vbench.export([one, one], tmp_path / "out")) == ["a cat-0.mp4", "a cat-1.mp4"]


def test_a_clip_without_a_prompt_goes_by_its_file_name(tmp_path: Path) -> None:
    made = vbench.export([elsewhere(tmp_path / "holiday.mp4")], tmp_path / "out")
    assert names(made) == ["holiday-0.mp4"]


def test_what_is_no_clip_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    good = clip(tmp_path / "x.mp4", "a cat")
    still = tmp_path / "x.png"
    still.write_bytes(bitmap.png_bytes(moving(1)[0]))
    for bad, says in ((still, "not an MP4"), (tmp_path / "none.mp4", "no such file")):
        with pytest.raises(InputError, match=says):
            vbench.export([good, bad], tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("prompt", "name"),
    [
        ("A person is playing a violin, 'slowly'.", "A person is playing a violin, 'slowly'."),
        ("../../etc/passwd", ".. .. etc passwd"),
        ("a\\b\nc\0d", "a b c d"),
        ("船" * 200, "船" * 80),
        ("", "clip"),
    ],
)
def test_prompts_stay_as_vbench_spells_them(prompt: str, name: str) -> None:
    assert vbench._name(prompt) == name


@given(st.text(max_size=400))
def test_every_prompt_has_a_name_in_the_folder(prompt: str) -> None:
    name = f"{vbench._name(prompt)}-1234.mp4"
    assert Path(name).name == name and len(name.encode()) <= 255
