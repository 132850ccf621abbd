"""Strangers' pictures: what is one is kept, what is none is told so, and nothing takes the server's memory."""

from __future__ import annotations

import hashlib
import io
import tempfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from animatic import bitmap, intake
from animatic.errors import ImageError, OutputError


def taken(data: bytes, folder: Path, most: int = 1_000_000) -> str:
    with tempfile.TemporaryFile() as file:
        file.write(data)
        return intake.take(file, folder, most)


def picture(kind: str, size: tuple[int, int] = (40, 30)) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, (200, 30, 60)).save(file, kind)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP"])
def test_a_picture_is_kept_under_its_contents_name(tmp_path: Path, kind: str) -> None:
    name = taken(picture(kind), tmp_path)
    kept = tmp_path / name
    assert name == f"{hashlib.sha256(kept.read_bytes()).hexdigest()}.png"
    assert np.abs(bitmap.read_image(kept)[15, 20].astype(int) - (200, 30, 60)).max() < 6
    assert taken(picture(kind), tmp_path) == name and len(list(tmp_path.iterdir())) == 1


def test_what_is_hidden_in_a_picture_does_not_stay(tmp_path: Path) -> None:
    file = io.BytesIO()
    exif = Image.Exif()
    exif[0x010E] = "a secret place"
    Image.new("RGB", (40, 30)).save(file, "JPEG", exif=exif, comment=b"<script>")
    kept = tmp_path / taken(file.getvalue() + b"PK trailing zip", tmp_path)
    assert not any(word in kept.read_bytes() for word in (b"secret", b"script", b"trailing"))


@pytest.mark.parametrize(
    "data", [b"", b"no picture", picture("PNG")[:60], b"<svg xmlns='http://www.w3.org/2000/svg'/>"]
)
def test_what_is_none_is_told_so(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(ImageError, match="the picture"):
        taken(data, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_bomb_is_refused_by_what_it_says_of_itself(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="4000 x 3000 pixels"):
        taken(picture("PNG", (4000, 3000)), tmp_path)


def test_a_picture_that_lies_about_its_size_is_damaged(tmp_path: Path) -> None:
    data = bytearray(picture("PNG"))
    data[16:24] = (900).to_bytes(4) + (900).to_bytes(4)
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4)
    with pytest.raises(ImageError):
        taken(bytes(data), tmp_path)


def test_a_folder_that_takes_nothing_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(OutputError):
        taken(picture("PNG"), tmp_path / "none")
