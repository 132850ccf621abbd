"""The subjects of the toy world, drawn as stickers.

Knows: the silhouette and the fixed details of every subject, and the paint of every colour.
Must not know: scenes, movement, text.

A sprite is a square RGBA picture of MASTER x MASTER pixels: a body in flat colour with a soft top-down shade, details in
fixed tones, a dark outline and a light halo around it, so that any colour stands out on any scene. Every subject that has
a front looks to the right. Drawing units are hundredths of the sprite's side.

Every pixel is a fixed tone plus a share of the paint (oracle.py relies on it; only the details of white are an exception),
so a detail must stand out from every paint, from black to white: dark ones lie on light ones.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from PIL import Image

from training.pocket.stickers import Part, Shape, drawn, star

PAINT: dict[str, tuple[int, int, int]] = {
    "red": (218, 32, 38),
    "orange": (252, 132, 12),
    "yellow": (255, 222, 36),
    "green": (34, 172, 62),
    "blue": (30, 92, 226),
    "purple": (132, 50, 190),
    "pink": (255, 138, 192),
    "white": (246, 246, 246),
    "brown": (140, 88, 44),
    "black": (54, 52, 58),
}
TONES: dict[str, tuple[int, int, int]] = {
    "light": (255, 248, 230),
    "eye": (255, 255, 255),
    "cream": (246, 224, 186),
    "dark": (30, 28, 46),
    "glass": (168, 224, 246),
    "wood": (100, 58, 38),
    "roof": (98, 100, 128),
    "flame": (255, 196, 60),
    "beak": (250, 170, 40),
}
# A shadow takes from the paint and adds a little sky: darker than any bright paint, and a blue sheen on black.
SHADOW, SKY = 0.66, np.array((24, 24, 48))


def _gore(west: float, east: float) -> tuple[float, ...]:
    """The part of a hot-air balloon between two of its seams; -1 and 1 are the outermost."""
    rows = np.linspace(0, 1, 25)
    # A circle above, and below it a straight cone down to the mouth.
    halves = np.where(rows < 0.62, np.sqrt(np.maximum(rows * (1.06 - rows), 0)) / 0.53, 0.94 - 1.75 * (rows - 0.62)) * 40
    ys = 2 + 74 * rows
    there, back = np.stack([50 + west * halves, ys], 1), np.stack([50 + east * halves, ys], 1)[::-1]
    return tuple(np.concatenate([there, back]).ravel().tolist())


SHAPES: dict[str, Shape] = {
    "ball": (
        Part("body", "ellipse", (11, 11, 89, 89)),
        Part("light", "poly", (12.5, 42, 30, 49, 50, 51.5, 70, 49, 87.5, 42, 88.5, 54, 70, 62, 50, 65, 30, 62, 11.5, 54)),
        Part("light", "ellipse", (28, 20, 45, 34)),
    ),
    "box": (
        Part("body", "box", (17, 34, 83, 91)),
        Part("shade", "box", (17, 36, 83, 43)),
        Part("body", "box", (10, 15, 90, 37)),
        Part("light", "box", (43, 15, 57, 91)),
        Part("light", "box", (17, 58, 83, 69)),
    ),
    "star": (
        Part("body", "poly", star(50, 53, 47, 20)),
        Part("eye", "ellipse", (34, 39, 48, 57)),
        Part("eye", "ellipse", (52, 39, 66, 57)),
        Part("dark", "ellipse", (38, 44, 46, 56)),
        Part("dark", "ellipse", (54, 44, 62, 56)),
        Part("eye", "poly", (39, 60, 61, 60, 57, 68, 50, 71, 43, 68)),
        Part("dark", "poly", (42, 62, 58, 62, 55, 67, 50, 69, 45, 67)),
    ),
    "boat": (
        Part("wood", "box", (46, 8, 51, 64)),
        Part("light", "poly", (54, 9, 72, 30, 90, 56, 54, 56)),
        Part("body", "poly", (43, 18, 30, 36, 14, 56, 43, 56)),
        Part("body", "poly", (5, 62, 95, 62, 80, 91, 22, 91)),
        Part("light", "poly", (8.6, 69, 91.4, 69, 89.5, 74, 12, 74)),
    ),
    "fish": (
        Part("body", "poly", (38, 50, 5, 20, 13, 50, 5, 80)),
        Part("shade", "poly", (42, 32, 52, 12, 76, 30)),
        Part("shade", "poly", (48, 68, 52, 87, 70, 70)),
        Part("body", "ellipse", (24, 24, 95, 76)),
        Part("light", "poly", (44, 29, 51, 26.5, 53, 50, 51, 73.5, 44, 71, 46, 50)),
        Part("eye", "ellipse", (70, 35, 85, 50)),
        Part("dark", "ellipse", (76, 38, 84, 47)),
    ),
    "rocket": (
        Part("flame", "poly", (38, 76, 62, 76, 56, 88, 50, 96, 44, 88)),
        Part("shade", "poly", (32, 48, 14, 68, 12, 86, 34, 74)),
        Part("shade", "poly", (68, 48, 86, 68, 88, 86, 66, 74)),
        Part("body", "poly", (50, 4, 61, 15, 68, 30, 70, 46, 68, 64, 64, 79, 36, 79, 32, 64, 30, 46, 32, 30, 39, 15)),
        Part("light", "poly", (33, 60, 67, 60, 66, 67, 34, 67)),
        Part("dark", "ellipse", (38, 27, 62, 51)),
        Part("glass", "ellipse", (41, 30, 59, 48)),
    ),
    "tree": (
        Part("wood", "poly", (43, 60, 57, 60, 61, 93, 39, 93)),
        Part("body", "ellipse", (8, 30, 52, 72)),
        Part("body", "ellipse", (48, 30, 92, 72)),
        Part("body", "ellipse", (24, 6, 76, 58)),
        Part("body", "ellipse", (30, 40, 70, 74)),
        Part("shade", "ellipse", (34, 18, 46, 30)),
        Part("shade", "ellipse", (56, 28, 68, 40)),
        Part("shade", "ellipse", (20, 44, 32, 56)),
        Part("shade", "ellipse", (44, 50, 56, 62)),
        Part("shade", "ellipse", (70, 48, 82, 60)),
    ),
    "bird": (
        Part("body", "poly", (30, 50, 3, 40, 4, 66, 26, 70)),
        Part("beak", "poly", (84, 30, 98, 38, 84, 45)),
        Part("body", "ellipse", (16, 36, 78, 84)),
        Part("body", "ellipse", (54, 20, 90, 56)),
        Part("shade", "poly", (58, 56, 46, 30, 22, 8, 24, 34, 32, 56, 46, 66)),
        Part("light", "ellipse", (46, 62, 68, 80)),
        Part("eye", "ellipse", (67, 26, 82, 43)),
        Part("dark", "ellipse", (72, 30, 80, 40)),
    ),
    "house": (
        Part("roof", "box", (70, 9, 82, 36)),
        Part("body", "box", (12, 38, 88, 92)),
        Part("roof", "poly", (50, 6, 98, 42, 2, 42)),
        Part("cream", "box", (39, 59, 61, 92)),
        Part("wood", "box", (42, 62, 58, 92)),
        Part("glass", "box", (19, 55, 33, 70)),
        Part("glass", "box", (67, 55, 81, 70)),
    ),
    "car": (
        Part("body", "poly", (22, 48, 31, 25, 37, 22, 62, 22, 68, 26, 80, 48)),
        Part("glass", "poly", (30, 46, 36, 30, 47, 30, 47, 46)),
        Part("glass", "poly", (53, 46, 53, 30, 62, 30, 71, 46)),
        Part("body", "poly", (4, 52, 10, 46, 84, 46, 95, 53, 96, 72, 92, 75, 8, 75, 4, 72)),
        Part("light", "ellipse", (86, 53, 95, 62)),
        Part("dark", "ellipse", (15, 60, 41, 86)),
        Part("dark", "ellipse", (61, 60, 87, 86)),
        Part("light", "ellipse", (23, 68, 33, 78)),
        Part("light", "ellipse", (69, 68, 79, 78)),
    ),
    "cat": (
        Part("shade", "poly", (66, 90, 84, 86, 90, 72, 82, 56, 90, 50, 98, 66, 96, 84, 84, 93, 66, 94)),
        Part("body", "ellipse", (24, 46, 76, 95)),
        Part("body", "poly", (21, 44, 22, 5, 46, 22)),
        Part("body", "poly", (79, 44, 78, 5, 54, 22)),
        Part("body", "ellipse", (18, 16, 82, 66)),
        Part("light", "ellipse", (38, 70, 62, 93)),
        Part("shade", "poly", (26, 30, 27, 14, 38, 22)),
        Part("shade", "poly", (74, 30, 73, 14, 62, 22)),
        Part("eye", "ellipse", (28, 29, 45, 48)),
        Part("eye", "ellipse", (55, 29, 72, 48)),
        Part("dark", "ellipse", (34, 33, 43, 47)),
        Part("dark", "ellipse", (57, 33, 66, 47)),
        Part("light", "ellipse", (38, 46, 62, 63)),
        Part("dark", "poly", (44, 49, 56, 49, 50, 57)),
    ),
    "balloon": (
        Part("wood", "poly", (40, 74, 43, 74, 43, 86, 40, 86)),
        Part("wood", "poly", (57, 74, 60, 74, 60, 86, 57, 86)),
        Part("flame", "poly", (46, 74, 54, 74, 51, 84, 49, 84)),
        Part("body", "poly", _gore(-1, 1)),
        Part("light", "poly", _gore(-0.7, -0.34)),
        Part("light", "poly", _gore(0.34, 0.7)),
        Part("wood", "poly", (37, 83, 63, 83, 60, 97, 40, 97)),
        Part("beak", "box", (36, 82, 64, 86)),
    ),
    "plane": (
        Part("shade", "poly", (48, 40, 34, 16, 46, 16, 70, 40)),
        Part("body", "poly", (6, 44, 2, 12, 16, 12, 36, 40)),
        Part("body", "poly", (4, 42, 14, 38, 70, 35, 82, 38, 92, 46, 97, 54, 94, 62, 84, 67, 60, 69, 34, 67, 16, 58)),
        Part("glass", "poly", (76, 39, 83, 41, 91, 50, 76, 50)),
        Part("glass", "ellipse", (30, 41, 40, 51)),
        Part("glass", "ellipse", (45, 41, 55, 51)),
        Part("glass", "ellipse", (60, 41, 70, 51)),
        Part("light", "poly", (12, 54, 96, 54, 94, 60, 20, 60)),
        Part("dark", "poly", (42, 57, 72, 57, 40, 92, 22, 92)),
        Part("shade", "poly", (44, 59, 68, 59, 38, 90, 25, 90)),
    ),
    "mushroom": (
        Part("cream", "poly", (38, 52, 62, 52, 64, 74, 70, 90, 62, 95, 38, 95, 30, 90, 36, 74)),
        Part("body", "poly", (4, 52, 7, 36, 16, 21, 31, 10, 50, 6, 69, 10, 84, 21, 93, 36, 96, 52, 88, 60, 12, 60)),
        Part("shade", "poly", (7, 55, 93, 55, 88, 60, 12, 60)),
        Part("light", "ellipse", (40, 15, 62, 35)),
        Part("light", "ellipse", (15, 29, 32, 46)),
        Part("light", "ellipse", (68, 31, 85, 48)),
        Part("light", "ellipse", (43, 42, 55, 52)),
        Part("dark", "ellipse", (41, 69, 47, 78)),
        Part("dark", "ellipse", (53, 69, 59, 78)),
        Part("dark", "poly", (45, 82, 50, 84, 55, 82, 50, 88)),
    ),
}
SUBJECTS: tuple[str, ...] = tuple(SHAPES)
COLOURS: tuple[str, ...] = tuple(PAINT)


@cache
def sprite(subject: str, colour: str, flip: bool = False) -> Image.Image:
    """The RGBA sticker of a subject in a colour, MASTER pixels square, mirrored if `flip`."""
    if flip:
        return sprite(subject, colour).transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    body = np.array(PAINT[colour], float)
    tones = {**TONES, "body": PAINT[colour], "shade": tuple((body * SHADOW + SKY).astype(int))}
    if colour == "white":  # cream details would be lost on a white body
        tones["light"] = (178, 184, 212)
    return drawn(SHAPES[subject], tones, TONES["dark"], TONES["light"])
