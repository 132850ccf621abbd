from __future__ import annotations

import base64
import io
import json
import os
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image, PngImagePlugin

from animatic import media, xmp
from animatic.errors import InputError

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


RGB = Image.new("RGB", (8, 8))


def moving(count: int = 5, height: int = 48, width: int = 64) -> media.Pixels:
    y, x = np.mgrid[:height, :width]
    frames = [np.stack([x * 3 + 9 * t, y * 4, x + y + 20 * t], -1) for t in range(count)]
    return (np.stack(frames) % 256).astype(np.uint8)


def written(folder: Path, frames: media.Pixels, lossless: bool = False, fps: float = 8, **record: Any) -> Path:
    path = folder / "clip.mp4"
    path.write_bytes(media.mp4_bytes(frames, media.Encoding(fps, lossless=lossless), "a title", record))
    return path


def elsewhere(path: Path, ticks: tuple[int, ...] = (0, 1, 2, 3)) -> Path:
    """A clip as another tool writes it: an older codec, the index at the end, no tags, frames at any times."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=8)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for tick, frame in zip(ticks, moving(len(ticks)), strict=True):
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24").reformat(format="yuv420p")
            picture.pts, picture.time_base = tick, Fraction(1, 8)
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    return path


def saved(path: Path, image: Image.Image, **options: Any) -> Path:
    image.save(path, **options)
    return path


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
    assert media.provenance(path) == record


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


# -------------------------------------------------------------------------------------------------------- png


@given(arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3))), st.text(max_size=40))
@settings(max_examples=40, deadline=None)
def test_png_keeps_pixels_and_any_text(image: media.Pixels, text: str) -> None:
    record = {"prompt": text, text: [1, 2.5, None, True]}
    data = media.png_bytes(image, text, record)
    assert data == media.png_bytes(image.copy(), text, record)
    assert np.array_equal(media.read_png(data), image)


def test_png_texts_are_where_other_tools_look() -> None:
    image = moving(1)[0]
    data = media.png_bytes(image, "a boat\nSteps: 4", {"seed": 1, "prompt": "船"})
    assert b"tEXtparameters\0a boat\nSteps: 4" in data
    with Image.open(io.BytesIO(data)) as opened:
        assert opened.text["parameters"] == "a boat\nSteps: 4"  # type: ignore[attr-defined]
        assert json.loads(opened.text["animatic"]) == {"seed": 1, "prompt": "船"}  # type: ignore[attr-defined]
    assert b"iTXtparameters\0" in media.png_bytes(image, "一只船")


def test_parameters_have_the_a1111_form() -> None:
    text = media.a1111_parameters(
        "a red\nboat", "blurry", steps=28, seed=0, guidance=3.5, size=(720, 480), model="FLUX.1-dev"
    )
    assert text == (
        "a red boat\nNegative prompt: blurry\n"
        "Steps: 28, Sampler: Euler, CFG scale: 3.5, Seed: 0, Size: 720x480, Model: FLUX.1-dev"
    )
    bare = media.a1111_parameters("x", steps=4, seed=1, guidance=0, size=(8, 8), model="a, b", sampler="DPM++ 2M")
    assert bare == 'x\nSteps: 4, Sampler: DPM++ 2M, CFG scale: 0, Seed: 1, Size: 8x8, Model: "a, b"'


def test_a_data_url_holds_the_middle_frame() -> None:
    frames = moving(5)
    for preview, expected in ((frames, frames[2]), (frames[3], frames[3])):
        head, _, body = media.data_url(preview).partition(",")
        assert head == "data:image/png;base64"
        assert np.array_equal(media.read_png(base64.b64decode(body)), expected)


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


# ------------------------------------------------------------------------------------------------- provenance


@pytest.mark.parametrize("suffix", ["png", "mp4", "txt"])
def test_provenance_is_found_by_content(tmp_path: Path, suffix: str) -> None:
    record = {"prompt": 'a "quoted"\n船 \u2028', "seed": 3, "models": {"image": "x"}, "odd": "\ud800"}
    for data in (
        media.png_bytes(moving(1)[0], "p", record),
        media.mp4_bytes(moving(), media.Encoding(), "t", record),
    ):
        path = tmp_path / f"x.{suffix}"
        path.write_bytes(data)
        assert media.provenance(path) == record


def test_a_packed_record_written_by_another_tool_is_found(tmp_path: Path) -> None:
    chunks = PngImagePlugin.PngInfo()
    chunks.add_itxt("animatic", '{"seed": 1}', zip=True)
    assert media.provenance(saved(tmp_path / "x.png", RGB, pnginfo=chunks)) == {"seed": 1}


def test_a_record_of_a_megabyte_survives(tmp_path: Path) -> None:
    record = {"caption": "x" * 2**20}
    assert media.provenance(written(tmp_path, moving(1), **record)) == record


@pytest.mark.parametrize(
    ("text", "packed", "message"),
    [
        (None, False, "no record"),
        ("[1, 2]", False, "a JSON list"),
        ("{broken", False, "cannot be read"),
        ("[" * 100_000, False, "cannot be read"),
        (" " * (17 * 2**20), True, "longer"),
    ],
)
def test_a_bad_record_is_refused(tmp_path: Path, text: str | None, packed: bool, message: str) -> None:
    chunks = PngImagePlugin.PngInfo()
    if text is not None:
        chunks.add_itxt("animatic", text, zip=packed)
    with pytest.raises(InputError, match=message):
        media.provenance(saved(tmp_path / "x.png", RGB, pnginfo=chunks))


@pytest.mark.parametrize("read", [media.provenance, media.digital_source])
def test_other_files_are_refused_kindly(read: Callable[[Path], object], tmp_path: Path) -> None:
    other = tmp_path / "x.txt"
    other.write_text("hello")
    for path in (other, tmp_path, tmp_path / "none", tmp_path / "a\0b"):
        with pytest.raises(InputError) as caught:
            read(path)
        assert "\n" not in str(caught.value)
    data = media.mp4_bytes(moving(1), media.Encoding(), "t", {"a": 1})
    other.write_bytes(data.replace(b'{"animatic":', b'{"workflow":'))
    with pytest.raises(InputError, match="no record"):
        media.provenance(other)


def test_a_record_that_json_cannot_hold_is_refused() -> None:
    with pytest.raises(ValueError, match="plain JSON"):
        media.png_bytes(moving(1)[0], provenance={"a": object()})
    with pytest.raises(ValueError, match="JSON"):
        media.png_bytes(moving(1)[0], provenance={"a": float("nan")})


# ------------------------------------------------------------------------------------------- synthetic media

PROMPT = 'a <red> "boat" & 船 🚤 \ud800 \x00'
OWN = {"prompt": PROMPT, "animatic": "1.2", "still_source": "user"}


def without_mark(data: bytes) -> bytes:
    """A clip as a tool that strips what it does not know leaves it."""
    start = data.index(b"uuid" + xmp.MP4_UUID) - 4
    assert start + int.from_bytes(data[start : start + 4]) == len(data), "the mark is the last box"
    return data[:start]


def box(kind: bytes, body: bytes, wide: bool = False) -> bytes:
    if wide:
        return struct.pack(">I4sQ", 1, kind, 16 + len(body)) + body
    return struct.pack(">I4s", 8 + len(body), kind) + body


def test_clips_and_stills_are_marked_as_synthetic(tmp_path: Path) -> None:
    record = {"prompt": PROMPT, "animatic": "1.2", "still_source": "model"}
    clip = written(tmp_path, moving(2), **record)
    still = tmp_path / "x.png"
    still.write_bytes(media.png_bytes(moving(1)[0], "p", record))
    for path in (clip, still):
        assert media.digital_source(path) == media.digital_source(path.read_bytes()) == xmp.SYNTHETIC
        assert media.provenance(path) == record
    with Image.open(still) as opened:
        assert opened.info["xmp"] == xmp.packet(PROMPT, "1.2")


def test_a_clip_from_the_users_still_is_composite_and_the_still_is_not_marked(tmp_path: Path) -> None:
    assert media.digital_source(written(tmp_path, moving(2), **OWN)) == xmp.COMPOSITE
    still = media.png_bytes(moving(1)[0], "", OWN)
    assert media.digital_source(still) is None and b"xmp" not in still


def test_a_picture_without_a_record_is_pure_pixels() -> None:
    image = moving(1)[0]
    plain = io.BytesIO()
    Image.fromarray(image).save(plain, "PNG")
    assert media.png_bytes(image) == plain.getvalue() and media.digital_source(plain.getvalue()) is None


def test_the_mark_changes_nothing_else_of_a_clip() -> None:
    marked = media.mp4_bytes(moving(), media.Encoding(), "t", {"prompt": PROMPT})
    assert marked == media.mp4_bytes(moving(), media.Encoding(), "t", {"prompt": PROMPT})
    plain = without_mark(marked)
    assert media.digital_source(plain) is None
    assert media.container(marked) == media.container(plain) and media.container(marked).faststart
    frames = [np.stack(list(media.each_frame(clip))) for clip in (marked, plain)]
    assert np.array_equal(*frames)


def test_another_tools_clip_is_not_marked(tmp_path: Path) -> None:
    assert media.digital_source(elsewhere(tmp_path / "x.mp4")) is None


def test_the_mark_is_found_wherever_its_box_stands() -> None:
    start, mark = box(b"ftyp", b"isom" * 3), box(b"uuid", xmp.MP4_UUID + xmp.packet("x"))
    other = box(b"uuid", b"another tool's id" * 9)
    assert media.digital_source(start + other + box(b"mdat", b"film", wide=True) + mark + other) == xmp.SYNTHETIC
    assert media.digital_source(start + mark + box(b"moov", b"")) == xmp.SYNTHETIC


@pytest.mark.parametrize(
    "damaged",
    [
        box(b"uuid", xmp.MP4_UUID),
        box(b"uuid", xmp.MP4_UUID[:9]),
        box(b"uuid", xmp.MP4_UUID + b"<x:xmpmeta"),
        box(b"uuid", xmp.MP4_UUID + xmp.packet("x"))[:-9],
        box(b"uuid", xmp.MP4_UUID + b"<a>" * xmp.MAX_PACKET),
        struct.pack(">I4sQ", 1, b"free", 2**64 - 1) + box(b"uuid", xmp.MP4_UUID + xmp.packet("x")),
        struct.pack(">I4s", 0, b"free") + box(b"uuid", xmp.MP4_UUID + xmp.packet("x")),
        b"\0\0\0\1uuid\0",
        b"\0\0",
    ],
)
def test_a_damaged_clip_states_nothing(damaged: bytes) -> None:
    assert media.digital_source(box(b"ftyp", b"isom" * 3) + damaged) is None


def test_a_packed_mark_is_read_and_a_swollen_or_damaged_one_is_not(tmp_path: Path) -> None:
    for padding, expected in ((b"", xmp.SYNTHETIC), (b"x" * 2 * xmp.MAX_PACKET, None)):
        chunks = PngImagePlugin.PngInfo()
        chunks.add_itxt(xmp.PNG_KEYWORD, (xmp.packet("x") + padding).decode(), zip=True)
        assert media.digital_source(saved(tmp_path / "x.png", RGB, pnginfo=chunks)) == expected
    body = xmp.PNG_KEYWORD.encode() + b"\0\1\0\0\0no zlib"
    chunk = struct.pack(">I", len(body)) + b"iTXt" + body + struct.pack(">I", zlib.crc32(b"iTXt" + body))
    assert media.digital_source(b"\x89PNG\r\n\x1a\n" + chunk) is None


@given(st.binary(max_size=80), st.integers(0, 700))
@settings(max_examples=60)
def test_a_file_cut_and_torn_anywhere_is_no_crash(torn: bytes, at: int) -> None:
    for data in (CLIP, STILL):
        place = len(data) - at if data is CLIP else at
        media.digital_source(data[:12] + data[12:place] + torn + data[place + len(torn) :])


CLIP = media.mp4_bytes(moving(1, 16, 16), media.Encoding(), "t", {"prompt": "x"})
STILL = media.png_bytes(moving(1, 16, 16)[0], "p", {"prompt": "x"})
