"""Pictures as pixels: any file of one read the way a viewer shows it, written as PNG, brought to a size.

With `card.py` and `thumbs.py` the home of Pillow. Knows arrays, bytes and files; must not know clips, models or
options.
"""

from __future__ import annotations

import base64
import contextlib
import io
import json
import re
import struct
import warnings
import zlib
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageFilter, ImageOps, PngImagePlugin, UnidentifiedImageError

from animatic import provenance
from animatic.errors import ImageError, encodable, one_line, reason

Pixels = NDArray[np.uint8]

Fit = Literal["crop", "pad"]
"""How a picture of another shape comes to a size: never distorted."""

MAX_IMAGE_BYTES = 512 * 2**20
# What Pillow's readers raise on damaged files.
_DAMAGE = (OSError, SyntaxError, ValueError, TypeError, LookupError, EOFError, ArithmeticError,
           AttributeError, RuntimeError, MemoryError, struct.error, zlib.error)  # fmt: skip


def png_bytes(image: Pixels, parameters: str = "", record: Mapping[str, Any] | None = None) -> bytes:
    """A PNG of uint8 RGB [H, W, 3] with a text chunk 'parameters', and with its record (`provenance.py`).

    'parameters' is tEXt, and iTXt where Latin-1 cannot hold it, as the tools of that convention write it.
    A picture with a record is a result; one without is pure pixels.
    Raises ValueError for another dtype or shape, or for a record that JSON cannot hold.
    """
    chunks = PngImagePlugin.PngInfo()
    if parameters:
        chunks.add_text("parameters", encodable(parameters).replace("\0", ""))
    if record is not None:
        for keyword, text in provenance.chunks(record).items():
            chunks.add_itxt(keyword, text)
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(checked(image, 3))).save(buffer, "PNG", pnginfo=chunks)
    return buffer.getvalue()


def a1111_parameters(
    prompt: str,
    negative_prompt: str = "",
    *,
    steps: int,
    seed: int,
    guidance: float,
    size: tuple[int, int],
    model: str,
    sampler: str = "Euler",
) -> str:
    """Generation settings in the form that AUTOMATIC1111's web UI writes into PNGs and other tools read.

    size: (width, height) in pixels. Prompts are put on one line each: a line break would end them early.
    """
    lines = [one_line(prompt)]
    if negative_prompt.strip():
        lines.append(f"Negative prompt: {one_line(negative_prompt)}")
    lines.append(
        f"Steps: {steps}, Sampler: {_quoted(sampler)}, CFG scale: {guidance:g}, Seed: {seed}, "
        f"Size: {size[0]}x{size[1]}, Model: {_quoted(model)}"
    )
    return "\n".join(lines)


def _quoted(value: str) -> str:
    return json.dumps(value, ensure_ascii=False) if re.search(r'[,:\n"]', value) else value


def data_url(preview: Pixels) -> str:
    """A PNG data: URL of uint8 RGB [h, w, 3], or of the middle frame of [F, h, w, 3]."""
    return "data:image/png;base64," + base64.b64encode(preview_png(preview)).decode("ascii")


