"""Requests of ill will, as bytes: broken HTTP, wrong multipart, JSON and pictures, traversals, foreign hosts.

Pure: says what is sent, and sends nothing. `requests` are written by hand; `mutated` breaks them further.
"""

from __future__ import annotations

import io
import json
import random
import struct
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

from PIL import Image

Named = tuple[str, bytes]
"""What kind of request it is, and its bytes."""

LOOPBACK = "127.0.0.1"
BOUNDARY = "x-boundary"
UPWARD = (
    "../../../../etc/passwd", "..%2f..%2f..%2fetc%2fpasswd", "%2e%2e/%2e%2e/etc/passwd", "..\\..\\etc\\passwd",
    "....//....//etc/passwd", "%00", "video_1%00.png", "/etc/passwd", "%2fetc%2fpasswd", "video_%F0%9F%90%8D",
    "%ff%fe", "a" * 10_000, ".", "..", "%c0%ae%c0%ae/", "video_1;x=1", "file:///etc/passwd", "CON", "~root",
)  # fmt: skip
ODD = ("", "-1", "0", "1e9", "99999999999999999999", "NaN", "🐍", "a" * 5000, "\x00", "' OR 1=1 --", "[]", "true", "٣")
IDS = ("", "/content", "/stills/1", "/preview", "/record", "/events")


def requests(video: str) -> Iterator[Named]:
    """All that were written by hand. `video`: the id of a video that is there, with a clip."""
    for name, some in (
        ("http", _broken()),
        ("paths", _paths()),
        ("queries", _queries(video)),
        ("headers", _headers(video)),
        ("json", _json(video)),
        ("multipart", _multipart()),
        ("pictures", _pictures()),
    ):
        yield from ((name, one) for one in some)


def mutated(seeds: list[Named], count: int, seed: int) -> Iterator[Named]:
    """Requests with some of their bytes changed, left out, doubled, or put in from others. The same for equal seeds."""
    rng = random.Random(seed)
    short = [data for _, data in seeds if len(data) <= 20_000]
    for _ in range(count):
        data = bytearray(rng.choice(short))
        for _ in range(rng.choice((1, 1, 2, 5, 20))):
            _mutate(data, rng.choice(short), rng)
        yield "mutated", bytes(data)


def _mutate(data: bytearray, other: bytes, rng: random.Random) -> None:
    at = rng.randrange(len(data) + 1)
    until = min(len(data), at + rng.choice((1, 2, 8, 64)))
    match rng.randrange(5):
        case 0:
            data[at:until] = rng.randbytes(until - at)
        case 1:
            del data[at:until]
        case 2:
            data[at:at] = data[at:until] * rng.choice((1, 3, 50))
        case 3:
            begin = rng.randrange(len(other))
            data[at:at] = other[begin : begin + rng.choice((4, 40, 400))]
        case _:
            data[at:until] = rng.choice((b"\r\n", b"\x00", b"%00", b"../", b'"', b"\xff", b"0", b"-", b"{",
                                         b"\r\n\r\n"))


def request(
    method: str, path: str, body: bytes = b"", kind: str = "", headers: Mapping[str, str | bytes] | None = None
) -> bytes:
    """A request as it should be, but for what is asked otherwise."""
    said: dict[str, str | bytes] = {"Host": LOOPBACK}
    if body or method == "POST":
        said |= {"Content-Length": str(len(body))}
    if kind:
        said["Content-Type"] = kind
    said |= headers or {}
    lines = [f"{method} {path} HTTP/1.1".encode("utf-8", "surrogateescape")]
    lines += [name.encode() + b": " + (value if isinstance(value, bytes) else value.encode())
              for name, value in said.items()]  # fmt: skip
    return b"\r\n".join((*lines, b"", body))


# --------------------------------------------------------------------------------------------------------------- HTTP


