"""The subjects of the toy world, drawn as stickers.

Knows: the silhouette and the fixed details of every subject, and the paint of every colour.
Must not know: scenes, movement, text.

A sprite is a square RGBA picture of MASTER x MASTER pixels: a body in flat colour with a soft top-down shade, details in
fixed tones, a dark outline and a light halo around it, so that any colour stands out on any scene. Every subject that has
a front looks to the right. Drawing units are hundredths of the sprite's side.
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
}
TONES: dict[str, tuple[int, int, int]] = {
    "light": (255, 248, 230),
    "dark": (30, 28, 46),
    "glass": (168, 224, 246),
    "wood": (128, 80, 48),
    "roof": (96, 62, 66),
    "flame": (255, 196, 60),
    "beak": (250, 170, 40),
}


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
        Part("dark", "ellipse", (38, 44, 45, 56)),
        Part("dark", "ellipse", (55, 44, 62, 56)),
        Part("dark", "poly", (41, 61, 50, 64, 59, 61, 50, 69)),
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
        Part("light", "ellipse", (70, 35, 85, 50)),
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
        Part("shade", "ellipse", (36, 20, 44, 28)),
        Part("shade", "ellipse", (58, 30, 66, 38)),
        Part("shade", "ellipse", (24, 46, 32, 54)),
        Part("shade", "ellipse", (46, 52, 54, 60)),
        Part("shade", "ellipse", (72, 50, 80, 58)),
    ),
    "bird": (
        Part("body", "poly", (30, 50, 3, 40, 4, 66, 26, 70)),
        Part("beak", "poly", (84, 30, 98, 38, 84, 45)),
        Part("body", "ellipse", (16, 36, 78, 84)),
        Part("body", "ellipse", (54, 20, 90, 56)),
        Part("shade", "poly", (58, 56, 46, 30, 22, 8, 24, 34, 32, 56, 46, 66)),
        Part("light", "ellipse", (46, 62, 68, 80)),
        Part("dark", "ellipse", (71, 30, 79, 40)),
    ),
    "house": (
        Part("roof", "box", (68, 12, 80, 36)),
        Part("body", "box", (14, 44, 86, 92)),
        Part("roof", "poly", (50, 7, 97, 49, 3, 49)),
        Part("wood", "box", (42, 62, 58, 92)),
        Part("glass", "box", (21, 58, 35, 73)),
        Part("glass", "box", (65, 58, 79, 73)),
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
        Part("dark", "ellipse", (32, 34, 41, 47)),
        Part("dark", "ellipse", (59, 34, 68, 47)),
        Part("dark", "poly", (45, 50, 55, 50, 50, 57)),
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
    tones = {**TONES, "body": PAINT[colour], "shade": tuple((body * 0.8).astype(int))}
    if colour == "white":  # cream details would be lost on a white body
        tones["light"] = (178, 184, 212)
    return drawn(SHAPES[subject], tones, TONES["dark"], TONES["light"])
