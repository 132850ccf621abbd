"""Pictures and clips as bytes: H.264 MP4 and PNG, with their provenance, out and in again.

The one home of PyAV, and with `card.py` of Pillow. Knows arrays, bytes and files; must not know models,
options, folders of results or torch. What it writes depends on its arguments alone: no clock, host, cores.
"""

from __future__ import annotations

import base64
import contextlib
import io
import itertools
import json
import math
import re
import struct
import warnings
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import IO, Any, Literal

import av
import numpy as np
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc, Interpolation
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageFilter, ImageOps, PngImagePlugin, UnidentifiedImageError

from animatic import xmp
from animatic.errors import ImageError, InputError

Pixels = NDArray[np.uint8]

Fit = Literal["crop", "pad"]
"""How a picture of another shape comes to a size: never distorted."""

KEY = "animatic"
"""Names our JSON: the iTXt keyword in a PNG, the one key of the object in an MP4's comment."""
MAX_PROVENANCE = 16 * 2**20
MAX_TITLE = 1000
MAX_BOXES = 100_000
MAX_IMAGE_BYTES = 512 * 2**20
# The encoder's frame threads change the bits, so their number is fixed rather than taken from the machine.
ENCODER_THREADS = 4
# Exact rounding and full chroma, both ways: the default flags differ between processors and lose up to 3/255.
_EXACT = Interpolation.ACCURATE_RND | Interpolation.BITEXACT
_SCALING = Interpolation.BICUBIC | Interpolation.FULL_CHR_H_INT | Interpolation.FULL_CHR_H_INP | _EXACT
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
# What Pillow's readers raise on damaged files.
_DAMAGE = (OSError, SyntaxError, ValueError, TypeError, LookupError, EOFError, ArithmeticError,
           AttributeError, RuntimeError, MemoryError, struct.error, zlib.error)  # fmt: skip


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


def mp4_bytes(frames: Pixels, encoding: Encoding, title: str, provenance: Mapping[str, Any]) -> bytes:
    """The clip as an MP4 (H.264, BT.709 limited range converted and tagged, moov before mdat).

    frames: uint8 RGB [T, H, W, 3]. An odd height or width is made even by repeating the last row or column.
    The file has exactly T frames and lasts T / fps seconds. Equal arguments give equal bytes.
    Title and comment are the standard tags players show; the comment is the JSON {"animatic": provenance}.
    (A tag of our own would need QuickTime's key table, which many players do not read: title and all.)
    The last box is the XMP packet that marks the clip as synthetic media (`xmp.py`).
    Raises ValueError for another dtype or shape, or for provenance that JSON cannot hold.
    """
    frames = _even(_checked(frames, 4))
    rate = Fraction(encoding.fps).limit_denominator(1001)
    buffer = _Kept()

    def again(_url: str, flags: int, _options: object) -> io.BytesIO:
        # To move the index to the front, the muxer reads back what it wrote while it still writes.
        return buffer if flags & 2 else io.BytesIO(buffer.getvalue())

    options = {"movflags": "+faststart", "fflags": "+bitexact"}
    with av.open(buffer, "w", format="mp4", options=options, io_open=again) as container:
        container.metadata["title"] = _one_line(title)[:MAX_TITLE]
        container.metadata["comment"] = _json({KEY: provenance}).decode()
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
    return buffer.getvalue() + _xmp_box(_packet(provenance, xmp.of_clip(provenance)))


def _packet(record: Mapping[str, Any], source: str) -> bytes:
    return xmp.packet(str(record.get("prompt", "")), str(record.get("animatic", "")), source)


def _xmp_box(packet: bytes) -> bytes:
    """At the end of the file, where it moves neither the index nor the film that the index points into."""
    return struct.pack(">I4s16s", 24 + len(packet), b"uuid", xmp.MP4_UUID) + packet


