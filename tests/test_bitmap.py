"""Pictures: in from anywhere, out as PNG, and their fitting."""

from __future__ import annotations

import base64
import io
import json
import struct
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image, ImageCms

from animatic import bitmap
from animatic.errors import ImageError
from tests.clips import moving, saved

Y, X = np.mgrid[:48, :64]
PICTURE = np.stack([X * 3, Y * 4, X + Y], -1).astype(np.uint8)
RGB = Image.fromarray(PICTURE)


# ----------------------------------------------------------------------------------------------------- stills


@pytest.mark.parametrize("suffix", ["png", "webp", "bmp", "tiff", "gif", "jpg"])
def test_common_formats_are_read(tmp_path: Path, suffix: str) -> None:
    flat = Image.new("RGB", (20, 10), (200, 40, 90))
    options = {"lossless": True} if suffix == "webp" else {}
    image = bitmap.read_image(saved(tmp_path / f"x.{suffix}", flat, **options))
    assert image.shape == (10, 20, 3) and image.dtype == np.uint8 and image.flags.writeable
    assert np.abs(image.astype(int) - (200, 40, 90)).max() <= 3


def test_pictures_are_turned_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    image = bitmap.read_image(saved(tmp_path / "x.png", RGB, exif=exif))
    assert np.array_equal(image, np.rot90(np.asarray(RGB), -1))


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparent_parts_lie_over_white(tmp_path: Path, mode: str) -> None:
    image = bitmap.read_image(saved(tmp_path / "x.png", Image.new(mode, (4, 4))))
    assert (image == 255).all()


def test_transparent_palettes_lie_over_white(tmp_path: Path) -> None:
    image = Image.new("P", (4, 4), 0)
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.putpixel((0, 0), 1)
    read = bitmap.read_image(saved(tmp_path / "x.png", image, transparency=0))
    assert (read[1:] == 255).all() and tuple(read[0, 0]) == (0, 0, 255)


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK"])
def test_every_mode_becomes_rgb(tmp_path: Path, mode: str) -> None:
    source = RGB.convert(mode)
    image = bitmap.read_image(saved(tmp_path / "x.tiff", source))
    assert np.array_equal(image, np.asarray(source.convert("RGB")))


@pytest.mark.parametrize(
    ("values", "suffix"),
    [
        (np.array([[0, 32896, 65535]], np.uint16), "png"),
        (np.array([[0, 32896, 65535]], np.int32), "tiff"),
        (np.array([[0, 0.502, 1, np.nan]], np.float32), "tiff"),
    ],
)
def test_deep_gray_is_scaled_and_not_cut(tmp_path: Path, values: Any, suffix: str) -> None:
    image = bitmap.read_image(saved(tmp_path / f"x.{suffix}", Image.fromarray(values)))
    assert image[0, :3, 0].tolist() == [0, 128, 255]


def test_a_profile_is_converted_and_a_broken_one_ignored(tmp_path: Path) -> None:
    lab_free = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    same = bitmap.read_image(saved(tmp_path / "a.png", RGB, icc_profile=lab_free))
    assert np.abs(same.astype(int) - np.asarray(RGB)).max() <= 2
    broken = bitmap.read_image(saved(tmp_path / "b.png", RGB, icc_profile=b"nonsense"))
    assert np.array_equal(broken, np.asarray(RGB))


def test_of_an_animation_the_first_frame(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    image = bitmap.read_image(saved(tmp_path / "x.gif", frames[0], save_all=True, append_images=frames[1:]))
    assert (image == (255, 0, 0)).all()


def refusal(path: Path, **options: Any) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ImageError) as caught:
            bitmap.read_image(path, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def png_header(width: int, height: int) -> bytes:
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body)) + b"\0\0\0\0IDAT"


def test_unusable_files_are_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    assert "no such file" in refusal(path)
    assert "folder" in refusal(tmp_path)
    path.write_bytes(b"")
    assert "0 bytes" in refusal(path)
    path.write_text("no picture\n" * 9)
    assert "99 bytes" in refusal(path) and "PNG" in refusal(path)
    path.write_bytes(bitmap.png_bytes(PICTURE)[:-60])
    assert "damaged or cut short" in refusal(path)
    assert "cannot be read" in refusal(tmp_path / ("x" * 999))
    assert "cannot be read" in refusal(tmp_path / "a\0b")


@pytest.mark.parametrize("size", [(9000, 9000), (12000, 12000), (60000, 60000)])
def test_a_bomb_is_refused_from_its_header(tmp_path: Path, size: tuple[int, int]) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(png_header(*size))
    message = refusal(path)
    assert "64 million" in message and (str(size[0]) in message or str(size[0] * size[1]) in message)
    assert "0.001 million" in refusal(saved(tmp_path / "y.png", RGB), max_pixels=1000)


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_damaged_bytes_never_surprise(data: st.DataObject) -> None:
    buffer = io.BytesIO()
    RGB.save(buffer, data.draw(st.sampled_from(["PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP"])))
    content = bytearray(buffer.getvalue())
    for _ in range(data.draw(st.integers(0, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    content = content[: data.draw(st.integers(0, len(content)))]
    try:
        assert bitmap.read_png(bytes(content)).dtype == np.uint8
    except ImageError as error:
        assert "\n" not in str(error)


# -------------------------------------------------------------------------------------------------------- png


@given(arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3))), st.text(max_size=40))
@settings(max_examples=40, deadline=None)
def test_png_keeps_pixels_and_any_text(image: bitmap.Pixels, text: str) -> None:
    record = {"prompt": text, text: [1, 2.5, None, True]}
    data = bitmap.png_bytes(image, text, record)
    assert data == bitmap.png_bytes(image.copy(), text, record)
    assert np.array_equal(bitmap.read_png(data), image)


