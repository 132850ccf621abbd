"""Sizes a model can make: what is offered instead can be made, and what can be made is left alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from animatic.errors import GeometryError
from animatic.geometry import Geometry, parse_size

COG = Geometry(sizes=((720, 480),), frames=(49,))
COG15 = Geometry(multiple=16, short=(768, 768), long=(768, 1360), frames=tuple(range(17, 162, 16)))
FLUX = Geometry(multiple=16, short=(256, 1536), long=(256, 2048))
sides = st.tuples(st.integers(1, 5000), st.integers(1, 5000))


@given(st.sampled_from([COG, COG15, FLUX]), sides, st.integers(1, 1000))
def test_the_nearest_can_be_made(geometry: Geometry, size: tuple[int, int], frames: int) -> None:
    near = geometry.nearest_size(size)
    geometry.check("model", near, geometry.nearest_frames(frames))
    if not geometry.sizes:
        assert all(side % geometry.multiple == 0 for side in near)
        assert geometry.short[0] <= min(near) <= geometry.short[1]
        assert geometry.long[0] <= max(near) <= geometry.long[1]
        assert (near[0] < near[1]) <= (size[0] < size[1])  # a portrait only from a portrait


@pytest.mark.parametrize(
    ("geometry", "size", "frames", "offer"),
    [
        (COG, (1280, 720), 49, "--size 720x480"),
        (COG, (480, 720), 49, "--size 720x480"),
        (COG, (720, 480), 50, "--frames 49"),
        (COG15, (1920, 1080), 81, "--size 1360x768"),
        (COG15, (768, 1365), 81, "--size 768x1360"),
        (COG15, (1360, 768), 80, "--frames 81"),
        (COG15, (1360, 768), 1000, "--frames 161"),
        (FLUX, (721, 480), None, "--size 720x480"),
    ],
)
def test_what_cannot_be_made_is_refused_with_the_nearest(
    geometry: Geometry, size: tuple[int, int], frames: int | None, offer: str
) -> None:
    with pytest.raises(GeometryError, match=offer):
        geometry.check("model", size, frames)


def test_what_can_be_made_passes() -> None:
    COG.check("model", (720, 480), 49)
    COG15.check("model", (1360, 768), 81)
    COG15.check("model", (768, 768), 161)
    FLUX.check("model", (720, 480))
    Geometry().check("model", (64, 48), 7)


@given(sides)
def test_sizes_are_read_as_written(size: tuple[int, int]) -> None:
    assert parse_size(f"{size[0]}x{size[1]}") == parse_size(f" {size[0]} X {size[1]} ") == size


@pytest.mark.parametrize("text", ["", "720", "720x", "x480", "720x480x3", "-720x480", "7.5x4", "wide", "²x3"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(GeometryError, match="write WIDTHxHEIGHT"):
        parse_size(text)
