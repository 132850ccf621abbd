"""Small pictures of a clip, for lists and for scrubbing: a thumbnail, and a sheet of all its frames."""

from __future__ import annotations

import io
import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]

THUMBNAIL = 480
SPRITE = 180
"""The longest sides in pixels; what is smaller stays as it is."""
SPRITES = 100
"""The most frames of a sheet; of longer clips, as many evenly spaced ones."""


def thumbnail(still: Pixels) -> bytes:
    """A still, uint8 RGB [h, w, 3], as a small WebP."""
    return _encoded(_small(still, THUMBNAIL), "WEBP")


def spritesheet(frames: Pixels) -> bytes:
    """A clip's frames, uint8 RGB [F, h, w, 3], row by row in a nearly square JPEG."""
    chosen = np.linspace(0, len(frames) - 1, min(len(frames), SPRITES)).round().astype(int)
    sprites = [_small(frames[index], SPRITE) for index in chosen]
    columns = math.ceil(math.sqrt(len(sprites)))
    width, height = sprites[0].size
    sheet = Image.new("RGB", (columns * width, math.ceil(len(sprites) / columns) * height))
    for number, sprite in enumerate(sprites):
        sheet.paste(sprite, (number % columns * width, number // columns * height))
    return _encoded(sheet, "JPEG")


def _small(pixels: Pixels, side: int) -> Image.Image:
    image = Image.fromarray(pixels)
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    return image


def _encoded(image: Image.Image, kind: str) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, quality=85)
    return file.getvalue()
