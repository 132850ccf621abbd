"""Small pictures: their sizes, and that each frame is where it belongs."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from animatic import thumbs


def decoded(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def test_a_thumbnail_keeps_the_shape_and_small_ones_stay() -> None:
    assert decoded(thumbs.thumbnail(np.zeros((480, 720, 3), np.uint8))).size == (480, 320)
    assert decoded(thumbs.thumbnail(np.zeros((96, 144, 3), np.uint8))).size == (144, 96)


def test_frames_go_row_by_row_into_the_sheet() -> None:
    frames = np.stack([np.full((96, 144, 3), 12 * n, np.uint8) for n in range(17)])
    sheet = np.asarray(decoded(thumbs.spritesheet(frames)))
    assert sheet.shape == (4 * 96, 5 * 144, 3)
    for n in range(17):
        row, column = divmod(n, 5)
        assert abs(int(sheet[row * 96 + 48, column * 144 + 72, 0]) - 12 * n) <= 3


def test_a_long_clip_has_no_endless_sheet() -> None:
    frames = np.zeros((400, 16, 16, 3), np.uint8)
    assert decoded(thumbs.spritesheet(frames)).size == (160, 160)