def _broken() -> Iterator[bytes]:
    host = f"Host: {LOOPBACK}\r\n".encode()
    yield from (b"\x00" * 100, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
                b"\r\n" * 50)
    yield from (b"GET /\r\n\r\n", b"GET / HTTP/0.9\r\n\r\n", b"GET / HTTP/9.9\r\n" + host + b"\r\n",
                b"GET / HTTP/1.1\r\n\r\n")
    yield from (b"GET / HTTP/1.1\n" + host.replace(b"\r", b"") + b"\n", b"GET  /  HTTP/1.1\r\n" + host + b"\r\n")
    yield b"G\x00T / HTTP/1.1\r\n" + host + b"\r\n"
    yield b"GET / HTTP/1.1\r\n" + host + b"X: " + b"a" * 200_000 + b"\r\n\r\n"
    yield b"GET / HTTP/1.1\r\n" + host + b"".join(b"X%d: 1\r\n" % n for n in range(5000)) + b"\r\n"
    yield b"GET / HTTP/1.1\r\n" + host + b"X: a\x00b\r\n\r\n"
    yield b"GET / HTTP/1.1\r\n" + host + b" folded: yes\r\n\r\n"
    yield b"GET / HTTP/1.1\r\n" + host + b"no colon\r\n\r\n"
    yield b"GET http://elsewhere.example/healthz HTTP/1.1\r\n" + host + b"\r\n"
    yield from (b"OPTIONS * HTTP/1.1\r\n" + host + b"\r\n", b"CONNECT a:1 HTTP/1.1\r\n" + host + b"\r\n")
    post = b"POST /v1/videos HTTP/1.1\r\n" + host + b"Content-Type: application/json\r\n"
    for length in (b"-1", b"1e3", b"999999999999999999999999", b"abc", b"", b"+2", b"0x2", b"2, 2", b"33554433"):
        yield post + b"Content-Length: " + length + b"\r\n\r\n{}"
    yield post + b"Content-Length: 2\r\nContent-Length: 20\r\n\r\n{}"
    yield post + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /healthz HTTP/1.1\r\n\r\n"
    for chunks in (b"zz\r\n{}\r\n", b"-2\r\n{}\r\n0\r\n\r\n", b"fffffffffffffffff\r\n{}", b"2\r\n{}XX0\r\n\r\n",
                   b"2;x=" + b"y" * 9000):
        yield post + b"Transfer-Encoding: chunked\r\n\r\n" + chunks
    for coding in (b"gzip", b"chunked, gzip", b"identity", b"xchunked"):
        yield post + b"Transfer-Encoding: " + coding + b"\r\n\r\n0\r\n\r\n"
    yield post + b"Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b\x08\x00"
    yield post + b"Expect: 200-maybe\r\nContent-Length: 2\r\n\r\n{}"
    yield b"GET /v1/videos HTTP/1.1\r\n" + host + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    for method in ("PUT", "PATCH", "TRACE", "HEAD", "DELETE", "OPTIONS", "BREW", "get", "A" * 500):
        for path in ("/", "/v1/videos", "/v1/videos/x", "/healthz", "/session", "/openapi.json"):
            yield request(method, path)


def _paths() -> Iterator[bytes]:
    for way in UPWARD:
        for base in ("/", "/videos/", "/static/", "/page/", "/assets/", "/v1/models/", "/v1/"):
            yield request("GET", base + way.replace("\\", "%5c"))
        for rest in IDS:
            yield request("GET", f"/v1/videos/{way}{rest}")
        for rest in ("cancel", "remix", "caption", "still"):
            yield request("POST", f"/v1/videos/{way}/{rest}", b"{}", "application/json")
        yield request("DELETE", f"/v1/videos/{way}")
    for number in ODD:
        yield request("GET", f"/v1/videos/x/stills/{number}".replace("\x00", "%00").replace(" ", "%20"))
    yield from (request("GET", "/" + "a" * 60_000), request("GET", "//" * 2000), request("GET", "/?" + "a=b&" * 20_000))


def _queries(video: str) -> Iterator[bytes]:
    for value in ODD:
        quoted = "".join(f"%{byte:02x}" for byte in value.encode())
        for name in ("limit", "after", "order", "limit=1&limit", "nothing"):
            yield request("GET", f"/v1/videos?{name}={quoted}")
        yield request("GET", f"/v1/videos/{video}/content?variant={quoted}")
        yield request("GET", f"/v1/videos/{video}/preview?step={quoted}")
    yield request("GET", "/v1/videos?" + "&".join(f"after={n}" for n in range(5000)))


