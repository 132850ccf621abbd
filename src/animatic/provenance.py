"""The record of how it was made inside a clip or a still: how it is packed there, and found again by content alone.

An MP4 holds it in its comment, a PNG in a text chunk; beside it lies the XMP packet that marks synthetic media
(`xmp.py`).
Knows boxes and chunks; must not know pixels, or what the record says.
"""

from __future__ import annotations

import io
import json
import struct
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import av

from animatic import xmp
from animatic.errors import InputError, one_line, reason

KEY = "animatic"
"""Names our JSON: the iTXt keyword in a PNG, the one key of the object in an MP4's comment."""
MAX_RECORD = 16 * 2**20
MAX_BOXES = 100_000
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def chunks(record: Mapping[str, Any]) -> dict[str, str]:
    """What a still's PNG holds of its record: the text of each iTXt chunk by its keyword.

    It is marked as synthetic media by XMP, unless the record says that it is the user's own.
    """
    texts = {KEY: _packed(record).decode()}
    if source := xmp.of_still(record):
        texts[xmp.PNG_KEYWORD] = _packet(record, source).decode()
    return texts


def comment(record: Mapping[str, Any]) -> str:
    """What a clip's MP4 holds of its record in the comment, a standard tag that players show.

    (A tag of our own would need QuickTime's key table, which many players do not read: title and all.)
    """
    return _packed({KEY: record}).decode()


def mark(record: Mapping[str, Any]) -> bytes:
    """The box with the XMP packet that marks a clip as synthetic media.

    It belongs at the end of the file, where it moves neither the index nor the film that the index points into.
    """
    packet = _packet(record, xmp.of_clip(record))
    return struct.pack(">I4s16s", 24 + len(packet), b"uuid", xmp.MP4_UUID) + packet


def _packet(record: Mapping[str, Any], source: str) -> bytes:
    return xmp.packet(str(record.get("prompt", "")), str(record.get("animatic", "")), source)


def _packed(record: Mapping[str, Any]) -> bytes:
    """As JSON in compact UTF-8 with sorted keys. A lone surrogate becomes \\udxxx, which is its escape in JSON too."""
    try:
        text = json.dumps(record, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except TypeError as error:
        raise ValueError(f"a record must be plain JSON data: {error}") from error
    return text.encode("utf-8", "backslashreplace")


def enclosed(comment: str) -> bytes | None:
    """The JSON of the record that an MP4's comment holds; None for anybody else's comment."""
    # The envelope is ours to the byte; other tools put their JSON into comments too.
    text, start = comment.encode("utf-8", "replace"), b'{"%b":' % KEY.encode()
    return text[len(start) : -1] if text.startswith(start) and text.endswith(b"}") else None


def read(path: Path) -> dict[str, Any]:
    """The JSON record inside an .mp4 or .png, told apart by content. Data of unknown hand: not to be trusted.

    Raises InputError for any other file, one without a record, or a record over 16 MiB or no JSON object.
    """
    path, name = Path(path), one_line(str(path))
    try:
        with path.open("rb") as file:
            head = file.read(12)
            if not head.startswith(_PNG_SIGNATURE) and head[4:8] != b"ftyp":
                raise InputError(f"{name} is neither an MP4 nor a PNG: give one that Animatic wrote")
            text = _mp4_text(path) if head[4:8] == b"ftyp" else _png_text(file, KEY, MAX_RECORD)
        if text is None:
            raise InputError(f"{name} carries no record of Animatic: made elsewhere, or re-saved without it")
        if len(text) > MAX_RECORD:
            raise InputError(f"{name}: its record is longer than the limit of {MAX_RECORD} bytes")
        record = json.loads(text)
    except (av.FFmpegError, OSError, ValueError, RecursionError, struct.error, zlib.error) as error:
        raise InputError(f"{name}: its record cannot be read ({reason(error)})") from error
    if not isinstance(record, dict):
        raise InputError(f"{name}: its record is a JSON {type(record).__name__}, not an object")
    return record


def _mp4_text(path: Path) -> bytes | None:
    with av.open(str(path), metadata_errors="replace") as opened:
        return enclosed(opened.metadata.get("comment", ""))


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
        with bytes_of(file) as opened:
            head = opened.read(12)
            if not head.startswith(_PNG_SIGNATURE) and head[4:8] != b"ftyp":
                raise InputError(f"{name_of(file)} is neither an MP4 nor a PNG: give one of these")
            mp4 = head[4:8] == b"ftyp"
            packet = _mp4_packet(opened) if mp4 else _png_text(opened, xmp.PNG_KEYWORD, xmp.MAX_PACKET)
    except zlib.error:
        return None
    except (OSError, ValueError) as error:
        raise InputError(f"{name_of(file)}: its XMP cannot be read ({reason(error)})") from error
    return xmp.digital_source(packet) if packet is not None else None


def _mp4_packet(file: IO[bytes]) -> bytes | None:
    for kind, length in boxes(file):
        if kind == b"uuid" and file.read(16) == xmp.MP4_UUID:
            return file.read(min(length - 16, xmp.MAX_PACKET)) if length > 16 else None
    return None


def bytes_of(file: Path | bytes) -> IO[bytes]:
    """The file, open to be read."""
    return io.BytesIO(file) if isinstance(file, bytes) else file.open("rb")


def boxes(file: IO[bytes]) -> Iterator[tuple[bytes, int]]:
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


def name_of(file: Path | bytes) -> str:
    """What messages call it."""
    return "the clip" if isinstance(file, bytes) else one_line(str(file))
