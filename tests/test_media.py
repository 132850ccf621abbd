"""Clips: out, and in again. Pictures are in test_bitmap.py, what a file tells of its making in test_provenance.py."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from animatic import media, provenance
from animatic.errors import InputError
from tests.clips import elsewhere, moving, written

COLOURS = [
    (200, 30, 60),
    (255, 0, 0),
    (0, 255, 0),
    (0, 0, 255),
    (250, 240, 20),
    (0, 160, 170),
    (128, 128, 128),
]
COLOURS += [(255, 255, 255), (0, 0, 0), (230, 90, 0), (90, 0, 140)]


# ------------------------------------------------------------------------------------------------------ clips


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize(("lossless", "tolerance"), [(True, 2), (False, 6)])
def test_a_known_colour_comes_back(tmp_path: Path, colour: tuple[int, ...], lossless: bool, tolerance: int) -> None:
    frames = np.full((2, 32, 48, 3), colour, np.uint8)
    back = media.frames_of(written(tmp_path, frames, lossless))
    assert np.abs(back.astype(int) - frames).max() <= tolerance


def test_colours_side_by_side_come_back(tmp_path: Path) -> None:
    frames = np.repeat(np.array(COLOURS, np.uint8), 32, axis=0)[None, None].repeat(64, 1).repeat(3, 0)
    back = media.frames_of(written(tmp_path, frames))
    inside = np.concatenate([np.arange(12, 20) + 32 * n for n in range(len(COLOURS))])
    assert np.abs(back[:, 8:-8, inside].astype(int) - frames[:, 8:-8, inside]).max() <= 6
    exact = media.frames_of(written(tmp_path, frames, lossless=True))
    assert np.abs(exact.astype(int) - frames).max() <= 2


def test_any_picture_survives_the_lossless_encode(tmp_path: Path) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (3, 32, 48, 3), dtype=np.uint8)
    back = media.frames_of(written(tmp_path, frames, lossless=True))
    assert np.abs(back.astype(int) - frames).max() <= 2


def test_the_stream_is_what_players_expect(tmp_path: Path) -> None:
    path = written(tmp_path, moving())
    data = path.read_bytes()
    assert 0 < data.find(b"moov") < data.find(b"mdat")
    with av.open(str(path)) as container:
        stream, frame = container.streams.video[0], next(container.decode(video=0))
    assert (stream.codec_context.name, stream.pix_fmt) == ("h264", "yuv420p")
    assert [int(v) for v in (frame.colorspace, frame.color_primaries, frame.color_trc, frame.color_range)] == [1] * 4


@pytest.mark.parametrize(("count", "fps"), [(1, 8), (2, 8), (17, 8), (13, 23.976), (9, 12.5), (3, 60)])
def test_exactly_these_frames_in_exactly_this_time(tmp_path: Path, count: int, fps: float) -> None:
    path = written(tmp_path, moving(count), fps=fps)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.frames == len(list(container.decode(video=0))) == count
        assert stream.duration is not None and stream.time_base is not None
        assert float(stream.duration * stream.time_base) == pytest.approx(count / fps, abs=1e-3)
        assert container.duration == pytest.approx(1e6 * count / fps, abs=1001)


def test_frames_come_back_in_order(tmp_path: Path) -> None:
    frames = np.stack([np.full((32, 32, 3), 20 * n + 10, np.uint8) for n in range(12)])
    back = media.frames_of(written(tmp_path, frames))
    assert np.abs(back.mean((1, 2, 3)) - frames.mean((1, 2, 3))).max() < 3


@pytest.mark.parametrize(("height", "width"), [(47, 63), (48, 63), (47, 64), (1, 1)])
def test_odd_sides_are_made_even_by_repeating_the_edge(tmp_path: Path, height: int, width: int) -> None:
    frames = moving(2, height, width)
    back = media.frames_of(written(tmp_path, frames, lossless=True)).astype(int)
    assert back.shape == (2, height + height % 2, width + width % 2, 3)
    assert np.abs(back[:, :height, :width] - frames).max() <= 2
    assert np.abs(back[:, -1, :width] - frames[:, -1]).max() <= 2
    assert np.abs(back[:, :height, -1] - frames[:, :, -1]).max() <= 2


def test_equal_clips_give_equal_bytes_whatever_memory_holds() -> None:
    # Pseudo-random texture at a size where x264's macroblock tree was seen to differ from run to run.
    code = (
        "import hashlib, numpy as np; from animatic import media; from PIL import Image;"
        "r = np.random.default_rng(0).integers(0, 256, (12, 12, 18, 3), dtype='uint8');"
        "f = np.stack([np.asarray(Image.fromarray(x).resize((288, 192), 3)) for x in r]);"
        "b = media.mp4_bytes(f, media.Encoding(), 't', {'b': 1, 'a': 2});"
        "assert b == media.mp4_bytes(f.copy(), media.Encoding(), 't', {'a': 2, 'b': 1});"
        "print(hashlib.sha256(b).hexdigest())"
    )
    paths = os.pathsep.join(p for p in sys.path if p)
    seen = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONPATH": paths, "MALLOC_PERTURB_": fill},
            check=True,
            capture_output=True,
        ).stdout
        for fill in ("1", "255")
    }
    assert len(seen) == 1 and len(seen.pop().strip()) == 64


@pytest.mark.parametrize(
    "frames",
    [
        np.zeros((2, 16, 16, 3), np.float32),
        np.zeros((0, 16, 16, 3), np.uint8),
        np.zeros((2, 0, 16, 3), np.uint8),
        np.zeros((16, 16, 3), np.uint8),
        np.zeros((2, 16, 16, 4), np.uint8),
        [[1, 2, 3]],
    ],
)
def test_what_is_no_clip_is_refused(frames: Any) -> None:
    with pytest.raises(ValueError, match="uint8"):
        media.mp4_bytes(frames, media.Encoding(), "", {})


@pytest.mark.parametrize("wrong", [{"fps": 0}, {"fps": float("nan")}, {"fps": -1}, {"crf": 52}])
def test_an_impossible_encoding_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="give"):
        media.Encoding(**wrong)


def test_title_and_record_are_standard_tags(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    record = {"prompt": "ein Boot, 一只船", "seed": 7}
    path.write_bytes(media.mp4_bytes(moving(1), media.Encoding(), "a red\nboat \x00\ud800 船" + "x" * 9999, record))
    with av.open(str(path)) as container:
        tags = dict(container.metadata)
    assert tags["title"].startswith("a red boat ? 船x") and len(tags["title"]) == 1000
    assert json.loads(tags["comment"]) == {"animatic": record}
    assert provenance.read(path) == record


@pytest.mark.parametrize("content", [b"", b"text", b"\0\0\0\x18ftypisom" + b"\0" * 50])
def test_no_clip_is_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.mp4"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        media.frames_of(path)
    assert "\n" not in str(caught.value) and "x.mp4" in str(caught.value)


def test_a_picture_without_video_frames_or_a_missing_clip(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        media.frames_of(tmp_path / "none.mp4")


# -------------------------------------------------------------------------------------------------- container


def test_frames_come_one_by_one_from_a_file_and_from_bytes(tmp_path: Path) -> None:
    path = written(tmp_path, moving())
    for clip in (path, path.read_bytes()):
        assert np.array_equal(np.stack(list(media.each_frame(clip))), media.frames_of(path))


@pytest.mark.parametrize(("count", "fps"), [(1, 8), (17, 8), (13, 23.976), (3, 60)])
def test_our_container_says_what_it_holds(tmp_path: Path, count: int, fps: float) -> None:
    path = written(tmp_path, moving(count), fps=fps, prompt="x")
    found = media.container(path)
    assert found == media.container(path.read_bytes())
    assert (found.width, found.height, found.frames) == (64, 48, count)
    assert found.fps == pytest.approx(fps, abs=2e-3)
    assert (found.codec, found.pixel_format) == ("h264", "yuv420p")
    assert found.constant_rate and found.bt709 and found.faststart and found.provenance


def test_another_tools_container_is_told_apart(tmp_path: Path) -> None:
    path = elsewhere(tmp_path / "x.mp4", ticks=(0, 1, 2, 5, 9))
    found = media.container(path)
    assert (found.codec, found.pixel_format, found.frames) == ("mpeg4", "yuv420p", 5)
    assert not (found.constant_rate or found.bt709 or found.faststart or found.provenance)
    assert media.is_mp4(path)


def test_what_is_no_clip_has_no_container(tmp_path: Path) -> None:
    text = tmp_path / "x.mp4"
    text.write_text("hello")
    sound = tmp_path / "sound.mp4"
    with av.open(str(sound), "w") as container:
        stream = container.add_stream("aac", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 8000
        container.mux([*stream.encode(frame), *stream.encode()])
    for path in (text, sound, tmp_path, tmp_path / "none", tmp_path / "a\0b"):
        for read in (media.container, lambda path: list(media.each_frame(path))):
            with pytest.raises(InputError) as caught:
                read(path)
            assert "\n" not in str(caught.value)
    assert not any(media.is_mp4(path) for path in (text, tmp_path, tmp_path / "none", tmp_path / "a\0b"))