def _to_yuv(frame: Pixels, pix_fmt: str) -> av.VideoFrame:
    # The source's matrix must be unset for the destination's to be obeyed, and tags alone convert nothing.
    rgb = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
    matrix, limited = Colorspace.ITU709, ColorRange.MPEG
    return rgb.reformat(format=pix_fmt, dst_colorspace=matrix, dst_color_range=limited, interpolation=_SCALING)


def _even(frames: Pixels) -> Pixels:
    height, width = frames.shape[1:3]
    return np.pad(frames, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), mode="edge")


def _checked(pixels: Pixels, ndim: int) -> Pixels:
    form = "[T, H, W, 3]" if ndim == 4 else "[H, W, 3]"
    if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8:
        kind = getattr(pixels, "dtype", type(pixels).__name__)
        raise ValueError(f"pixels must be uint8 {form}, not {kind}")
    if pixels.ndim != ndim or pixels.shape[-1] != 3 or 0 in pixels.shape:
        raise ValueError(f"pixels must be uint8 {form} with no empty side, not of shape {pixels.shape}")
    return pixels


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
                raise InputError(f"{_name(clip)}: the picture changes its size on the way")
            size = frame.width, frame.height
            yield _to_rgb(frame)
    if size is None:
        raise InputError(f"{_name(clip)}: no picture in this file")


@contextlib.contextmanager
def _opened(clip: Path | bytes) -> Iterator[Any]:
    """The container of a clip that has a video track. What PyAV raises within becomes an InputError of one line."""
    try:
        source = io.BytesIO(clip) if isinstance(clip, bytes) else str(clip)
        with av.open(source, metadata_errors="replace") as container:
            if not container.streams.video:
                raise InputError(f"{_name(clip)}: no video in this file")
            yield container
    except (av.FFmpegError, OSError, ValueError) as error:
        raise InputError(f"{_name(clip)}: cannot read this clip ({_reason(error)})") from error


def _name(clip: Path | bytes) -> str:
    return "the clip" if isinstance(clip, bytes) else _one_line(str(clip))


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
            provenance=_enclosed(opened.metadata.get("comment", "")) is not None,
        )


def _faststart(clip: Path | bytes) -> bool:
    """Whether the box `moov` stands before the box `mdat`."""
    with _bytes_of(clip) as file:
        return next((kind == b"moov" for kind, _ in _boxes(file) if kind in (b"moov", b"mdat")), False)


def _bytes_of(file: Path | bytes) -> IO[bytes]:
    return io.BytesIO(file) if isinstance(file, bytes) else file.open("rb")


def _boxes(file: IO[bytes]) -> Iterator[tuple[bytes, int]]:
    """Name and length of one top-level box's body after another, with the file at the body. Ends where damage begins.

    Four bytes of size, four of name; a size of 1 says that eight bytes of it follow.
    """
    end = file.seek(0, io.SEEK_END)
    start = 0
    for _ in range(MAX_BOXES):
        if start >= end:
            return
        file.seek(start)
        size, kind = struct.unpack(">I4s", file.read(8).ljust(8, b"\0"))
        head = 8
        if size == 1:
            size, head = struct.unpack(">Q", file.read(8).rjust(8, b"\0"))[0], 16
        if size < head:
            return
        yield kind, size - head
        start += size


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


def png_bytes(image: Pixels, parameters: str = "", provenance: Mapping[str, Any] | None = None) -> bytes:
    """A PNG of uint8 RGB [H, W, 3] with a text chunk 'parameters' and an iTXt chunk 'animatic' (JSON, UTF-8).

    'parameters' is tEXt, and iTXt where Latin-1 cannot hold it, as the tools of that convention write it.
    A picture with a record is a result, and marked as synthetic media by XMP, unless the record says it is the user's
    own. One without is pure pixels.
    """
    chunks = PngImagePlugin.PngInfo()
    if parameters:
        chunks.add_text("parameters", _encodable(parameters).replace("\0", ""))
    if provenance is not None:
        chunks.add_itxt(KEY, _json(provenance).decode())
        if source := xmp.of_still(provenance):
            chunks.add_itxt(xmp.PNG_KEYWORD, _packet(provenance, source).decode())
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(_checked(image, 3))).save(buffer, "PNG", pnginfo=chunks)
    return buffer.getvalue()