def _headers(video: str) -> Iterator[bytes]:
    for host in ("evil.example", "", "127.0.0.1:99999999", "127.0.0.1.evil.example", "[::1", "a" * 5000, "localhost:x",
                 "@", "127.0.0.1 evil", "0x7f.1", "2130706433", b"\xff\xfe", "localhost\tx"):  # fmt: skip
        for path in ("/", "/v1/videos", "/healthz"):
            yield request("GET", path, headers={"Host": host})
    for origin in ("https://evil.example", "null", "", "http://127.0.0.1.evil.example", "x" * 5000, b"\xff"):
        for fetched in ("cross-site", "same-site", "none", "?"):
            ill: dict[str, str | bytes] = {"Origin": origin, "Sec-Fetch-Site": fetched}
            yield request("POST", "/v1/videos", b'{"prompt": "a boat", "seed": -1}', "application/json", ill)
            yield request("DELETE", "/session", headers=ill)
    for range_ in ("bytes=0-", "bytes=5-2", "bytes=-0", "bytes=-99999999999", "bytes=99999999999-", "bytes=a-b",
                   "lines=1-2", "bytes=0-0" + ",1-1" * 2000, "bytes=" + "9" * 5000 + "-", "bytes=,", "bytes",
                   b"bytes=\xff-"):  # fmt: skip
        for variant in ("video", "card"):
            there: dict[str, str | bytes] = {"Range": range_}
            yield request("GET", f"/v1/videos/{video}/content?variant={variant}", headers=there)
    for value in ODD:
        text = value.replace("\x00", "\x01").encode()
        for name in ("Last-Event-ID", "Authorization", "Cookie", "Accept", "If-Range", "If-None-Match",
                     "If-Modified-Since", "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "Forwarded",
                     "X-Request-Id"):  # fmt: skip
            yield request("GET", f"/v1/videos/{video}/content", headers={name: text})
        yield request("GET", f"/v1/videos/{video}/events", headers={"Last-Event-ID": text})
        yield request("POST", "/v1/videos", b'{"prompt": ""}', "application/json", {"Idempotency-Key": text})
        yield request("POST", "/v1/videos", b"{}", "application/json", {"Authorization": b"Bearer " + text})


# ------------------------------------------------------------------------------------------------------------- bodies

FIELDS = ("prompt", "model", "size", "seconds", "input_reference", "seed", "caption", "stills", "pick", "review",
          "words", "fps", "num_frames", "num_inference_steps", "guidance_scale", "negative_prompt", "webhook_url",
          "video.num_frames", "image.width", "refine.system_prompt", "file.crf", "video.fit",
          "image.candidate")  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, -1, 0, 1e308, 2**70, 1.5, "", " ", "1", "-1", "1e999", "nan", "Infinity", "a" * 20_000, "\u0000",
    "\ud800", "\u202e", [], {}, [[]], {"a": 1}, [None] * 2000, "../../etc/passwd", "/etc/passwd",
    "http://169.254.169.254/", "best", "999999x999999", "0x0", "-5x5", "1x", "caption,caption",
    {"image_url": "file:///etc/passwd"}, {"file_id": "x"}, {"image_url": "http://127.0.0.1:22/"},
    {"image_url": "data:image/png;base64,@@@"}, {"image_url": 5}, "٣", "𝟛",
)  # fmt: skip


def _json(video: str) -> Iterator[bytes]:
    kind = "application/json"
    for field in FIELDS:
        for value in VALUES:
            yield request("POST", "/v1/videos/plan", json.dumps({"prompt": "a boat", field: value}).encode(), kind)
    texts = (b"", b"null", b"[]", b'"a"', b"{", b"NaN", b'{"prompt": NaN}', b"\xef\xbb\xbf{}", b"\xff\xfe{\x00}\x00",
             b"{}{}", b'{"prompt": "\\ud800"}', b'{"prompt": "a", "prompt": 5}', b'{"seed": 1' + b"0" * 5000 + b"}",
             b'{"__proto__": {}}', b"[" * 100_000,
             b'{"a":' * 50_000, b'{"prompt": "\xff"}', b'{"prompt": 1e400}', b"\x00", b" " * 100_000)  # fmt: skip
    paths = ["/v1/videos", "/v1/videos/plan", "/v1/images/generations", "/session"]
    paths += [f"/v1/videos/{video}/{verb}" for verb in ("remix", "caption", "still", "cancel")]
    for path in paths:
        yield from (request("POST", path, text, kind) for text in texts)
    for kind in ("", "text/plain", "application/json; charset=utf-16", "application/xml", "application/json;" * 500,
                 "/", "a"):
        yield request("POST", "/v1/videos", b'{"prompt": ""}', kind)
    for value in VALUES:
        yield request("POST", f"/v1/videos/{video}/still", json.dumps({"still": value}).encode(), "application/json")
        yield request("POST", f"/v1/videos/{video}/caption", json.dumps({"caption": value}).encode(),
                      "application/json")
        yield request("POST", "/v1/images/generations", json.dumps({"prompt": "", "n": value}).encode(),
                      "application/json")
        yield request("POST", "/session", json.dumps({"key": value}).encode(), "application/json")


