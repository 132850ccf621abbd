"""The backgrounds of the toy world.

Knows: how each of the six scenes is painted. Must not know: subjects, movement, text.
A scene is nearly the same picture each time (so that a tiny model can learn it): a variant only shifts it a little
sideways and makes it a little lighter or darker.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
from PIL import Image, ImageDraw

WIDTH, HEIGHT = 144, 96
VARIANTS = 12
SCALE, MARGIN = 4, 4
Colour = tuple[int, int, int]
# A canvas is SCALE times too large, and MARGIN pixels wider on both sides so that it can be shifted.
CANVAS = ((WIDTH + 2 * MARGIN) * SCALE, HEIGHT * SCALE)


@cache
def background(scene: str, variant: int) -> np.ndarray:
    """uint8 [HEIGHT, WIDTH, 3], read-only; `variant` is taken modulo VARIANTS."""
    variant %= VARIANTS
    shift, gain = variant % 4 - 1.5, 1 + 0.02 * (variant // 4 - 1)
    left = (MARGIN + shift) * SCALE
    window = _painted(scene).crop((int(left), 0, int(left) + WIDTH * SCALE, HEIGHT * SCALE))
    small = np.asarray(window.resize((WIDTH, HEIGHT), Image.Resampling.BOX), float)
    picture = (small * gain).clip(0, 255).round().astype(np.uint8)
    picture.setflags(write=False)
    return picture


@cache
def _painted(scene: str) -> Image.Image:
    return PAINTERS[scene]()


def _gradient(*stops: tuple[float, Colour]) -> Image.Image:
    """A canvas filled from top to bottom; a stop is (row of 96, colour)."""
    rows = (np.arange(CANVAS[1]) + 0.5) / SCALE
    at, colours = [s[0] for s in stops], np.array([s[1] for s in stops], float)
    column = np.stack([np.interp(rows, at, colours[:, c]) for c in range(3)], 1)
    return Image.fromarray(np.broadcast_to(column[:, None], (CANVAS[1], CANVAS[0], 3)).round().astype(np.uint8))


def _blend(picture: Image.Image, colour: Colour, alpha: np.ndarray) -> None:
    picture.paste(colour, mask=Image.fromarray((alpha.clip(0, 1) * 255).astype(np.uint8)))


def _grid() -> tuple[np.ndarray, np.ndarray]:
    """x and y of every canvas pixel in frame pixels, x [1, W'], y [H', 1]."""
    x = (np.arange(CANVAS[0]) + 0.5) / SCALE - MARGIN
    y = (np.arange(CANVAS[1]) + 0.5) / SCALE
    return x[None], y[:, None]


def _disc(picture: Image.Image, x: float, y: float, radius: float, colour: Colour, glow: float = 0.0) -> None:
    """A disc with an optional soft glow of that strength around it."""
    gx, gy = _grid()
    far = np.hypot(gx - x, gy - y)
    if glow:
        _blend(picture, colour, glow * np.exp(-((far / (2.2 * radius)) ** 2)))
    _blend(picture, colour, (far < radius).astype(float))


def _hills(picture: Image.Image, base: float, waves: tuple[tuple[float, float, float], ...], top: Colour, foot: Colour) -> None:
    """Ground under a sum of sines (height, length, phase), shaded from its crest downwards."""
    x, y = _grid()
    crest = base - sum(h * np.sin(2 * np.pi * x / length + phase) for h, length, phase in waves)
    depth = (y - crest) / max(HEIGHT - base, 1)
    _blend(picture, top, (depth > 0).astype(float))
    _blend(picture, foot, np.where(depth > 0, depth, 0))


def _dots(picture: Image.Image, places: list[tuple[float, float, float]], colour: Colour) -> None:
    draw = ImageDraw.Draw(picture)
    for x, y, radius in places:
        x, y, r = (x + MARGIN) * SCALE, y * SCALE, radius * SCALE
        draw.ellipse((x - r, y - r, x + r, y + r), fill=colour)


def _scatter(seed: int, count: int, top: float, bottom: float, small: float, large: float) -> list[tuple[float, float, float]]:
    """`count` places spread evenly in x with a random y and radius, the same each time."""
    rng = np.random.default_rng(seed)
    x = (np.arange(count) + rng.uniform(0.1, 0.9, count)) * (WIDTH + 2 * MARGIN) / count - MARGIN
    y, radius = rng.uniform(top, bottom, count), rng.uniform(small, large, count)
    return list(zip(x.tolist(), y.tolist(), radius.tolist(), strict=True))


def _sea() -> Image.Image:
    picture = _gradient((0, (98, 182, 232)), (30, (168, 218, 236)), (47, (254, 226, 178)))
    _disc(picture, 112, 26, 9, (255, 244, 190), glow=0.7)
    x, y = _grid()
    _hills(picture, 47, ((0, 10, 0),), (44, 150, 186), (12, 66, 122))
    for row, height, length, phase in ((55, 0.8, 24, 0.5), (64, 1.2, 33, 2.0), (75, 1.6, 46, 4.0), (88, 2.0, 60, 0.0)):
        far = (y - row + height * np.sin(2 * np.pi * x / length + phase)) / (0.35 + (row - 47) / 45)
        _blend(picture, (128, 208, 222), 0.75 * np.exp(-(far**2)) * (0.6 + 0.4 * np.sin(2 * np.pi * x / (2 * length))))
    _blend(picture, (255, 240, 190), 0.7 * np.exp(-(((x - 112) / 7) ** 2) - ((y - 48) / 5) ** 2) * (y > 47))
    return picture


def _meadow() -> Image.Image:
    picture = _gradient((0, (112, 194, 246)), (52, (216, 240, 250)))
    for x, y, r in ((24, 18, 6), (32, 15, 8), (41, 18, 6), (104, 25, 5), (112, 22, 7), (120, 25, 5)):
        _disc(picture, x, y, r, (252, 253, 255))
    _hills(picture, 50, ((6, 120, 0.6),), (150, 208, 122), (104, 178, 88))
    _hills(picture, 60, ((5, 150, 3.6),), (122, 196, 84), (66, 150, 58))
    _dots(picture, _scatter(3, 12, 68, 92, 1.1, 1.7), (255, 250, 240))
    _dots(picture, _scatter(4, 9, 70, 93, 1.1, 1.7), (250, 214, 90))
    return picture


def _night() -> Image.Image:
    picture = _gradient((0, (10, 14, 48)), (55, (38, 42, 104)), (84, (88, 70, 140)))
    _dots(picture, _scatter(6, 26, 4, 62, 0.5, 1.0), (236, 240, 255))
    x, y = _grid()
    _blend(picture, (150, 150, 200), 0.4 * np.exp(-(((x - 115) ** 2 + (y - 22) ** 2) / 400)))
    crescent = (np.hypot(x - 116, y - 22) < 10) & (np.hypot(x - 120.5, y - 19) > 8.5)
    _blend(picture, (250, 242, 204), crescent.astype(float))
    _hills(picture, 82, ((3, 90, 1.0), (1.5, 40, 0.0)), (30, 28, 66), (14, 14, 40))
    return picture


def _desert() -> Image.Image:
    picture = _gradient((0, (246, 178, 120)), (30, (252, 214, 158)), (52, (255, 238, 200)))
    _disc(picture, 28, 24, 10, (255, 250, 226), glow=0.8)
    _hills(picture, 54, ((4, 110, 2.2),), (232, 184, 120), (214, 150, 88))
    _hills(picture, 64, ((6, 160, 0.4),), (224, 166, 96), (190, 122, 66))
    _hills(picture, 80, ((5, 130, 3.4),), (206, 140, 78), (164, 98, 52))
    return picture


def _pine(draw: ImageDraw.ImageDraw, x: float, foot: float, height: float) -> None:
    for level in range(3):
        top, half = foot - height * (1 - 0.24 * level), height * (0.15 + 0.08 * level)
        low = top + height * 0.45
        corners = ((x + MARGIN, top), (x + MARGIN + half, low), (x + MARGIN - half, low))
        draw.polygon([(cx * SCALE, cy * SCALE) for cx, cy in corners], fill=(46, 100, 104))


def _snow() -> Image.Image:
    picture = _gradient((0, (150, 180, 212)), (54, (220, 232, 242)))
    _hills(picture, 52, ((7, 130, 0.8), (2, 50, 0)), (196, 212, 232), (224, 234, 244))
    draw = ImageDraw.Draw(picture)
    for x, foot, height in ((10, 65, 22), (23, 68, 17), (119, 66, 18), (133, 68, 25)):
        _pine(draw, x, foot, height)
    _hills(picture, 66, ((3, 140, 2.6),), (250, 252, 255), (204, 220, 238))
    _dots(picture, _scatter(9, 24, 3, 60, 0.7, 1.2), (255, 255, 255))
    return picture


def _city() -> Image.Image:
    picture = _gradient((0, (104, 84, 152)), (36, (220, 128, 152)), (66, (255, 194, 150)))
    draw = ImageDraw.Draw(picture)
    towers = ((-4, 15, 40), (12, 13, 26), (26, 17, 48), (44, 12, 34), (57, 16, 20), (74, 13, 42), (88, 17, 30), (106, 12, 50),
              (119, 15, 24), (135, 14, 40))  # fmt: skip
    for n, (left, width, top) in enumerate(towers):
        tone = ((62, 62, 104), (74, 70, 114), (54, 56, 94))[n % 3]
        x = left + MARGIN
        draw.rectangle([v * SCALE for v in (x, top, x + width, 80)], fill=tone)
        for column in range((width - 2) // 5):
            for row in range((74 - top) // 8):
                if (n * 7 + column * 3 + row * 5) % 3:
                    wx, wy = x + 2 + 5 * column, top + 4 + 8 * row
                    draw.rectangle([v * SCALE for v in (wx, wy, wx + 3, wy + 4)], fill=(255, 206, 122))
    draw.rectangle([0, 80 * SCALE, *CANVAS], fill=(66, 66, 82))
    draw.rectangle([0, 80 * SCALE, CANVAS[0], 82 * SCALE], fill=(148, 144, 160))
    for dash in range(-4, WIDTH + 8, 16):
        draw.rectangle([v * SCALE for v in (dash + MARGIN, 88, dash + MARGIN + 8, 89.5)], fill=(236, 224, 180))
    return picture


PAINTERS: dict[str, Callable[[], Image.Image]] = {
    "sea": _sea,
    "meadow": _meadow,
    "night sky": _night,
    "desert": _desert,
    "snow": _snow,
    "city": _city,
}
SCENES: tuple[str, ...] = tuple(PAINTERS)
