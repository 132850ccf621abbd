"""Clips and pictures made on the spot, for tests of what files hold."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image

from animatic import media
from animatic.bitmap import Pixels


def moving(count: int = 5, height: int = 48, width: int = 64) -> Pixels:
    y, x = np.mgrid[:height, :width]
    frames = [np.stack([x * 3 + 9 * t, y * 4, x + y + 20 * t], -1) for t in range(count)]
    return (np.stack(frames) % 256).astype(np.uint8)


def written(folder: Path, frames: Pixels, lossless: bool = False, fps: float = 8, **record: Any) -> Path:
    path = folder / "clip.mp4"
    path.write_bytes(media.mp4_bytes(frames, media.Encoding(fps, lossless=lossless), "a title", record))
    return path


def elsewhere(path: Path, ticks: tuple[int, ...] = (0, 1, 2, 3)) -> Path:
    """A clip as another tool writes it: an older codec, the index at the end, no tags, frames at any times."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=8)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for tick, frame in zip(ticks, moving(len(ticks)), strict=True):
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24").reformat(format="yuv420p")
            picture.pts, picture.time_base = tick, Fraction(1, 8)
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    return path


def saved(path: Path, image: Image.Image, **options: Any) -> Path:
    image.save(path, **options)
    return path