def test_png_texts_are_where_other_tools_look() -> None:
    image = moving(1)[0]
    data = bitmap.png_bytes(image, "a boat\nSteps: 4", {"seed": 1, "prompt": "船"})
    assert b"tEXtparameters\0a boat\nSteps: 4" in data
    with Image.open(io.BytesIO(data)) as opened:
        assert opened.text["parameters"] == "a boat\nSteps: 4"  # type: ignore[attr-defined]
        assert json.loads(opened.text["animatic"]) == {"seed": 1, "prompt": "船"}  # type: ignore[attr-defined]
    assert b"iTXtparameters\0" in bitmap.png_bytes(image, "一只船")


def test_parameters_have_the_a1111_form() -> None:
    text = bitmap.a1111_parameters(
        "a red\nboat", "blurry", steps=28, seed=0, guidance=3.5, size=(720, 480), model="FLUX.1-dev"
    )
    assert text == (
        "a red boat\nNegative prompt: blurry\n"
        "Steps: 28, Sampler: Euler, CFG scale: 3.5, Seed: 0, Size: 720x480, Model: FLUX.1-dev"
    )
    bare = bitmap.a1111_parameters("x", steps=4, seed=1, guidance=0, size=(8, 8), model="a, b", sampler="DPM++ 2M")
    assert bare == 'x\nSteps: 4, Sampler: DPM++ 2M, CFG scale: 0, Seed: 1, Size: 8x8, Model: "a, b"'


def test_a_data_url_holds_the_middle_frame() -> None:
    frames = moving(5)
    for preview, expected in ((frames, frames[2]), (frames[3], frames[3])):
        head, _, body = bitmap.data_url(preview).partition(",")
        assert head == "data:image/png;base64"
        assert np.array_equal(bitmap.read_png(base64.b64decode(body)), expected)


# -------------------------------------------------------------------------------------------------------- fit


SIDES = st.integers(1, 90)


@given(SIDES, SIDES, SIDES, SIDES, st.sampled_from(["crop", "pad"]))
@settings(max_examples=150, deadline=None)
def test_fit_gives_the_size_asked_for(w: int, h: int, width: int, height: int, rule: Any) -> None:
    image = np.full((h, w, 3), (250, 120, 60), np.uint8)
    fitted = bitmap.fit(image, (width, height), rule)
    assert fitted.shape == (height, width, 3) and fitted.dtype == np.uint8
    if rule == "crop":
        assert np.abs(fitted.astype(int) - image[0, 0]).max() <= 1


@given(SIDES, SIDES, SIDES, SIDES)
@settings(max_examples=300, deadline=None)
def test_the_aspect_is_kept_within_half_a_pixel(w: int, h: int, width: int, height: int) -> None:
    inner = bitmap.contained((w, h), (width, height))
    scale = min(width / w, height / h)
    assert inner[0] <= width and inner[1] <= height and (inner[0] == width or inner[1] == height)
    assert all(abs(got - max(side * scale, 0.5)) <= 0.5 + 1e-9 for got, side in zip(inner, (w, h), strict=True))


def test_an_image_of_that_size_is_unchanged() -> None:
    image = PICTURE
    assert np.array_equal(bitmap.fit(image, (64, 48), "crop"), image)
    assert np.array_equal(bitmap.fit(image, (64, 48), "pad"), image)


def circle(width: int, height: int, radius: float) -> bitmap.Pixels:
    y, x = np.mgrid[:height, :width]
    inside = (x - (width - 1) / 2) ** 2 + (y - (height - 1) / 2) ** 2 <= radius**2
    return np.where(inside[..., None], 255, 0).astype(np.uint8).repeat(3, -1)


@pytest.mark.parametrize("source", [(300, 100), (100, 300), (220, 220)])
@pytest.mark.parametrize("rule", ["crop", "pad"])
def test_a_circle_stays_a_circle(source: tuple[int, int], rule: Any) -> None:
    fitted = bitmap.fit(circle(*source, radius=40), (144, 96), rule)[..., 0] > 200
    rows, columns = np.flatnonzero(fitted.any(1)), np.flatnonzero(fitted.any(0))
    if rule == "pad" or source[0] == source[1]:
        assert abs(len(rows) - len(columns)) <= 2
    assert abs((columns[0] + columns[-1]) / 2 - 71.5) <= 1 and abs((rows[0] + rows[-1]) / 2 - 47.5) <= 1


def test_crop_cuts_the_centre_and_pad_shows_all() -> None:
    image = np.zeros((30, 90, 3), np.uint8)
    image[:, :30], image[:, 30:60], image[:, 60:] = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    assert (bitmap.fit(image, (60, 60), "crop")[:, 4:-4].argmax(-1) == 1).all()
    padded = bitmap.fit(image, (90, 90), "pad")
    assert np.array_equal(padded[30:60], image)
    assert padded[:25].any() and padded[:25].max() < 200


def test_an_unknown_rule_is_refused() -> None:
    with pytest.raises(ValueError, match="crop or pad"):
        bitmap.fit(PICTURE, (8, 8), "stretch")  # type: ignore[arg-type]
