"""The props of the toy world: small still objects that stand on the near ground of a scene.

Knows: the shapes and fixed colours of every prop, as data. Must not know: scenes, subjects, how shapes become pixels.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Colour = tuple[int, int, int]


class Part(NamedTuple):
    """One filled shape; `points` are pixels right of and below the foot of the prop (so heights are negative).

    An ellipse is (centre x, centre y, radius x, radius y). `lit` is the colour of a part that shines at night.
    """

    colour: Colour
    kind: Literal["ellipse", "poly"]
    points: tuple[float, ...]
    lit: Colour | None = None


class Glow(NamedTuple):
    """Soft light around (x, y), only at night: half as strong some `radius` pixels away."""

    x: float
    y: float
    radius: float
    colour: Colour
    strength: float


IRON, CLOTH = (44, 46, 58), (226, 40, 56)
SHAPES: dict[str, tuple[Part, ...]] = {
    "rock": (
        Part((62, 58, 66), "poly", (-13, 0.5, -12, -7, -7.5, -14, 1, -17.5, 8, -13, 12.5, -5.5, 13, 0.5)),
        Part((128, 122, 126), "poly", (-11.5, -1, -10.8, -6.5, -7, -13, 0.8, -16.2, 3, -9, -3, -1)),
        Part((166, 160, 160), "poly", (-9.6, -8, -6.6, -12.6, 0.8, -16, 2.2, -11.5, -4, -9)),
        Part((94, 88, 96), "poly", (0.8, -16.2, 7.2, -12.4, 11.2, -5.4, 11.6, -1, -3, -1, 3, -9)),
    ),
    "bush": (
        *(
            Part((18, 62, 42), "ellipse", points)
            for points in ((-7, -6, 6.5, 6.5), (7, -6, 6.5, 6.5), (-3.2, -10.8, 6.4, 6.4), (4, -10.4, 6.2, 6.2), (0, -5, 8, 5.6))
        ),
        *(
            Part((46, 122, 62), "ellipse", points)
            for points in ((-7.2, -6.8, 5, 4.8), (6.6, -6.8, 5, 4.8), (-3.2, -11.8, 4.8, 4.4), (4, -11.2, 4.6, 4.4), (0, -6.4, 6, 4))
        ),
        *(
            Part((244, 92, 132), "ellipse", (x, y, 1.5, 1.5))
            for x, y in ((-8.2, -5.6), (-3.6, -12), (0.4, -6.4), (5, -11), (8.4, -5.4))
        ),
    ),
    "flag": (
        Part((70, 56, 52), "poly", (-4, 0.6, -3, -1.6, 3, -1.6, 4, 0.6)),
        Part((238, 226, 200), "poly", (-1, -0.6, -1, -22, 1, -22, 1, -0.6)),
        Part((250, 206, 84), "ellipse", (0, -22, 1.6, 1.6)),
        Part(CLOTH, "poly", (1, -21, 5, -21.8, 9, -20.6, 14, -21.2, 14, -11.4, 9, -10.6, 5, -11.8, 1, -11)),
        Part((255, 244, 232), "poly", (1, -17.6, 5, -18.4, 9, -17.2, 14, -17.8, 14, -14.6, 9, -13.8, 5, -15, 1, -14.2)),
    ),
    "lamp": (
        Part(IRON, "poly", (-4, 0.6, -3, -2.4, 3, -2.4, 4, 0.6)),
        Part(IRON, "poly", (-1.2, -2, -1, -13, 1, -13, 1.2, -2)),
        Part(IRON, "poly", (-2.8, -11.6, -5, -20.4, 5, -20.4, 2.8, -11.6)),
        Part((255, 232, 168), "poly", (-2, -12.8, -3.7, -19.4, 3.7, -19.4, 2, -12.8), (255, 238, 170)),
        Part(IRON, "poly", (-5.8, -19.6, -2.2, -22.4, 2.2, -22.4, 5.8, -19.6)),
        Part(IRON, "ellipse", (0, -22.6, 1.2, 1.2)),
    ),
}
GLOWS: dict[str, Glow] = {"lamp": Glow(0, -16, 13, (255, 206, 112), 0.85)}
PROPS: tuple[str, ...] = ("none", *SHAPES)