def a1111_parameters(
    prompt: str,
    negative_prompt: str = "",
    *,
    steps: int,
    seed: int,
    guidance: float,
    size: tuple[int, int],
    model: str,
    sampler: str = "Euler",
) -> str:
    """Generation settings in the form that AUTOMATIC1111's web UI writes into PNGs and other tools read.

    size: (width, height) in pixels. Prompts are put on one line each: a line break would end them early.
    """
    lines = [_one_line(prompt)]
    if negative_prompt.strip():
        lines.append(f"Negative prompt: {_one_line(negative_prompt)}")
    lines.append(
        f"Steps: {steps}, Sampler: {_quoted(sampler)}, CFG scale: {guidance:g}, Seed: {seed}, "
        f"Size: {size[0]}x{size[1]}, Model: {_quoted(model)}"
    )
    return "\n".join(lines)


def _quoted(value: str) -> str:
    return json.dumps(value, ensure_ascii=False) if re.search(r'[,:\n"]', value) else value


def data_url(preview: Pixels) -> str:
    """A PNG data: URL of uint8 RGB [h, w, 3], or of the middle frame of [F, h, w, 3]."""
    return "data:image/png;base64," + base64.b64encode(preview_png(preview)).decode("ascii")


def preview_png(preview: Pixels) -> bytes:
    """A PNG of uint8 RGB [h, w, 3], or of the middle frame of [F, h, w, 3]."""
    return png_bytes(preview[len(preview) // 2] if preview.ndim == 4 and len(preview) else preview)


def read_image(path: Path, max_pixels: int = 64_000_000) -> Pixels:
    """A picture file as uint8 RGB [H, W, 3], the way a viewer shows it.

    Turned by its EXIF orientation; its colour profile converted to sRGB; transparent parts laid over white,
    as pages and viewers show them; 16 bits scaled to 8; of an animation the first frame. Raises ImageError,
    one line, for a file that is missing, empty, damaged, no picture, or over 512 MiB or `max_pixels` (by its
    header, before anything is decoded).
    """
    path, name = Path(path), _one_line(str(path))
    try:
        size = path.stat().st_size
        if not path.is_file():
            raise ImageError(f"{name} is {'a folder' if path.is_dir() else 'no file'}: give a picture file")
        if not 0 < size <= MAX_IMAGE_BYTES:
            raise ImageError(f"{name} has {size} bytes: give a picture file of 1 to {MAX_IMAGE_BYTES}")
        return _decode(path.read_bytes(), name, max_pixels)
    except FileNotFoundError as error:
        raise ImageError(f"{name}: there is no such file") from error
    except (OSError, ValueError) as error:
        raise ImageError(f"{name}: cannot be read ({_reason(error)})") from error


def read_png(data: bytes) -> Pixels:
    """The pixels of PNG bytes, uint8 RGB [H, W, 3]. Raises ImageError."""
    return picture(data, "the PNG", 64_000_000)


def picture(data: bytes, name: str, max_pixels: int) -> Pixels:
    """A picture of any kind and of anyone's, as `read_image` gives it. Raises ImageError, with `name`."""
    return _decode(data, name, max_pixels)


def _decode(data: bytes, name: str, max_pixels: int) -> Pixels:
    excess = f", the limit is {max_pixels / 1e6:g} million: scale it down first"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with Image.open(io.BytesIO(data)) as image:
                width, height = image.size
                if width * height > max_pixels:
                    raise ImageError(f"{name} has {width} x {height} pixels{excess}")
                image.load()
                with contextlib.suppress(*_DAMAGE):  # a broken EXIF block alone is no reason to refuse
                    ImageOps.exif_transpose(image, in_place=True)
                return np.asarray(_as_rgb(image), dtype=np.uint8).copy()
        except Image.DecompressionBombError as error:
            raise ImageError(f"{name} has {re.findall('[0-9]+', str(error))[0]} pixels{excess}") from error
        except UnidentifiedImageError as error:
            kind = f"{len(data)} bytes of an unknown kind"
            raise ImageError(f"{name} is no picture ({kind}): give a PNG, JPEG or WebP") from error
        except _DAMAGE as error:
            raise ImageError(f"{name} is damaged or cut short ({_reason(error)}): fetch it again") from error


def _as_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith(("I", "F")):
        return Image.fromarray(_eight_bits(np.asarray(image))).convert("RGB")
    if image.mode in ("LA", "La", "PA", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
    profile = image.info.get("icc_profile")
    if profile and image.mode in ("RGB", "RGBA", "CMYK"):
        image = _in_srgb(image, profile)
    if image.mode == "RGBA":
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")


def _eight_bits(values: NDArray[Any]) -> Pixels:
    """Gray of 16 bits, or of floats in 0..1, to 8; the range is guessed where the format does not say it."""
    gray = np.nan_to_num(values.astype(np.float64))
    peak = gray.max(initial=0)
    top = 1 if values.dtype.kind == "f" and peak <= 1 else 65535 if values.itemsize == 2 or peak > 255 else 255
    return (gray * (255 / top)).round().clip(0, 255).astype(np.uint8)


def _in_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    target = "RGBA" if image.mode == "RGBA" else "RGB"
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        turned = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode=target)
    except (ImageCms.PyCMSError, OSError, TypeError, ValueError):
        return image  # viewers ignore a profile they cannot use
    return turned or image


def fit(image: Pixels, size: tuple[int, int], rule: Fit) -> Pixels:
    """The picture at (width, height), uint8 RGB [height, width, 3], never distorted; already so: unchanged.

    crop   scaled to cover, the centre cut out
    pad    scaled to fit inside (to the nearest pixel), centred on itself: the rest is the same picture scaled
           to cover, blurred and dimmed. A video model continues that as a soft background; the hard edge of
           black bars would ring in its VAE, and half of every later pan would be black.
    """
    if rule not in ("crop", "pad"):
        raise ValueError(f"unknown rule {rule!r}: crop or pad")
    width, height = size
    if _checked(image, 3).shape[:2] == (height, width):
        return image
    whole = Image.fromarray(np.ascontiguousarray(image))
    covering = _covering(whole, width, height)
    if rule == "crop":
        return np.asarray(covering, dtype=np.uint8).copy()
    inside = contained((whole.width, whole.height), size)
    soft = covering.filter(ImageFilter.GaussianBlur(max(width, height) / 24)).point(
        [value * 7 // 10 for value in range(256)] * 3
    )
    picture = whole.resize(inside, Image.Resampling.LANCZOS, reducing_gap=3.0)
    soft.paste(picture, ((width - inside[0]) // 2, (height - inside[1]) // 2))
    return np.asarray(soft, dtype=np.uint8).copy()


def contained(source: tuple[int, int], size: tuple[int, int]) -> tuple[int, int]:
    """The largest (width, height) of `source`'s aspect inside `size`, to the nearest pixel, at least 1."""
    scale = min(Fraction(size[0], source[0]), Fraction(size[1], source[1]))
    return max(1, round(source[0] * scale)), max(1, round(source[1] * scale))


def _covering(image: Image.Image, width: int, height: int) -> Image.Image:
    # The box is in fractions of source pixels, so the aspect is exact however the sizes divide.
    scale = max(width / image.width, height / image.height)
    wide, high = min(width / scale, image.width), min(height / scale, image.height)
    left, top = (image.width - wide) / 2, (image.height - high) / 2
    box = (left, top, min(left + wide, image.width), min(top + high, image.height))
    return image.resize((width, height), Image.Resampling.LANCZOS, box=box, reducing_gap=3.0)


def provenance(path: Path) -> dict[str, Any]:
    """The JSON record inside an .mp4 or .png, told apart by content. Data of unknown hand: not to be trusted.

    Raises InputError for any other file, one without a record, or a record over 16 MiB or no JSON object.
    """
    path, name = Path(path), _one_line(str(path))
    try:
        with path.open("rb") as file:
            head = file.read(12)
            if not head.startswith(_PNG_SIGNATURE) and head[4:8] != b"ftyp":
                raise InputError(f"{name} is neither an MP4 nor a PNG: give one that Animatic wrote")
            text = _mp4_text(path) if head[4:8] == b"ftyp" else _png_text(file, KEY, MAX_PROVENANCE)
        if text is None:
            raise InputError(f"{name} carries no record of Animatic: made elsewhere, or re-saved without it")
        if len(text) > MAX_PROVENANCE:
            raise InputError(f"{name}: its record is longer than the limit of {MAX_PROVENANCE} bytes")
        record = json.loads(text)
    except (av.FFmpegError, OSError, ValueError, RecursionError, struct.error, zlib.error) as error:
        raise InputError(f"{name}: its record cannot be read ({_reason(error)})") from error
    if not isinstance(record, dict):
        raise InputError(f"{name}: its record is a JSON {type(record).__name__}, not an object")
    return record


def _mp4_text(path: Path) -> bytes | None:
    with av.open(str(path), metadata_errors="replace") as opened:
        return _enclosed(opened.metadata.get("comment", ""))


def _enclosed(comment: str) -> bytes | None:
    # The envelope is ours to the byte; other tools put their JSON into comments too.
    text, start = comment.encode("utf-8", "replace"), b'{"%b":' % KEY.encode()
    return text[len(start) : -1] if text.startswith(start) and text.endswith(b"}") else None


def _png_text(file: IO[bytes], keyword: str, most: int) -> bytes | None:
    """The text of the iTXt chunk of this keyword, plain or packed; at most one byte more than `most` if packed."""
    file.seek(len(_PNG_SIGNATURE))
    while len(head := file.read(8)) == 8:
        length, kind = struct.unpack(">I4s", head)
        body = file.read(min(length, most + 1024)) if kind == b"iTXt" else b""
        found, _, rest = body.partition(b"\0")
        if found == keyword.encode() and len(rest) > 2:
            text = rest[2:].split(b"\0", 2)[-1]
            return zlib.decompressobj().decompress(text, most + 1) if rest[0] else text
        file.seek(length - len(body) + 4, io.SEEK_CUR)
    return None


def digital_source(file: Path | bytes) -> str | None:
    """IPTC's digital source type as the XMP of an MP4 or PNG states it, by whatever hand: `xmp.SYNTHETIC` for our own.

    None for a file that states none, or whose packet is damaged. Raises InputError for any other file.
    """
    try:
        with _bytes_of(file) as opened:
            head = opened.read(12)
            if not head.startswith(_PNG_SIGNATURE) and head[4:8] != b"ftyp":
                raise InputError(f"{_name(file)} is neither an MP4 nor a PNG: give one of these")
            mp4 = head[4:8] == b"ftyp"
            packet = _mp4_packet(opened) if mp4 else _png_text(opened, xmp.PNG_KEYWORD, xmp.MAX_PACKET)
    except zlib.error:
        return None
    except (OSError, ValueError) as error:
        raise InputError(f"{_name(file)}: its XMP cannot be read ({_reason(error)})") from error
    return xmp.digital_source(packet) if packet is not None else None


def _mp4_packet(file: IO[bytes]) -> bytes | None:
    for kind, length in _boxes(file):
        if kind == b"uuid" and file.read(16) == xmp.MP4_UUID:
            return file.read(min(length - 16, xmp.MAX_PACKET)) if length > 16 else None
    return None


def _json(value: Mapping[str, Any]) -> bytes:
    """Compact UTF-8 with sorted keys. A lone surrogate becomes \\udxxx, which is its escape in JSON too."""
    try:
        text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except TypeError as error:
        raise ValueError(f"provenance must be plain JSON data: {error}") from error
    return text.encode("utf-8", "backslashreplace")


def _encodable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def _one_line(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in _encodable(text)).split())


def _reason(error: BaseException) -> str:
    return _one_line(getattr(error, "strerror", None) or str(error) or type(error).__name__)[:120]
