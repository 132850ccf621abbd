"""Which sizes and frame counts a video model can make, and the nearest that it can.

A model asked for anything else gives a mosaic, not an error (research: peers, complaint 8), so it is refused here.
"""

from __future__ import annotations

from dataclasses import dataclass

from animatic.errors import GeometryError

Size = tuple[int, int]


@dataclass(frozen=True)
class Geometry:
    """What one model can make.

    sizes       the exact sizes (width, height) it was trained for; when empty, the sides' rule holds:
    multiple    both sides are multiples of this
    short       the range of the shorter side, in pixels
    long        the range of the longer side, in pixels
    frames      the frame counts it can make
    """

    sizes: tuple[Size, ...] = ()
    multiple: int = 16
    short: tuple[int, int] = (16, 4096)
    long: tuple[int, int] = (16, 4096)
    frames: tuple[int, ...] = ()

    def nearest_size(self, size: Size) -> Size:
        """The size it can make that is nearest in shape, then in area; itself if it can make it."""
        if self.sizes:
            return min(self.sizes, key=lambda known: _distance(known, size))
        portrait = size[0] < size[1]
        short = self._snap(min(size), self.short)
        long = self._snap(max(size), self.long)
        return (short, max(short, long)) if portrait else (max(short, long), short)

    def nearest_frames(self, frames: int) -> int:
        return min(self.frames, key=lambda known: (abs(known - frames), known)) if self.frames else frames

    def check(self, model: str, size: Size, frames: int | None = None) -> None:
        """Raises GeometryError naming the nearest size or count that `model` can make."""
        if (near := self.nearest_size(size)) != size:
            raise GeometryError(
                f"{model} cannot make {size[0]}x{size[1]}: the nearest it can is --size {near[0]}x{near[1]}"
            )
        if frames is not None and (count := self.nearest_frames(frames)) != frames:
            raise GeometryError(f"{model} cannot make {frames} frames: the nearest it can is --frames {count}")

    def _snap(self, side: int, bounds: tuple[int, int]) -> int:
        low, high = (-(-bounds[0] // self.multiple), bounds[1] // self.multiple)
        return max(low, min(high, round(side / self.multiple))) * self.multiple


def parse_size(text: str) -> Size:
    """`720x480` as (width, height). Raises GeometryError."""
    width, _, height = text.lower().partition("x")
    if not (width.strip().isdecimal() and height.strip().isdecimal()):
        raise GeometryError(f"--size {text!r} is no size: write WIDTHxHEIGHT, such as 720x480")
    return int(width), int(height)


def _distance(known: Size, asked: Size) -> tuple[float, float]:
    shape = abs(known[0] / known[1] - asked[0] / max(asked[1], 1))
    return shape, abs(known[0] * known[1] - asked[0] * asked[1])
