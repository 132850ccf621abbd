"""A film examined: the same measures wherever it is looked at from, and in words what a person should know."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from animatic import bitmap, film, media, provenance
from animatic.errors import InputError
from tests.test_media import elsewhere
from tests.test_metrics import panned, texture

ASKED = {"video.num_frames": 6, "file.fps": 8, "video.width": 144, "video.height": 96, "video.fit": "crop"}
SOUND = media.Container("h264", "yuv420p", 144, 96, 6, 8.0, True, True, True, True)


def clip(folder: Path, step: int = 2) -> Path:
    path = folder / "clip.mp4"
    frames = panned(step)
    path.write_bytes(media.mp4_bytes(frames, media.Encoding(), "t", {"prompt": "a boat", "options": ASKED}))
    path.with_suffix(".png").write_bytes(bitmap.png_bytes(frames[0]))
    return path


def test_a_film_as_asked_has_nothing_said_of_it(tmp_path: Path) -> None:
    path = clip(tmp_path)
    found = film.look(path, provenance.read(path))
    assert found["motion"] == pytest.approx(2, abs=0.2) and found["still_psnr"] > 25
    assert found["container"]["faststart"] and found["remarks"] == []
    assert found == film.examine(path.read_bytes(), bitmap.read_image(path.with_suffix(".png")), ASKED)
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_the_still_is_brought_to_the_films_shape() -> None:
    wide = texture(96, 240, grain=12)
    padded = bitmap.fit(wide, (144, 96), "pad")
    data = media.mp4_bytes(padded[None].repeat(3, 0), media.Encoding(crf=10), "t", {})
    kept, cut = (film.examine(data, wide, {"video.fit": rule})["still_psnr"] for rule in ("pad", "crop"))
    assert kept > 25 > cut


@pytest.mark.parametrize("still", [None, b"no picture"])
def test_a_film_without_its_still_is_measured_all_the_same(tmp_path: Path, still: bytes | None) -> None:
    path = clip(tmp_path)
    beside = path.with_suffix(".png")
    beside.unlink()
    if still:
        beside.write_bytes(still)
    found = film.look(path, {})
    assert found["still_psnr"] is None and found["still_ssim"] is None and found["frames"] == 6


def test_a_film_made_elsewhere_is_measured_and_its_faults_are_said(tmp_path: Path) -> None:
    found = film.look(elsewhere(tmp_path / "x.mp4", (0, 1, 2, 5)), {})
    said = " | ".join(found["remarks"])
    assert found["frames"] == 4 and not found["container"]["provenance"]
    for words in ("mpeg4 yuv420p: not every player", "index stands at the file's end", "BT.709", "equally long"):
        assert words in said


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"frames": 5}, "frames: 5, where 6 was asked for"),
        ({"fps": 7.5}, "frames a second: 7.5, where 8 was asked for"),
        ({"width": 160}, "width: 160, where 144 was asked for"),
        ({"height": 90}, "height: 90, where 96 was asked for"),
        ({"fps": float("nan")}, "frames a second: nan, where 8 was asked for"),
    ],
)
def test_what_is_not_as_asked_is_said(wrong: dict[str, float], words: str) -> None:
    assert film.faults(dataclasses.replace(SOUND, **wrong), ASKED) == (words,)
    assert film.faults(SOUND, ASKED) == film.faults(SOUND) == ()


def test_an_odd_side_is_made_even_by_the_codec() -> None:
    assert film.faults(SOUND, {**ASKED, "video.width": 143, "video.height": 95}) == ()


@pytest.mark.parametrize("options", [[1], "x", {"video.num_frames": "many", "file.fps": None, "video.fit": ["pad"]}])
def test_a_record_of_another_hand_breaks_nothing(tmp_path: Path, options: object) -> None:
    assert film.look(clip(tmp_path), {"options": options})["remarks"] == []


def test_what_is_no_film_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.mp4"
    path.write_bytes(b"hello")
    with pytest.raises(InputError, match="cannot read this clip"):
        film.look(path, {})
