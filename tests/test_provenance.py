"""The record inside clips and stills, and the mark of synthetic media beside it."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from animatic import bitmap, media, provenance, xmp
from animatic.errors import InputError
from tests.clips import elsewhere, moving, saved, written

RGB = Image.new("RGB", (8, 8))

# ------------------------------------------------------------------------------------------------- the record


@pytest.mark.parametrize("suffix", ["png", "mp4", "txt"])
def test_the_record_is_found_by_content(tmp_path: Path, suffix: str) -> None:
    record = {"prompt": 'a "quoted"\n船 \u2028', "seed": 3, "models": {"image": "x"}, "odd": "\ud800"}
    for data in (
        bitmap.png_bytes(moving(1)[0], "p", record),
        media.mp4_bytes(moving(), media.Encoding(), "t", record),
    ):
        path = tmp_path / f"x.{suffix}"
        path.write_bytes(data)
        assert provenance.read(path) == record


def test_a_packed_record_written_by_another_tool_is_found(tmp_path: Path) -> None:
    chunks = PngImagePlugin.PngInfo()
    chunks.add_itxt("animatic", '{"seed": 1}', zip=True)
    assert provenance.read(saved(tmp_path / "x.png", RGB, pnginfo=chunks)) == {"seed": 1}


def test_a_record_of_a_megabyte_survives(tmp_path: Path) -> None:
    record = {"caption": "x" * 2**20}
    assert provenance.read(written(tmp_path, moving(1), **record)) == record


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
        provenance.read(saved(tmp_path / "x.png", RGB, pnginfo=chunks))


@pytest.mark.parametrize("read", [provenance.read, provenance.digital_source])
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
        provenance.read(other)


def test_a_record_that_json_cannot_hold_is_refused() -> None:
    with pytest.raises(ValueError, match="plain JSON"):
        bitmap.png_bytes(moving(1)[0], record={"a": object()})
    with pytest.raises(ValueError, match="JSON"):
        bitmap.png_bytes(moving(1)[0], record={"a": float("nan")})


# --------------------------------------------------------------------------------------------------- the mark

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
    still.write_bytes(bitmap.png_bytes(moving(1)[0], "p", record))
    for path in (clip, still):
        assert provenance.digital_source(path) == provenance.digital_source(path.read_bytes()) == xmp.SYNTHETIC
        assert provenance.read(path) == record
    with Image.open(still) as opened:
        assert opened.info["xmp"] == xmp.packet(PROMPT, "1.2")


def test_a_clip_from_the_users_still_is_composite_and_the_still_is_not_marked(tmp_path: Path) -> None:
    assert provenance.digital_source(written(tmp_path, moving(2), **OWN)) == xmp.COMPOSITE
    still = bitmap.png_bytes(moving(1)[0], "", OWN)
    assert provenance.digital_source(still) is None and b"xmp" not in still


def test_a_picture_without_a_record_is_pure_pixels() -> None:
    image = moving(1)[0]
    plain = io.BytesIO()
    Image.fromarray(image).save(plain, "PNG")
    assert bitmap.png_bytes(image) == plain.getvalue() and provenance.digital_source(plain.getvalue()) is None


def test_the_mark_changes_nothing_else_of_a_clip() -> None:
    marked = media.mp4_bytes(moving(), media.Encoding(), "t", {"prompt": PROMPT})
    assert marked == media.mp4_bytes(moving(), media.Encoding(), "t", {"prompt": PROMPT})
    plain = without_mark(marked)
    assert provenance.digital_source(plain) is None
    assert media.container(marked) == media.container(plain) and media.container(marked).faststart
    frames = [np.stack(list(media.each_frame(clip))) for clip in (marked, plain)]
    assert np.array_equal(*frames)


def test_another_tools_clip_is_not_marked(tmp_path: Path) -> None:
    assert provenance.digital_source(elsewhere(tmp_path / "x.mp4")) is None


def test_the_mark_is_found_wherever_its_box_stands() -> None:
    start, mark = box(b"ftyp", b"isom" * 3), box(b"uuid", xmp.MP4_UUID + xmp.packet("x"))
    other = box(b"uuid", b"another tool's id" * 9)
    assert provenance.digital_source(start + other + box(b"mdat", b"film", wide=True) + mark + other) == xmp.SYNTHETIC
    assert provenance.digital_source(start + mark + box(b"moov", b"")) == xmp.SYNTHETIC


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
    assert provenance.digital_source(box(b"ftyp", b"isom" * 3) + damaged) is None


def test_a_packed_mark_is_read_and_a_swollen_or_damaged_one_is_not(tmp_path: Path) -> None:
    for padding, expected in ((b"", xmp.SYNTHETIC), (b"x" * 2 * xmp.MAX_PACKET, None)):
        chunks = PngImagePlugin.PngInfo()
        chunks.add_itxt(xmp.PNG_KEYWORD, (xmp.packet("x") + padding).decode(), zip=True)
        assert provenance.digital_source(saved(tmp_path / "x.png", RGB, pnginfo=chunks)) == expected
    body = xmp.PNG_KEYWORD.encode() + b"\0\1\0\0\0no zlib"
    chunk = struct.pack(">I", len(body)) + b"iTXt" + body + struct.pack(">I", zlib.crc32(b"iTXt" + body))
    assert provenance.digital_source(b"\x89PNG\r\n\x1a\n" + chunk) is None


@given(st.binary(max_size=80), st.integers(0, 700))
@settings(max_examples=60)
def test_a_file_cut_and_torn_anywhere_is_no_crash(torn: bytes, at: int) -> None:
    for data in (CLIP, STILL):
        place = len(data) - at if data is CLIP else at
        provenance.digital_source(data[:12] + data[12:place] + torn + data[place + len(torn) :])


CLIP = media.mp4_bytes(moving(1, 16, 16), media.Encoding(), "t", {"prompt": "x"})
STILL = bitmap.png_bytes(moving(1, 16, 16)[0], "p", {"prompt": "x"})
