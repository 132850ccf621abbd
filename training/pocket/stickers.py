"""How stickers are drawn and laid on a picture; which shapes and paints there are is a world's own (sprites.py).

Knows: shapes, outline and halo, antialiased placing by quarters of a pixel. Must not know: subjects, scenes, movement.

A sticker is a square RGBA picture of MASTER x MASTER pixels: a body in flat colour with a soft top-down shade, details in
fixed tones, a dark outline and a light halo around it. Drawing units are hundredths of the sticker's side.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, lru_cache
from typing import Literal, NamedTuple

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

MASTER = 256
OUTLINE, HALO = 3.6, 3.2
SUBPIXELS = 4
Colour = tuple[int, ...]
Sprite = Callable[[str, str, bool], Image.Image]
"""The sticker of a subject in a colour, mirrored if told."""


class Part(NamedTuple):
    """One filled shape: `tone` is a name in the tones it is drawn with; `points` are in hundredths."""

    tone: str
    kind: Literal["ellipse", "box", "poly"]
    points: tuple[float, ...]


Shape = tuple[Part, ...]


def star(cx: float, cy: float, outer: float, inner: float) -> tuple[float, ...]:
    """The points of a five-pointed star."""
    angles = np.pi * (np.arange(10) / 5 - 0.5)
    radii = np.where(np.arange(10) % 2 == 0, outer, inner)
    return tuple(np.stack([cx + radii * np.cos(angles), cy + radii * np.sin(angles)], 1).ravel().tolist())


def drawn(shape: Shape, tones: Mapping[str, Colour], outline: Colour, halo: Colour) -> Image.Image:
    """The RGBA sticker of a shape, MASTER pixels square; `tones["body"]` fills what no part covers."""
    whole = _silhouette(shape)
    picture = Image.new("RGB", whole.size, halo)
    picture.paste(outline, mask=_grown(whole, OUTLINE))
    picture.paste(_painted(shape, tones), mask=whole)
    picture.putalpha(_grown(whole, OUTLINE + HALO))
    return picture.resize((MASTER, MASTER), Image.Resampling.BOX)


def placed(
    sprite: Sprite, subject: str, colour: str, flip: bool, place: np.ndarray, size: tuple[int, int]
) -> tuple[np.ndarray, tuple[int, int]]:
    """The antialiased sticker, uint8 [h, w, 4], cropped to a picture of `size` (width, height), and its corner (x, y).

    `place` is centre x, centre y and side in pixels.
    """
    x, y, side = place
    fine = max(round(float(side) * SUBPIXELS), 1)
    left, top = round((x - side / 2) * SUBPIXELS), round((y - side / 2) * SUBPIXELS)
    (column, dx), (row, dy) = divmod(left, SUBPIXELS), divmod(top, SUBPIXELS)
    small = _reduced(sprite, subject, colour, flip, fine, dx, dy)
    x0, y0 = max(column, 0), max(row, 0)
    return small[y0 - row : size[1] - row, x0 - column : size[0] - column], (x0, y0)


def cover(sticker: np.ndarray, corner: tuple[int, int], size: tuple[int, int]) -> np.ndarray:
    """Which pixels of a picture of `size` (width, height) a placed sticker covers (halo included), bool [h, w]."""
    full = np.zeros(size[::-1], bool)
    (left, top), (height, width) = corner, sticker.shape[:2]
    full[top : top + height, left : left + width] = sticker[..., 3] > 127
    return full


def box(covered: np.ndarray) -> tuple[int, int, int, int]:
    """x0, y0, x1, y1 (last ones exclusive) of what is covered."""
    rows, columns = np.flatnonzero(covered.any(1)), np.flatnonzero(covered.any(0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


@lru_cache(maxsize=16384)
def _reduced(sprite: Sprite, subject: str, colour: str, flip: bool, fine: int, dx: int, dy: int) -> np.ndarray:
    """A sticker of `fine` sub-pixels a side, moved by (dx, dy) sub-pixels and averaged down to pixels, uint8 [h, h, 4]."""
    big = sprite(subject, colour, flip).resize((fine, fine), Image.Resampling.BILINEAR)
    cells = -(-(fine + SUBPIXELS) // SUBPIXELS)
    canvas = Image.new("RGBA", (cells * SUBPIXELS, cells * SUBPIXELS))
    canvas.paste(big, (dx, dy))
    return np.asarray(canvas.resize((cells, cells), Image.Resampling.BOX))


def _painted(shape: Shape, tones: Mapping[str, Colour]) -> Image.Image:
    picture = Image.new("RGB", (2 * MASTER, 2 * MASTER), tones["body"])
    draw = ImageDraw.Draw(picture)
    for part in shape:
        _fill(draw, part, tones[part.tone])
    light = np.linspace(1.06, 0.90, 2 * MASTER)[:, None, None]
    return Image.fromarray((np.asarray(picture) * light).clip(0, 255).astype(np.uint8))


@cache
def _silhouette(shape: Shape) -> Image.Image:
    whole = Image.new("L", (2 * MASTER, 2 * MASTER))
    draw = ImageDraw.Draw(whole)
    for part in shape:
        _fill(draw, part, 255)
    return whole


def _fill(draw: ImageDraw.ImageDraw, part: Part, tone: int | Colour) -> None:
    # The drawing keeps a margin for outline and halo, so that they are never cut off.
    points = [2 * MASTER * (0.06 + 0.0088 * v) for v in part.points]
    if part.kind == "ellipse":
        draw.ellipse(points, fill=tone)
    elif part.kind == "box":
        draw.rectangle(points, fill=tone)
    else:
        draw.polygon(points, fill=tone)


def _grown(shape: Image.Image, units: float) -> Image.Image:
    """The shape widened by `units`, corners rounded: the level set of a blur lies about that far outside an edge."""
    radius = units * 2 * MASTER / 100
    blurred = shape.filter(ImageFilter.GaussianBlur(radius / 1.3))
    return ImageChops.lighter(shape, blurred.point([255 * (level > 26) for level in range(256)]))
