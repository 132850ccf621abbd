"""Clips as bytes: H.264 MP4 with its record, out, and frames of any clip in again.

With `provenance.py` the home of PyAV. Knows arrays, bytes and files; must not know models, options, folders of
results or torch. What it writes depends on its arguments alone: no clock, host, cores.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc, Interpolation

from animatic import provenance
from animatic.bitmap import Pixels, checked
from animatic.errors import InputError, one_line, reason

MAX_TITLE = 1000
# The encoder's frame threads change the bits, so their number is fixed rather than taken from the machine.
ENCODER_THREADS = 4
# Exact rounding and full chroma, both ways: the default flags differ between processors and lose up to 3/255.
_EXACT = Interpolation.ACCURATE_RND | Interpolation.BITEXACT
_SCALING = Interpolation.BICUBIC | Interpolation.FULL_CHR_H_INT | Interpolation.FULL_CHR_H_INP | _EXACT


@dataclass(frozen=True)
class Encoding:
    """How a clip is encoded: frames per second, x264's rate factor and preset.

    lossless   for tests: yuv444p at rate factor 0 (High 4:4:4), which browsers do not play
    """

    fps: float = 8
    crf: int = 18
    preset: str = "medium"
    lossless: bool = False

    def __post_init__(self) -> None:
        if not (math.isfinite(self.fps) and 0 < self.fps <= 1000):
            raise ValueError(f"{self.fps} frames per second: give a number above 0 and at most 1000")
        if not 0 <= self.crf <= 51:
            raise ValueError(f"crf {self.crf}: give 0 (best) to 51")


class _Kept(io.BytesIO):
    """A buffer that outlives the container that closes it."""

    def close(self) -> None:
        pass


def mp4_bytes(frames: Pixels, encoding: Encoding, title: str, record: Mapping[str, Any]) -> bytes:
    """The clip as an MP4 (H.264, BT.709 limited range converted and tagged, moov before mdat).

    frames: uint8 RGB [T, H, W, 3]. An odd height or width is made even by repeating the last row or column.
    The file has exactly T frames and lasts T / fps seconds. Equal arguments give equal bytes.
    The record is in its comment, and the last box marks it as synthetic media (`provenance.py`).
    Raises ValueError for another dtype or shape, or for a record that JSON cannot hold.
    """
    frames = _even(checked(frames, 4))
    rate = Fraction(encoding.fps).limit_denominator(1001)
    buffer = _Kept()

    def again(_url: str, flags: int, _options: object) -> io.BytesIO:
        # To move the index to the front, the muxer reads back what it wrote while it still writes.
        return buffer if flags & 2 else io.BytesIO(buffer.getvalue())

    options = {"movflags": "+faststart", "fflags": "+bitexact"}
    with av.open(buffer, "w", format="mp4", options=options, io_open=again) as container:
        container.metadata["title"] = one_line(title)[:MAX_TITLE]
        container.metadata["comment"] = provenance.comment(record)
        # x264's macroblock tree reads uninitialised memory with AVX-512, and rounds by processor: equal clips
        # would get unequal bytes. Without it the bits are the same from SSE4.2 up.
        crf = 0 if encoding.lossless else encoding.crf
        x264 = {"x264-params": "mbtree=0", "preset": encoding.preset, "crf": str(crf)}
        stream = container.add_stream("libx264", rate=rate, options=x264)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv444p" if encoding.lossless else "yuv420p"
        context = stream.codec_context
        context.thread_type, context.thread_count = "FRAME", ENCODER_THREADS
        context.color_primaries, context.color_trc = ColorPrimaries.BT709, ColorTrc.BT709
        context.colorspace, context.color_range = Colorspace.ITU709, ColorRange.MPEG
        for n, frame in enumerate(frames):
            picture = _to_yuv(frame, stream.pix_fmt)
            picture.pts, picture.time_base = n, 1 / rate
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    return buffer.getvalue() + provenance.mark(record)


def _to_yuv(frame: Pixels, pix_fmt: str) -> av.VideoFrame:
    # The source's matrix must be unset for the destination's to be obeyed, and tags alone convert nothing.
    rgb = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
    matrix, limited = Colorspace.ITU709, ColorRange.MPEG
    return rgb.reformat(format=pix_fmt, dst_colorspace=matrix, dst_color_range=limited, interpolation=_SCALING)


def _even(frames: Pixels) -> Pixels:
    height, width = frames.shape[1:3]
    return np.pad(frames, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), mode="edge")


def frames_of(path: Path) -> Pixels:
    """All frames of a clip, uint8 RGB [T, H, W, 3], as `each_frame` gives them. Raises InputError."""
    return np.stack(list(each_frame(path)))


def each_frame(clip: Path | bytes) -> Iterator[Pixels]:
    """One frame after another of a clip, a file's or its bytes', uint8 RGB [H, W, 3], by the matrix it is tagged with.

    Untagged clips follow the players' habit: BT.709 from 720 lines up, BT.601 below. Raises InputError, also for a
    clip that has no frame, or whose picture changes its size on the way.
    """
    size = None
    with _opened(clip) as container:
        for frame in container.decode(*container.streams.video[:1]):
            if size not in (None, (frame.width, frame.height)):
                raise InputError(f"{provenance.name_of(clip)}: the picture changes its size on the way")
            size = frame.width, frame.height
            yield _to_rgb(frame)
    if size is None:
        raise InputError(f"{provenance.name_of(clip)}: no picture in this file")


@contextlib.contextmanager
def _opened(clip: Path | bytes) -> Iterator[Any]:
    """The container of a clip that has a video track. What PyAV raises within becomes an InputError of one line."""
    try:
        source = io.BytesIO(clip) if isinstance(clip, bytes) else str(clip)
        with av.open(source, metadata_errors="replace") as container:
            if not container.streams.video:
                raise InputError(f"{provenance.name_of(clip)}: no video in this file")
            yield container
    except (av.FFmpegError, OSError, ValueError) as error:
        raise InputError(f"{provenance.name_of(clip)}: cannot read this clip ({reason(error)})") from error


@dataclass(frozen=True)
class Container:
    """How an MP4 holds its film.

    fps            frames a second on average; 0 for a file that does not say
    constant_rate  every frame lasts as long as every other, to one tick of the file's clock
    bt709          tagged BT.709 (primaries, transfer, matrix) and limited range
    faststart      the index stands before the film, so that a browser plays it while it loads
    provenance     our record is there
    """

    codec: str
    pixel_format: str
    width: int
    height: int
    frames: int
    fps: float
    constant_rate: bool
    bt709: bool
    faststart: bool
    provenance: bool


def container(clip: Path | bytes) -> Container:
    """What an MP4 says of itself, without decoding it. Raises InputError."""
    with _opened(clip) as opened:
        stream = opened.streams.video[0]
        ticks = sorted(packet.pts for packet in opened.demux(stream) if packet.size and packet.pts is not None)
        steps = {later - earlier for earlier, later in itertools.pairwise(ticks)}
        rate = (len(ticks) - 1) / ((ticks[-1] - ticks[0]) * stream.time_base) if steps - {0} else stream.average_rate
        context = stream.codec_context
        tags = context.color_primaries, context.color_trc, context.colorspace, context.color_range
        return Container(
            codec=str(context.name),
            pixel_format=str(context.pix_fmt),
            width=context.width,
            height=context.height,
            frames=len(ticks),
            fps=round(float(rate or 0), 3),
            constant_rate=not steps or max(steps) - min(steps) <= 1,
            bt709=tags == (ColorPrimaries.BT709, ColorTrc.BT709, Colorspace.ITU709, ColorRange.MPEG),
            faststart=_faststart(clip),
            provenance=provenance.enclosed(opened.metadata.get("comment", "")) is not None,
        )


def _faststart(clip: Path | bytes) -> bool:
    """Whether the box `moov` stands before the box `mdat`."""
    with provenance.bytes_of(clip) as file:
        return next((kind == b"moov" for kind, _ in provenance.boxes(file) if kind in (b"moov", b"mdat")), False)


def is_mp4(path: Path) -> bool:
    """Told by its content; a file that cannot be read is none."""
    try:
        with path.open("rb") as file:
            return file.read(12)[4:8] == b"ftyp"
    except (OSError, ValueError):
        return False


def _to_rgb(frame: av.VideoFrame) -> Pixels:
    matrix = frame.colorspace
    if matrix not in set(Colorspace):
        matrix = Colorspace.ITU709 if frame.height >= 720 else Colorspace.ITU601
    rgb = frame.reformat(format="rgb24", src_colorspace=matrix, interpolation=_SCALING)
    return np.asarray(rgb.to_ndarray(), dtype=np.uint8)
