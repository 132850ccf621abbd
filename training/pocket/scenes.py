"""The backgrounds of the toy world.

Knows: how each scene is painted in layers by day and by night, and how layers slide when the camera turns. Must not know:
subjects, movement, text; the shapes of the props are in props.py.
A scene is nearly the same picture each time (so that a tiny model can learn it): a variant only shifts it a little
sideways, makes it a little lighter or darker, and puts the prop on the left or on the right. All coordinates are pixels
of the frame at pan 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache, lru_cache

import numpy as np
from PIL import Image, ImageDraw

from training.pocket.props import GLOWS, PROPS, SHAPES, Colour

__all__ = ["HEIGHT", "NOCTURNAL", "PAN", "PROPS", "SCENES", "TIMES", "VARIANTS", "WIDTH", "background"]

WIDTH, HEIGHT = 144, 96
VARIANTS = 12
PAN = 16
TIMES: tuple[str, ...] = ("day", "night")
NOCTURNAL = frozenset({"moon"})
SCALE, MARGIN = 4, 4
# A canvas is SCALE times too large, and so much wider than a frame that it can be shifted and slide.
CANVAS = (HEIGHT * SCALE, (WIDTH + 2 * MARGIN + PAN) * SCALE)
LEFT, RIGHT = -MARGIN, WIDTH + MARGIN + PAN
PROP_FOOT, PROP_X = 84.0, (22.0, 124.0)
X = ((np.arange(CANVAS[1], dtype=np.float32) + 0.5) / SCALE + LEFT)[None]
Y = ((np.arange(CANVAS[0], dtype=np.float32) + 0.5) / SCALE)[:, None]

Stops = tuple[tuple[float, Colour], ...]
Waves = tuple[tuple[float, float, float], ...]


def background(scene: str, time: str, prop: str, variant: int, pan: float = 0.0) -> np.ndarray:
    """uint8 [HEIGHT, WIDTH, 3], read-only; the nearest ground has slid `pan` pixels to the left (quarters count).

    `variant` is taken modulo 2 * VARIANTS: its remainder by VARIANTS shifts and lights the scene, the rest is the prop's side.
    """
    side, look = divmod(variant % (2 * VARIANTS), VARIANTS)
    night = time == "night" or scene in NOCTURNAL
    quarters = round(min(max(pan, 0.0), PAN) * SCALE)
    return _composed(scene, night, prop, side if prop != "none" else 0, look, quarters)


@lru_cache(maxsize=4096)
def _composed(scene: str, night: bool, prop: str, side: int, look: int, quarters: int) -> np.ndarray:
    shift, gain = look % 4 - 1.5, 1 + 0.02 * (look // 4 - 1)
    layers = _scene(scene, night)
    if prop != "none":
        layers += _prop(prop, side, night, tinted=scene not in NOCTURNAL)
    picture = np.zeros((HEIGHT, WIDTH, 3), np.float32)
    for layer in layers:
        top, colour, through = layer.window(round((MARGIN + shift) * SCALE + layer.depth * quarters))
        under = picture[top : top + len(colour)]
        under *= through
        under += colour
    picture *= gain
    picture += 0.5
    result = picture.clip(0, 255).astype(np.uint8)
    result.setflags(write=False)
    return result


class Layer:
    """A part of a scene at one depth: 0 is the sky, which stands still, 1 the near ground, which slides fully.

    Painted on a large canvas of premultiplied colours; `light` keeps its paint for after nightfall.
    """

    def __init__(self, depth: float) -> None:
        self.depth = depth
        self._pixels = np.zeros((*CANVAS, 4), np.float32)
        self._lights: list[tuple[Colour | np.ndarray, np.ndarray]] = []
        self._phases: list[tuple[np.ndarray, np.ndarray]] = []

    def paint(self, colour: Colour | np.ndarray, cover: np.ndarray) -> None:
        """Cover pixels with a colour, or with an array of colours that broadcasts to the canvas; `cover` is 0 to 1."""
        cover = np.broadcast_to(cover, CANVAS)
        rows = np.flatnonzero(cover.any(1))
        if not len(rows):
            return
        part = slice(rows[0], rows[-1] + 1)
        colours = np.broadcast_to(np.asarray(colour, np.float32), (*CANVAS, 3))
        alpha = cover[part, :, None].astype(np.float32)
        self._pixels[part] *= 1 - alpha
        self._pixels[part, :, :3] += colours[part] * alpha
        self._pixels[part, :, 3:] += alpha

    def light(self, colour: Colour | np.ndarray, cover: np.ndarray) -> None:
        """Paint what shines at night and is not there by day."""
        self._lights.append((colour, cover))

    def nightfall(self, tint: float) -> None:
        """Darken the layer into blues (0 not at all, 1 fully) and switch its lights on."""
        colour, alpha = self._pixels[..., :3], self._pixels[..., 3:]
        grey = colour @ np.array((0.3, 0.59, 0.11), np.float32)
        dark = (0.65 * colour + 0.35 * grey[..., None]) * np.array((0.32, 0.40, 0.62), np.float32)
        colour += tint * (dark + alpha * np.array((6, 9, 32), np.float32) - colour)
        for paint in self._lights:
            self.paint(*paint)

    def settle(self) -> Layer:
        """Average the canvas down to pixels once per sub-pixel phase, and drop it."""
        rows = np.flatnonzero(self._pixels[..., 3].any(1)) // SCALE
        self._top, bottom = int(rows[0]), int(rows[-1]) + 1
        columns = CANVAS[1] // SCALE - 1
        lines = self._pixels[self._top * SCALE : bottom * SCALE].reshape(bottom - self._top, SCALE, CANVAS[1], 4).mean(1)
        for phase in range(SCALE):
            small = lines[:, phase : phase + columns * SCALE].reshape(len(lines), columns, SCALE, 4).mean(2)
            self._phases.append((small[..., :3].copy(), 1 - small[..., 3:]))
        del self._pixels, self._lights
        return self

    def window(self, left: int) -> tuple[int, np.ndarray, np.ndarray]:
        """What a frame sees from sub-pixel `left` on: its first row, colours, and how much of what is behind shows through."""
        column, phase = divmod(left, SCALE)
        colour, through = self._phases[phase]
        return self._top, colour[:, column : column + WIDTH], through[:, column : column + WIDTH]


@cache
def _scene(name: str, night: bool) -> tuple[Layer, ...]:
    sky, *rest = PAINTERS[name](night)
    if night:
        for layer in rest:
            layer.nightfall(float(name not in NOCTURNAL))
    return tuple(layer.settle() for layer in (sky, *rest))


@cache
def _prop(name: str, side: int, night: bool, tinted: bool) -> tuple[Layer, ...]:
    """A prop, and behind it the light that it casts."""
    layer, x, y = Layer(1), PROP_X[side], PROP_FOOT
    layer.paint((20, 20, 40), 0.3 * _ellipses([(x + 1, y, 13 if name in ("rock", "bush") else 6, 2.2)]))
    for part in SHAPES[name]:
        points = part.points
        shape = _ellipses([(x + points[0], y + points[1], *points[2:])]) if part.kind == "ellipse" else _polygons([[v + (y if n % 2 else x) for n, v in enumerate(points)]])
        layer.paint(part.colour, shape)
        if part.lit:
            layer.light(part.lit, shape)
    if not night:
        return (layer.settle(),)
    behind = []
    if name in GLOWS:
        glow = GLOWS[name]
        halo = Layer(1)
        halo.paint(glow.colour, 0.5 * _spot(x, y + 1, 1.3 * glow.radius, 0.3) * (y - 6 < Y))
        halo.paint(glow.colour, glow.strength * _spot(x + glow.x, y + glow.y, glow.radius))
        behind.append(halo.settle())
        layer.light(glow.colour, 0.5 * _spot(x + glow.x, y + glow.y, 0.3 * glow.radius))
    # A little lighter than the ground, or it would be lost there.
    layer.nightfall(0.72 * tinted)
    return (*behind, layer.settle())


# Covers: which pixels of the canvas a shape covers, float [H', W'] or what broadcasts to it.


def _polygons(outlines: Iterable[Iterable[float]]) -> np.ndarray:
    """Polygons, each given as x, y, x, y, ..."""
    cover = Image.new("L", CANVAS[::-1])
    draw = ImageDraw.Draw(cover)
    for outline in outlines:
        draw.polygon([(v - (LEFT if n % 2 == 0 else 0)) * SCALE for n, v in enumerate(outline)], fill=255)
    return np.asarray(cover, np.float32) / 255


def _ellipses(places: Iterable[tuple[float, float, float, float]]) -> np.ndarray:
    """Ellipses, each given as centre x, centre y, radius x, radius y."""
    cover = Image.new("L", CANVAS[::-1])
    draw = ImageDraw.Draw(cover)
    for x, y, rx, ry in places:
        x, y, rx, ry = ((x - LEFT) * SCALE, y * SCALE, rx * SCALE, ry * SCALE)
        draw.ellipse((x - rx, y - ry, x + rx, y + ry), fill=255)
    return np.asarray(cover, np.float32) / 255


def _dots(places: Iterable[tuple[float, float, float]]) -> np.ndarray:
    return _ellipses((x, y, r, r) for x, y, r in places)


def _boxes(places: Iterable[tuple[float, float, float, float]]) -> np.ndarray:
    """Boxes, each given as left, top, right, bottom."""
    return _polygons((x0, y0, x1, y0, x1, y1, x0, y1) for x0, y0, x1, y1 in places)


def _spot(x: float, y: float, radius: float, flat: float = 1.0) -> np.ndarray:
    """A soft round light; `flat` squeezes it vertically."""
    return np.exp(-(((X - x) / radius) ** 2) - ((Y - y) / (radius * flat)) ** 2)


def _scatter(seed: int, count: int, top: float, bottom: float, small: float, large: float) -> list[tuple[float, float, float]]:
    """`count` places spread evenly in x with a random y and radius, the same each time."""
    rng = np.random.default_rng(seed)
    x = (np.arange(count) + rng.uniform(0.1, 0.9, count)) * (RIGHT - LEFT) / count + LEFT
    y, radius = rng.uniform(top, bottom, count), rng.uniform(small, large, count)
    return list(zip(x.tolist(), y.tolist(), radius.tolist(), strict=True))


# Paint that several scenes share.


def _gradient(stops: Stops) -> np.ndarray:
    """Colours of the canvas from top to bottom, float [H', 1, 3]; a stop is (row of 96, colour)."""
    at, colours = [s[0] for s in stops], np.array([s[1] for s in stops], np.float32)
    return np.stack([np.interp(Y[:, 0], at, colours[:, c]) for c in range(3)], 1)[:, None].astype(np.float32)


def _sky(night: bool, day: Stops, dark: Stops, place: tuple[float, float], sun: Colour = (255, 246, 198)) -> Layer:
    """The sky with the sun, or by night with stars and a crescent moon, at that place."""
    sky = Layer(0)
    x, y = place
    sky.paint(_gradient(dark if night else day), np.ones((1, 1)))
    if night:
        stars = [s for s in _scatter(6, 40, 3, 60, 0.45, 0.95) if np.hypot(s[0] - x, s[1] - y) > 15]
        sky.paint((236, 240, 255), 0.95 * _dots(stars))
        sky.paint((168, 172, 226), 0.45 * _spot(x, y, 19))
        sky.paint((252, 244, 206), (np.hypot(X - x, Y - y) < 9.5) & (np.hypot(X - x - 4.5, Y - y + 3) > 8.2))
    else:
        sky.paint(sun, 0.75 * _spot(x, y, 19))
        sky.paint(sun, _dots([(x, y, 8.5)]))
    return sky


def _hills(layer: Layer, base: float, waves: Waves, top: Colour, foot: Colour) -> None:
    """Ground under a sum of sines (height, length, phase), shaded from its crest downwards."""
    crest = base - sum(h * np.sin(2 * np.pi * X / length + phase) for h, length, phase in waves)
    depth = ((Y - crest) / max(HEIGHT - base, 1)).clip(0, 1)[..., None]
    cover = (crest < Y).astype(np.float32)
    layer.paint(np.array(top, np.float32) * (1 - depth) + np.array(foot, np.float32) * depth, cover)


def _cloud(layer: Layer, x: float, y: float, size: float) -> None:
    puffs = ((-1.5, 0.25, 0.8), (-0.5, -0.35, 1.1), (0.6, -0.1, 1.0), (1.5, 0.3, 0.75))
    cover = _ellipses([(x + px * size, y + py * size, r * size, r * size * 0.8) for px, py, r in puffs])
    shade = ((Y - y + size) / (2 * size)).clip(0, 1)[..., None]
    layer.paint(np.array((255, 255, 255)) * (1 - shade) + np.array((214, 230, 246)) * shade, cover * (y + 0.75 * size > Y))


def _pines(layer: Layer, places: Iterable[tuple[float, float, float]], colour: Colour, snow: Colour | None = None) -> None:
    """Pines at (x, foot, height), each in three steps, lighter on their left."""
    light = tuple(min(round(1.22 * v), 255) for v in colour)
    for x, foot, height in places:
        layer.paint((84, 62, 58), _boxes([(x - height * 0.04, foot - height * 0.2, x + height * 0.04, foot)]))
        for level in (2, 1, 0):
            top, half = foot - height * (1 - 0.24 * level), height * (0.15 + 0.07 * level)
            low = top + height * 0.42
            layer.paint(colour, _polygons([(x, top, x + half, low, x - half, low)]))
            layer.paint(light, _polygons([(x, top, x - half * 0.1, low, x - half, low)]))
            if snow:
                layer.paint(snow, _polygons([(x, top, x + half * 0.5, top + height * 0.2, x, top + height * 0.15, x - half * 0.6, top + height * 0.24)]))


def _peaks(layer: Layer, places: Iterable[tuple[float, float, float]], foot: float, rock: Colour, shade: Colour, white: Colour, grey: Colour) -> None:
    """Mountains at (x, top, half width) with a dark right side and snow on the upper part."""
    parts = (
        (rock, ((0, 0), (1, 1), (-1, 1))),
        (shade, ((0, 0), (1, 1), (0.15, 1), (0.22, 0.7), (-0.02, 0.42), (0.08, 0.25))),
        (white, ((0, 0), (0.2, 0.3), (0.02, 0.46), (-0.1, 0.32), (-0.25, 0.44), (-0.4, 0.4))),
        (grey, ((0, 0), (0.42, 0.42), (0.28, 0.34), (0.16, 0.46), (-0.02, 0.4), (0.08, 0.25))),
    )
    for x, top, half in places:
        for colour, corners in parts:
            layer.paint(colour, _polygons([np.ravel([(x + u * half, top + v * (foot - top)) for u, v in corners])]))


def _sea(night: bool) -> list[Layer]:
    day = ((0, (88, 176, 232)), (30, (164, 216, 236)), (47, (254, 226, 178)))
    dark = ((0, (8, 14, 50)), (30, (34, 48, 112)), (47, (96, 108, 172)))
    sky = _sky(night, day, dark, (112, 24))
    # The far water stays with the sky, so that the light on it stays under the sun or moon.
    water = ((47, (70, 92, 156)), (62, (34, 58, 122)), (96, (12, 28, 76))) if night else ((47, (72, 176, 204)), (60, (44, 146, 188)), (96, (12, 70, 132)))
    sky.paint(_gradient(water), Y > 47)
    glint = (0.55 + 0.45 * np.sin(Y * 1.5)) * np.exp(-(((X - 112) / (5 + (Y - 47).clip(0, None) * 0.22)) ** 2) - (Y - 47) / 20)
    sky.paint((250, 240, 206) if night else (255, 242, 196), (0.8 * glint * (Y > 47)).clip(0, 1))
    far = Layer(0.15)
    _cloud(far, 30, 20, 6)
    _cloud(far, 74, 33, 4)
    far.paint((116, 158, 176), _ellipses([(22, 48, 24, 9), (46, 48, 17, 5.5), (160, 48, 14, 6)]) * (Y < 47.4))
    layers = [sky, far]
    for depth, row, height, length, phase in ((0.35, 56, 0.9, 26, 0.5), (0.55, 65, 1.3, 36, 2.0), (0.8, 75, 1.7, 48, 4.0)):
        wave = Layer(depth)
        line = (Y - row + height * np.sin(2 * np.pi * X / length + phase)) / (0.45 + (row - 47) / 40)
        wave.paint((150, 218, 228), 0.75 * np.exp(-(line**2)) * (0.6 + 0.4 * np.sin(2 * np.pi * X / (2 * length))))
        layers.append(wave)
    beach = Layer(1)
    waves = ((1.6, 74, 1.2), (0.8, 31, 0.0))
    _hills(beach, 79, waves, (226, 246, 244), (226, 246, 244))
    _hills(beach, 80.8, waves, (218, 186, 134), (240, 214, 160))
    _hills(beach, 83, waves, (244, 220, 168), (228, 192, 130))
    return [*layers, beach]


def _meadow(night: bool) -> list[Layer]:
    day = ((0, (92, 182, 244)), (52, (216, 240, 250)))
    dark = ((0, (10, 14, 48)), (30, (38, 42, 104)), (54, (104, 84, 156)))
    sky = _sky(night, day, dark, (116, 20))
    clouds = Layer(0.1)
    for x, y, size in ((28, 17, 7), (80, 30, 4.5), (152, 14, 5)):
        _cloud(clouds, x, y, size)
    far = Layer(0.25)
    _hills(far, 46, ((5, 96, 0.4), (2, 41, 1.0)), (150, 202, 200), (140, 196, 170))
    middle = Layer(0.5)
    _hills(middle, 55, ((5, 120, 0.9),), (156, 212, 120), (104, 178, 88))
    for x, y, size in ((6, 51, 6), (17, 51, 4.5), (128, 56, 4.5), (138, 56, 6.5), (158, 53, 5)):
        middle.paint((112, 84, 60), _boxes([(x - 0.8, y, x + 0.8, y + size + 2)]))
        middle.paint((64, 142, 76), _ellipses([(x, y, size, size)]))
        middle.paint((96, 174, 92), _ellipses([(x - size * 0.2, y - size * 0.25, size * 0.68, size * 0.62)]))
    near = Layer(1)
    _hills(near, 70, ((4, 150, 3.6),), (136, 208, 88), (62, 148, 58))
    near.paint((255, 250, 240), _dots(_scatter(3, 13, 77, 93, 1.2, 1.8)))
    near.paint((250, 210, 80), _dots(_scatter(4, 10, 78, 93, 1.2, 1.8)))
    return [sky, clouds, far, middle, near]


def _cactus(layer: Layer, x: float, foot: float, size: float) -> None:
    limbs = ((0, -1, 0, 0, 0.15), (-0.42, -0.7, -0.42, -0.45, 0.1), (-0.42, -0.45, 0, -0.42, 0.1), (0.4, -0.85, 0.4, -0.6, 0.1), (0, -0.6, 0.4, -0.57, 0.1))
    for limb in limbs:
        x0, y0, x1, y1, r = (v * size for v in limb)
        layer.paint((82, 132, 88), _boxes([(x + x0 - r, foot + y0, x + x1 + r, foot + y1)]))
        layer.paint((82, 132, 88), _dots([(x + px, foot + py, r) for px in (x0, x1) for py in (y0, y1)]))


def _desert(night: bool) -> list[Layer]:
    day = ((0, (246, 172, 112)), (30, (252, 212, 154)), (52, (255, 238, 200)))
    dark = ((0, (16, 12, 50)), (30, (62, 40, 104)), (54, (170, 92, 122)))
    sky = _sky(night, day, dark, (28, 24), (255, 250, 226))
    far = Layer(0.2)
    for left, right, top in ((84, 108, 40), (114, 124, 35), (-4, 10, 44), (140, 168, 42)):
        far.paint((222, 150, 118), _polygons([(left, top, right, top, right + 2, top + 6, right + 6, 60, left - 6, 60, left - 2, top + 6)]))
        far.paint((202, 124, 100), _polygons([(right - (right - left) * 0.35, top, right, top, right + 2, top + 6, right + 6, 60, right - 3, 60)]))
    back, middle, near = Layer(0.4), Layer(0.65), Layer(1)
    _hills(back, 55, ((3, 110, 2.2),), (236, 190, 128), (214, 150, 88))
    _hills(middle, 66, ((5, 160, 0.4),), (226, 168, 98), (190, 122, 66))
    _cactus(middle, 8, 71, 17)
    _cactus(middle, 137, 71, 20)
    _hills(near, 78, ((3, 130, 3.4),), (210, 146, 84), (160, 94, 50))
    return [sky, far, back, middle, near]


def _snow(night: bool) -> list[Layer]:
    day = ((0, (128, 172, 214)), (54, (222, 234, 244)))
    dark = ((0, (8, 16, 52)), (34, (26, 58, 112)), (56, (74, 122, 164)))
    sky = _sky(night, day, dark, (116, 19), (255, 252, 236))
    if night:  # an aurora: a bright lower edge that fades upwards
        edge = 27 + 6 * np.sin(X / 19 + 1) + 2 * np.sin(X / 8)
        above = (edge - Y) / 15
        ribbon = np.where(above > 0, np.exp(-2 * above.clip(0, None)), np.exp(-((6 * above) ** 2))) * (0.7 + 0.3 * np.sin(X / 5))
        sky.paint((104, 240, 186), 0.8 * ribbon * np.exp(-(((X - 44) / 52) ** 2)))
    far, back, middle, near, flakes = Layer(0.15), Layer(0.35), Layer(0.6), Layer(1), Layer(0.75)
    _peaks(far, ((14, 36, 34), (104, 40, 30), (152, 35, 34), (60, 42, 30)), 64, (172, 194, 222), (150, 174, 208), (244, 248, 254), (204, 218, 238))
    _hills(back, 57, ((4, 120, 0.8), (1, 50, 0)), (222, 232, 244), (206, 220, 238))
    _pines(middle, ((10, 69, 24), (24, 70, 17), (118, 69, 17), (133, 70, 26), (160, 69, 20)), (50, 104, 108), (240, 246, 252))
    _hills(middle, 67, ((2, 140, 2.6),), (236, 242, 250), (212, 226, 242))
    _hills(near, 76, ((3, 110, 2.0),), (255, 255, 255), (206, 222, 240))
    snowing = 0.95 * _dots(_scatter(9, 26, 3, 62, 0.7, 1.2))
    flakes.paint((255, 255, 255), snowing)
    flakes.light((206, 222, 250), snowing)
    return [sky, far, back, middle, flakes, near]


def _towers(layer: Layer, towers: Iterable[tuple[float, float, float]], foot: float, tones: tuple[Colour, ...], glass: Colour | None) -> None:
    """Towers of (left, width, top); with `glass`, they have windows, most of which are lit at night."""
    for n, (left, width, top) in enumerate(towers):
        tone = tones[n % len(tones)]
        layer.paint(tone, _boxes([(left, top, left + width, foot)]))
        layer.paint(tuple(round(0.85 * v) for v in tone), _boxes([(left + width * 0.82, top, left + width, foot)]))
        if not glass:
            continue
        spots = [(left + 2 + 4.6 * column, top + 4 + 8 * row, (n * 7 + column * 3 + row * 5) % 3) for column in range(int((width - 4) // 4.6) + 1) for row in range(int((foot - 6 - top) // 8))]
        layer.paint(glass, _boxes([(x, y, x + 2.8, y + 4) for x, y, _ in spots]))
        layer.light((255, 208, 116), _boxes([(x, y, x + 2.8, y + 4) for x, y, lit in spots if lit]))


def _city(night: bool) -> list[Layer]:
    day = ((0, (128, 156, 226)), (36, (236, 178, 196)), (66, (255, 222, 180)))
    dark = ((0, (12, 12, 46)), (36, (56, 44, 108)), (66, (158, 88, 138)))
    sky = _sky(night, day, dark, (68, 15), (255, 250, 222))
    far, middle, near = Layer(0.2), Layer(0.5), Layer(1)
    _towers(far, ((-4, 12, 44), (9, 10, 36), (22, 11, 46), (36, 9, 30), (47, 12, 48), (62, 14, 42), (78, 10, 50), (90, 9, 34), (101, 12, 44), (116, 10, 38), (128, 12, 46), (142, 10, 40), (154, 18, 46)), 80, ((190, 160, 196), (200, 168, 196)), None)
    _towers(middle, ((-4, 14, 40), (11, 13, 26), (25, 17, 52), (43, 12, 44), (56, 19, 58), (76, 13, 50), (90, 16, 36), (107, 12, 54), (120, 15, 24), (136, 14, 42), (151, 21, 50)), 80, ((112, 104, 156), (130, 112, 160), (98, 98, 150)), (200, 222, 244))
    near.paint((196, 186, 190), (Y > 76) & (Y < 89))
    near.paint((224, 214, 212), (Y > 76) & (Y < 77.6))
    near.paint((136, 128, 142), (Y > 87.4) & (Y < 89))
    near.paint((92, 90, 106), Y > 89)
    near.paint((240, 230, 190), _boxes([(x, 92, x + 8, 93.4) for x in range(LEFT, RIGHT, 16)]))
    return [sky, far, middle, near]


def _trunks(layer: Layer, places: Iterable[tuple[float, float]], foot: float, bark: Colour, shade: Colour) -> None:
    """Tall trunks at (x, width) that leave the picture at its top."""
    for x, w in places:
        layer.paint(bark, _polygons([(x - w * 0.42, -1, x + w * 0.42, -1, x + w * 0.5, foot - 8, x + w * 0.85, foot + 2, x - w * 0.85, foot + 2, x - w * 0.5, foot - 8)]))
        layer.paint(shade, _polygons([(x + w * 0.1, -1, x + w * 0.42, -1, x + w * 0.5, foot - 8, x + w * 0.85, foot + 2, x + w * 0.2, foot + 2)]))


def _forest(night: bool) -> list[Layer]:
    day = ((0, (196, 230, 170)), (40, (236, 246, 200)), (66, (206, 230, 164)))
    dark = ((0, (10, 24, 52)), (36, (26, 62, 92)), (66, (62, 110, 124)))
    sky = _sky(night, day, dark, (84, 21), (255, 252, 214))
    far, back, middle, near = Layer(0.2), Layer(0.4), Layer(0.7), Layer(1)
    _trunks(far, ((-1, 4), (14, 5), (31, 4), (49, 5), (66, 3.5), (100, 4), (116, 5), (131, 4), (146, 5), (162, 4)), 66, (164, 190, 142), (150, 178, 132))
    _hills(far, 62, ((1.5, 60, 0.0),), (158, 194, 128), (134, 176, 108))
    _pines(back, ((24, 70, 38), (44, 69, 26), (106, 69, 28), (124, 70, 40), (146, 70, 34), (166, 70, 40)), (74, 136, 96))
    if not night:
        shafts = [(74 + n * 13, -2, 84 + n * 13, -2, 52 + n * 19, 76, 34 + n * 19, 76) for n in (-1, 0, 1)]
        back.paint((255, 252, 206), 0.42 * (1 - Y / 76).clip(0, 1) * _polygons(shafts))
    _hills(back, 67, ((1.5, 80, 2.0),), (112, 166, 90), (84, 140, 74))
    _trunks(middle, ((3, 10), (141, 11), (163, 8)), 76, (122, 86, 62), (94, 64, 50))
    leaves = [(x, y - 5, r * 1.5, r) for x, y, r in _scatter(21, 16, -1, 4, 7, 10)]
    middle.paint((52, 108, 68), _ellipses(leaves))
    middle.paint((76, 138, 80), _ellipses([(x - 1, y - 3.5, rx * 0.8, ry * 0.75) for x, y, rx, ry in leaves]))
    _hills(near, 75, ((2, 90, 1.0),), (110, 166, 76), (52, 100, 52))
    for x in (44, 74, 100, 142, 166):
        blades = [(x - 1, 91, x + 1, 91, x + dx, 91 + dy) for dx, dy in ((-8, -5), (-5, -8.5), (0, -10), (5, -8.5), (8, -5))]
        near.paint((56, 124, 66), _polygons(blades))
    for x, y in ((20, 50), (34, 66), (58, 40), (96, 60), (116, 48), (128, 66), (154, 56)):
        middle.light((216, 250, 130), 0.7 * _spot(x, y, 2.6))
        middle.light((250, 255, 200), _dots([(x, y, 0.9)]))
    return [sky, far, back, middle, near]


def _mountains(night: bool) -> list[Layer]:
    day = ((0, (74, 158, 232)), (50, (206, 234, 250)))
    dark = ((0, (8, 14, 50)), (30, (34, 46, 112)), (54, (92, 104, 176)))
    sky = _sky(night, day, dark, (24, 17))
    far, back, lake, middle, near = Layer(0.12), Layer(0.25), Layer(0.4), Layer(0.6), Layer(1)
    _cloud(far, 116, 15, 5)
    _peaks(far, ((-2, 30, 30), (54, 22, 34), (92, 31, 28), (158, 26, 34)), 64, (156, 182, 216), (136, 164, 204), (250, 252, 255), (212, 226, 242))
    _peaks(back, ((22, 36, 32), (84, 41, 26), (124, 24, 42), (168, 38, 28)), 66, (112, 132, 168), (88, 106, 146), (250, 252, 255), (200, 214, 236))
    _hills(back, 58, ((1.5, 70, 1.0), (0.8, 23, 0)), (88, 142, 120), (76, 132, 110))
    water = (Y > 62).astype(np.float32)
    lake.paint(_gradient(((62, (156, 212, 232)), (78, (66, 148, 196)))), water)
    lake.paint((226, 244, 250), 0.5 * _ellipses([(40, 66, 13, 0.6), (76, 69, 18, 0.8), (110, 65.5, 12, 0.6), (150, 68, 14, 0.7)]))
    _pines(middle, ((4, 73, 20), (15, 75, 15), (132, 74, 15), (143, 73, 22), (158, 74, 17)), (44, 108, 84))
    middle.paint((98, 164, 88), _ellipses([(2, 80, 34, 9), (150, 80, 36, 9)]))
    _hills(near, 77, ((2.4, 130, 1.0),), (138, 200, 92), (66, 142, 66))
    return [sky, far, back, lake, middle, near]


def _crater(layer: Layer, x: float, y: float, rx: float, light: Colour, floor: Colour, dark: Colour) -> None:
    ry = rx * 0.32
    layer.paint(light, _ellipses([(x, y, rx, ry)]))
    layer.paint(dark, _ellipses([(x, y - 0.1 * ry, rx * 0.88, ry * 0.78)]))
    layer.paint(floor, _ellipses([(x + rx * 0.1, y + ry * 0.14, rx * 0.74, ry * 0.54)]))


def _moon(night: bool) -> list[Layer]:
    sky = Layer(0)
    sky.paint(_gradient(((0, (3, 3, 10)), (60, (18, 18, 34)))), np.ones((1, 1)))
    sky.paint((240, 242, 255), _dots([s for s in _scatter(8, 44, 3, 58, 0.45, 1.0) if np.hypot(s[0] - 34, s[1] - 25) > 20]))
    sky.paint((90, 150, 255), 0.4 * _spot(34, 25, 20))
    earth = _dots([(34, 25, 14)])
    sky.paint((44, 120, 232), earth)
    sky.paint((82, 184, 100), earth * _ellipses([(27, 19, 7, 4.5), (30, 25, 4, 5), (42, 31, 5.5, 4.5), (45, 18, 3, 4)]))
    sky.paint((246, 250, 255), earth * _ellipses([(34, 11.5, 8, 2.4), (38, 23, 6.5, 1.7), (27, 32.5, 6, 1.8)]))
    sky.paint((4, 8, 34), 0.5 * earth * (np.hypot(X - 30.5, Y - 22) > 14.8))
    far, middle, near = Layer(0.2), Layer(0.5), Layer(1)
    for x, top, half in ((0, 47, 28), (66, 52, 22), (114, 43, 32), (158, 48, 26)):
        crag = ((-1, 1), (-0.7, 0.62), (-0.45, 0.5), (-0.2, 0.06), (0.05, 0), (0.3, 0.22), (0.42, 0.5), (0.75, 0.66), (1, 1))
        outline = [(x + u * half, top + v * (72 - top)) for u, v in crag]
        far.paint((112, 112, 124), _polygons([np.ravel(outline)]))
        far.paint((76, 76, 90), _polygons([np.ravel([*outline[4:], (x + 0.3 * half, 72), (x + 0.1 * half, top + 12)])]))
    _hills(middle, 61, ((2, 110, 0.6), (0.8, 37, 0)), (150, 150, 158), (128, 128, 138))
    for x, y, rx in ((28, 67, 9), (76, 69, 12), (118, 66, 8), (152, 69, 10)):
        _crater(middle, x, y, rx, (178, 178, 186), (124, 124, 134), (94, 94, 106))
    _hills(near, 76, ((2, 120, 2.4),), (188, 188, 194), (136, 136, 146))
    for x, y, rx in ((58, 88, 13), (97, 84, 7), (150, 90, 12), (8, 92, 9)):
        _crater(near, x, y, rx, (214, 214, 220), (148, 148, 158), (110, 110, 122))
    return [sky, far, middle, near]


PAINTERS: dict[str, Callable[[bool], list[Layer]]] = {
    "sea": _sea, "meadow": _meadow, "desert": _desert, "snow": _snow, "city": _city, "forest": _forest,
    "mountains": _mountains, "moon": _moon,
}  # fmt: skip
SCENES: tuple[str, ...] = tuple(PAINTERS)