def preview_png(preview: Pixels) -> bytes:
    """A PNG of uint8 RGB [h, w, 3], or of the middle frame of [F, h, w, 3]."""
    return png_bytes(preview[len(preview) // 2] if preview.ndim == 4 and len(preview) else preview)


def read_image(path: Path, max_pixels: int = 64_000_000) -> Pixels:
    """A picture file as uint8 RGB [H, W, 3], the way a viewer shows it.

    Turned by its EXIF orientation; its colour profile converted to sRGB; transparent parts laid over white,
    as pages and viewers show them; 16 bits scaled to 8; of an animation the first frame. Raises ImageError,
    one line, for a file that is missing, empty, damaged, no picture, or over 512 MiB or `max_pixels` (by its
    header, before anything is decoded).
    """
    path, name = Path(path), one_line(str(path))
    try:
        size = path.stat().st_size
        if not path.is_file():
            raise ImageError(f"{name} is {'a folder' if path.is_dir() else 'no file'}: give a picture file")
        if not 0 < size <= MAX_IMAGE_BYTES:
            raise ImageError(f"{name} has {size} bytes: give a picture file of 1 to {MAX_IMAGE_BYTES}")
        return _decode(path.read_bytes(), name, max_pixels)
    except FileNotFoundError as error:
        raise ImageError(f"{name}: there is no such file") from error
    except (OSError, ValueError) as error:
        raise ImageError(f"{name}: cannot be read ({reason(error)})") from error


def read_png(data: bytes) -> Pixels:
    """The pixels of PNG bytes, uint8 RGB [H, W, 3]. Raises ImageError."""
    return picture(data, "the PNG", 64_000_000)


def picture(data: bytes, name: str, max_pixels: int) -> Pixels:
    """A picture of any kind and of anyone's, as `read_image` gives it. Raises ImageError, with `name`."""
    return _decode(data, name, max_pixels)


def _decode(data: bytes, name: str, max_pixels: int) -> Pixels:
    excess = f", the limit is {max_pixels / 1e6:g} million: scale it down first"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with Image.open(io.BytesIO(data)) as image:
                width, height = image.size
                if width * height > max_pixels:
                    raise ImageError(f"{name} has {width} x {height} pixels{excess}")
                image.load()
                with contextlib.suppress(*_DAMAGE):  # a broken EXIF block alone is no reason to refuse
                    ImageOps.exif_transpose(image, in_place=True)
                return np.asarray(_as_rgb(image), dtype=np.uint8).copy()
        except Image.DecompressionBombError as error:
            raise ImageError(f"{name} has {re.findall('[0-9]+', str(error))[0]} pixels{excess}") from error
        except UnidentifiedImageError as error:
            kind = f"{len(data)} bytes of an unknown kind"
            raise ImageError(f"{name} is no picture ({kind}): give a PNG, JPEG or WebP") from error
        except _DAMAGE as error:
            raise ImageError(f"{name} is damaged or cut short ({reason(error)}): fetch it again") from error


def _as_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith(("I", "F")):
        return Image.fromarray(_eight_bits(np.asarray(image))).convert("RGB")
    if image.mode in ("LA", "La", "PA", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
    profile = image.info.get("icc_profile")
    if profile and image.mode in ("RGB", "RGBA", "CMYK"):
        image = _in_srgb(image, profile)
    if image.mode == "RGBA":
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")


def _eight_bits(values: NDArray[Any]) -> Pixels:
    """Gray of 16 bits, or of floats in 0..1, to 8; the range is guessed where the format does not say it."""
    gray = np.nan_to_num(values.astype(np.float64))
    peak = gray.max(initial=0)
    top = 1 if values.dtype.kind == "f" and peak <= 1 else 65535 if values.itemsize == 2 or peak > 255 else 255
    return (gray * (255 / top)).round().clip(0, 255).astype(np.uint8)


def _in_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    target = "RGBA" if image.mode == "RGBA" else "RGB"
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        turned = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode=target)
    except (ImageCms.PyCMSError, OSError, TypeError, ValueError):
        return image  # viewers ignore a profile they cannot use
    return turned or image


def fit(image: Pixels, size: tuple[int, int], rule: Fit) -> Pixels:
    """The picture at (width, height), uint8 RGB [height, width, 3], never distorted; already so: unchanged.

    crop   scaled to cover, the centre cut out
    pad    scaled to fit inside (to the nearest pixel), centred on itself: the rest is the same picture scaled
           to cover, blurred and dimmed. A video model continues that as a soft background; the hard edge of
           black bars would ring in its VAE, and half of every later pan would be black.
    """
    if rule not in ("crop", "pad"):
        raise ValueError(f"unknown rule {rule!r}: crop or pad")
    width, height = size
    if checked(image, 3).shape[:2] == (height, width):
        return image
    whole = Image.fromarray(np.ascontiguousarray(image))
    covering = _covering(whole, width, height)
    if rule == "crop":
        return np.asarray(covering, dtype=np.uint8).copy()
    inside = contained((whole.width, whole.height), size)
    soft = covering.filter(ImageFilter.GaussianBlur(max(width, height) / 24)).point(
        [value * 7 // 10 for value in range(256)] * 3
    )
    picture = whole.resize(inside, Image.Resampling.LANCZOS, reducing_gap=3.0)
    soft.paste(picture, ((width - inside[0]) // 2, (height - inside[1]) // 2))
    return np.asarray(soft, dtype=np.uint8).copy()


def contained(source: tuple[int, int], size: tuple[int, int]) -> tuple[int, int]:
    """The largest (width, height) of `source`'s aspect inside `size`, to the nearest pixel, at least 1."""
    scale = min(Fraction(size[0], source[0]), Fraction(size[1], source[1]))
    return max(1, round(source[0] * scale)), max(1, round(source[1] * scale))


def _covering(image: Image.Image, width: int, height: int) -> Image.Image:
    # The box is in fractions of source pixels, so the aspect is exact however the sizes divide.
    scale = max(width / image.width, height / image.height)
    wide, high = min(width / scale, image.width), min(height / scale, image.height)
    left, top = (image.width - wide) / 2, (image.height - high) / 2
    box = (left, top, min(left + wide, image.width), min(top + high, image.height))
    return image.resize((width, height), Image.Resampling.LANCZOS, box=box, reducing_gap=3.0)


def checked(pixels: Pixels, ndim: int) -> Pixels:
    form = "[T, H, W, 3]" if ndim == 4 else "[H, W, 3]"
    if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8:
        kind = getattr(pixels, "dtype", type(pixels).__name__)
        raise ValueError(f"pixels must be uint8 {form}, not {kind}")
    if pixels.ndim != ndim or pixels.shape[-1] != 3 or 0 in pixels.shape:
        raise ValueError(f"pixels must be uint8 {form} with no empty side, not of shape {pixels.shape}")
    return pixels