def part(name: str, value: bytes, more: str = "") -> bytes:
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'
    return head.encode("utf-8", "surrogateescape") + value + b"\r\n"


def form(*parts: bytes, kind: str = f"multipart/form-data; boundary={BOUNDARY}", end: bool = True) -> bytes:
    """What creating takes, as a form."""
    body = b"".join(parts) + (f"--{BOUNDARY}--\r\n".encode() if end else b"")
    return request("POST", "/v1/videos/plan", body, kind)


def _multipart() -> Iterator[bytes]:
    prompt = part("prompt", b"a boat")
    for kind in ("multipart/form-data", "multipart/form-data; boundary=",
                 f"multipart/form-data; boundary={'b' * 10_000}", "multipart/form-data; boundary=\xff",
                 "multipart/mixed; boundary=x", f'multipart/form-data; boundary="{BOUNDARY}',
                 "application/x-www-form-urlencoded"):  # fmt: skip
        yield form(prompt, kind=kind)
    yield from (form(prompt, end=False), form(), form(*[prompt] * 3000), form(*[part(f"f{n}",
                                                                                     b"1") for n in range(3000)]))
    yield form(prompt, part("caption", b"a" * 3_000_000))
    yield form(part("prompt", b"\xff\xfe\x00"), part("x" * 20_000, b"1"), part("\udcff", b"1"))
    for name in (*UPWARD[:12], "a" * 5000 + ".png", "\x01.png", 'a"; name="prompt', ""):
        yield form(prompt, part("input_reference", PIXEL, f'; filename="{name}"\r\nContent-Type: image/png'))
    for field in ("prompt", "seed", "video.num_frames", "model"):
        yield form(prompt, part(field, PIXEL, '; filename="a.png"'))
    yield from (form(prompt, part("input_reference", b"text")), form(prompt, *[_upload(PIXEL)] * 200))
    yield form(prompt, part("input_reference", PIXEL, '; filename="a.png"\r\n' + "X: y\r\n" * 5000 + "Z: 1"))
    yield request("POST", "/v1/videos/plan", b"--" + b"\r\n" * 100_000, f"multipart/form-data; boundary={BOUNDARY}")
    yield request("POST", "/v1/videos/plan", b"--x-bound" * 50_000, f"multipart/form-data; boundary={BOUNDARY}")


# ----------------------------------------------------------------------------------------------------------- pictures


def png(width: int, height: int, data: bytes, *more: bytes) -> bytes:
    """A PNG whose header says so many pixels, whatever is in it."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join((_chunk(b"IHDR", header), *more, _chunk(b"IDAT", data), _chunk(b"IEND",
                                                                                                          b"")))


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def _picture(kind: str, size: tuple[int, int] = (8, 8)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, (9, 99, 199)).save(buffer, kind)
    return buffer.getvalue()


PIXEL = png(1, 1, zlib.compress(b"\x00\x00\x00\x00"))


def _upload(data: bytes, name: str = "a.png") -> bytes:
    return part("input_reference", data, f'; filename="{name}"\r\nContent-Type: image/png')


def _pictures() -> Iterator[bytes]:
    """Bombs and ruins. Each is small on the wire."""
    zeros = zlib.compress(bytes(20_000_000), 9)
    text, profile = (_chunk(name, b"a\x00\x00" + zeros) for name in (b"zTXt", b"iCCP"))
    bombs = [
        png(100_000, 100_000, zeros), png(2**31 - 1, 2**31 - 1, b""), png(4000, 4000, zeros), png(0, 0, b""),
        png(1, 1, zeros), png(1, 1, b"", text), png(1, 1, b"", profile), png(1, 1, b"", *[_chunk(b"tEXt",
                                                                                                 b"a\x00b")] * 20_000),
        b"", b"\x89PNG\r\n\x1a\n", b"GIF89a\xff\xff\xff\xff\x00\x00\x00,", b"RIFF\xff\xff\xff\xffWEBPVP8X",
        b"II*\x00\xff\xff\xff\xff", b"BM" + b"\xff" * 60, b"\x00\x00\x01\x00\xff\xff", b"8BPS\x00\x01", b"%PDF-1.7",
        b"%!PS-Adobe-3.0 EPSF", b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>",
    ]  # fmt: skip
    whole = [_picture(kind) for kind in ("PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF", "ICO", "PPM", "TGA")]
    ruins = [data[: len(data) * n // 4] for data in whole for n in (1, 2, 3)]
    for data in (*bombs, *whole, *ruins):
        yield form(part("prompt", b"a boat"), _upload(data))
