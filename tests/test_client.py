"""The client against a server that fails on purpose: it drops connections, is full, restarts, or is another's.

What a real server says is tested in test_remote.py.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from animatic import client as clients
from animatic.client import Client, Fault, Video
from animatic.errors import (
    AnimaticError,
    CapacityError,
    GeometryError,
    ImageError,
    InputError,
    OptionError,
    OutputError,
    PresetError,
    PromptError,
    ServiceError,
)
from animatic.events import Notice, Step

VIDEO = {"id": "video_1", "object": "video", "model": "pocket", "status": "queued", "progress": 0, "created_at": 1,
         "seconds": "2.125", "size": "144x96", "prompt": "a red boat", "later": [1]}  # fmt: skip
DONE = {**VIDEO, "status": "completed", "progress": 100}


@dataclass(frozen=True)
class Seen:
    """A request as it came."""

    path: str
    headers: Mapping[str, str]
    body: bytes


class Request(BaseHTTPRequestHandler):
    """One request, which the next of the server's turns answers."""

    server: Fake
    protocol_version = "HTTP/1.1"

    def handle_any(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        self.server.requests.append(Seen(self.path, self.headers, body))
        turns = self.server.turns
        (turns.pop(0) if len(turns) > 1 else turns[0])(self)

    do_GET = do_POST = handle_any  # noqa: N815

    def answer(self, status: int, data: bytes, kind: str = "application/json", **headers: str) -> None:
        self.send_response(status)
        for name, value in {"content-type": kind, "content-length": str(len(data)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(data)

    def drop(self) -> None:
        """End the connection in the middle."""
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, *_: Any) -> None:
        pass


Turn = Callable[[Request], None]


class Fake(ThreadingHTTPServer):
    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, port: int, turns: tuple[Turn, ...]) -> None:
        super().__init__(("127.0.0.1", port), Request)
        self.turns = list(turns)
        self.requests: list[Seen] = []

    @property
    def at(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


@contextmanager
def server(*turns: Turn, port: int = 0) -> Iterator[Fake]:
    with Fake(port, turns) as fake:
        thread = threading.Thread(target=fake.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield fake
        fake.shutdown()
        thread.join()


def says(data: Any, status: int = 200, **headers: str) -> Turn:
    return lambda request: request.answer(status, json.dumps(data).encode(), **headers)


def refuses(status: int, code: str, message: str = "no", **headers: str) -> Turn:
    return says({"error": {"message": message, "type": "x", "param": None, "code": code}}, status, **headers)


def drops(request: Request) -> None:
    request.drop()


def streams(*said: tuple[int, dict[str, Any]], then: Turn = drops) -> Turn:
    """Server-sent events, each with its id; a whole video is told as such."""

    def turn(request: Request) -> None:
        request.send_response(200)
        request.send_header("content-type", "text/event-stream; charset=utf-8")
        request.send_header("connection", "close")
        request.end_headers()
        for number, data in said:
            text = json.dumps(data, ensure_ascii=False)
            request.wfile.write(f"id: {number}\nevent: {data.get('event', 'video')}\ndata: {text}\n\n".encode())
        then(request)

    return turn


def ends(_: Request) -> None:
    """The stream is over, and says so."""


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "WAITS", (0.01, 0.01, 0.01))


# ----------------------------------------------------------------------------------------------------------- requests


def test_a_create_that_may_have_been_heard_is_sent_again_with_the_same_key() -> None:
    with server(drops, drops, says(VIDEO)) as fake, Client(fake.at) as client:
        video = client.create("a red boat", seed=3, caption=None, **{"video.num_frames": 17})
    assert (video.id, video.more, video.done) == ("video_1", {"later": [1]}, False)
    keys = {request.headers["idempotency-key"] for request in fake.requests}
    assert len(fake.requests) == 3 and len(keys) == 1 and None not in keys
    assert json.loads(fake.requests[-1].body) == {"prompt": "a red boat", "seed": 3, "video.num_frames": 17}


def test_every_create_has_a_key_of_its_own_or_the_callers() -> None:
    with server(says(VIDEO)) as fake, Client(fake.at) as client:
        for key in (None, None, "mine"):
            client.create("a boat", idempotency_key=key)
    keys = [request.headers["idempotency-key"] for request in fake.requests]
    assert len(set(keys)) == 3 and keys[2] == "mine"


def test_what_must_not_happen_twice_is_not_sent_twice() -> None:
    with server(drops, says(VIDEO)) as fake, Client(fake.at) as client, pytest.raises(ServiceError, match="was lost"):
        client.remix("video_1", "a blue boat")
    assert len(fake.requests) == 1


@pytest.mark.parametrize("status", [429, 503])
def test_who_is_told_to_come_back_comes_back(status: int) -> None:
    with server(refuses(status, "draining", retry_after="0"), says(VIDEO)) as fake, Client(fake.at) as client:
        assert client.remix("video_1", "a blue boat").id == "video_1"


@pytest.mark.parametrize("headers", [{}, {"retry_after": "600"}, {"retry_after": "Wed, 21 Oct 2026 07:28:00 GMT"}])
def test_who_is_told_to_come_back_late_is_told_why(headers: dict[str, str]) -> None:
    full = refuses(429, "queue_full", "100 videos wait", **headers)
    with server(full) as fake, Client(fake.at) as client, pytest.raises(ServiceError, match="100 videos wait"):
        client.create("a boat")
    assert len(fake.requests) == 1


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "invalid_prompt", PromptError),
        (400, "invalid_option", OptionError),
        (400, "invalid_size", GeometryError),
        (400, "invalid_image", ImageError),
        (404, "model_not_found", PresetError),
        (400, "over_capacity", CapacityError),
        (404, "video_not_found", InputError),
        (409, "idempotency_mismatch", InputError),
        (413, "body_too_large", InputError),
        (400, "a_new_code", InputError),
        (401, "invalid_api_key", ServiceError),
        (403, "host_not_allowed", ServiceError),
        (500, "internal_error", ServiceError),
    ],
)
def test_refusals_are_errors_of_their_kind_with_the_servers_words(
    status: int, code: str, kind: type[AnimaticError]
) -> None:
    refusing = refuses(status, code, "the\n reason\x1b[2J is this")
    with server(refusing) as fake, Client(fake.at, "key") as client, pytest.raises(AnimaticError) as caught:
        client.create("a boat")
    assert type(caught.value) is kind and "the reason [2J is this" in str(caught.value)


def test_who_has_something_to_look_at_meanwhile_does_not_wait() -> None:
    with server(refuses(429, "queue_full", retry_after="1")) as fake, Client(fake.at) as client:
        with pytest.raises(ServiceError):
            client.create("a boat", wait=0)
        assert len(fake.requests) == 1


def test_a_key_goes_with_every_request_and_its_lack_is_told() -> None:
    with server(says(VIDEO)) as fake, Client(fake.at, "sesame") as client:
        client.retrieve("video_1")
    assert fake.requests[0].headers["authorization"] == "Bearer sesame"
    with server(refuses(401, "invalid_api_key")) as fake, Client(fake.at) as client:
        with pytest.raises(ServiceError, match="set ANIMATIC_API_KEY"):
            client.retrieve("video_1")
        assert "authorization" not in fake.requests[0].headers
    with pytest.raises(OptionError):
        Client(fake.at, "new\nline")


@pytest.mark.parametrize(
    "turn",
    [
        lambda request: request.answer(200, b"<html>hello", "text/html"),
        lambda request: request.answer(404, b"nothing here", "text/plain"),
        lambda request: request.answer(302, b"", location="https://elsewhere.example/"),
        says([1, 2]),
        says({"id": "video_1"}),
        says({"detail": "Not Found"}, 404),
    ],
)
def test_a_stranger_is_recognised(turn: Turn) -> None:
    with server(turn) as fake, Client(fake.at) as client, pytest.raises(ServiceError, match="is no Animatic server"):
        client.retrieve("video_1")


def test_nobody_there_is_said_in_a_line_with_a_way_out() -> None:
    with server(drops) as fake:
        at = fake.at
    with Client(at) as client, pytest.raises(ServiceError) as caught:
        client.create("a boat")
    assert str(caught.value) == f"no server answers at {at}: start one with animatic serve, or give --at"
    assert caught.value.exit_code == 7


def test_a_proxy_is_not_asked_for_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with server(says(VIDEO)) as fake, Client(fake.at) as client:
        assert client.retrieve("video_1").model == "pocket"


@pytest.mark.parametrize("at", ["", "ftp://x", "http://", "http://x:port", "http://user:pw@x", "http://x/?q", "a b"])
def test_what_is_no_address_is_refused(at: str) -> None:
    with pytest.raises(OptionError, match="--at"):
        Client(at)


@pytest.mark.parametrize("at", ["http://box:1/", "box:1", "http://box:1/v1", " http://box:1/v1/ "])
def test_an_address_may_be_written_in_several_ways(at: str) -> None:
    with Client(at) as client:
        assert client.at == "http://box:1"


@given(st.text(min_size=1).filter(lambda text: text.strip(".").isprintable()))
def test_an_id_stays_one_part_of_the_path(id: str) -> None:
    try:
        path = clients._path(id, "content")
    except InputError:
        return
    assert path.count("/") == 4 and path.isascii() and "?" not in path and "/../" not in path


def test_a_picture_goes_with_its_name_and_the_fields_as_text(tmp_path: Path) -> None:
    picture = tmp_path / "boat.png"
    picture.write_bytes(b"\x89PNG")
    with server(says(VIDEO)) as fake, Client(fake.at) as client:
        client.create("ein Boot 船", image=picture, seed=3, caption=None, **{"video.use_dynamic_cfg": False})
        client.plan("a boat", image=b"\x89PNG")
        with pytest.raises(ImageError, match="cannot be read"):
            client.create("a boat", image=tmp_path / "none.png")
    first, second = (request.body for request in fake.requests)
    assert b'filename="boat.png"' in first and b"\r\n\r\n\x89PNG\r\n" in first and "ein Boot 船".encode() in first
    assert b'name="video.use_dynamic_cfg"\r\n\r\nfalse\r\n' in first and b"caption" not in first
    assert fake.requests[1].path == "/v1/videos/plan" and b'filename="still.png"' in second


def test_all_pages_are_listed() -> None:
    one, two = {**VIDEO, "id": "a"}, {**VIDEO, "id": "b"}
    pages = says({"data": [one], "has_more": True}), says({"data": [two], "has_more": False})
    with server(*pages) as fake, Client(fake.at) as client:
        assert [video.id for video in client.list(order="asc", page=1)] == ["a", "b"]
    paths = [request.path for request in fake.requests]
    assert paths == ["/v1/videos?limit=1&order=asc", "/v1/videos?limit=1&order=asc&after=a"]


def test_a_page_without_videos_is_the_last() -> None:
    with server(says({"data": [], "has_more": True})) as fake, Client(fake.at) as client:
        assert list(client.list()) == []


def test_a_video_says_itself_as_the_server_did() -> None:
    failed = {**VIDEO, "status": "failed", "error": {"code": "cancelled", "message": "as was asked"}}
    video = Video.from_dict(failed)
    assert video.error == Fault("cancelled", "as was asked") and video.done
    assert failed.items() <= video.as_dict().items()


# ------------------------------------------------------------------------------------------------------------- events

STEP = {"event": "step", "phase": "video.denoise", "shot": "s", "step": 1, "steps": 2}
TEXT = "one\u2028line\x85 it is"


def test_events_go_on_where_the_connection_was_lost() -> None:
    first = streams((1, VIDEO), (2, STEP))
    second = streams((3, {"event": "notice", "text": TEXT}), (4, {"event": "later"}), (5, DONE), then=ends)
    with server(first, drops, refuses(503, "draining"), second) as fake, Client(fake.at) as client:
        seen = list(client.events("video_1"))
    step = Step("video.denoise", "s", 1, 2)
    assert seen == [Video.from_dict(VIDEO), step, Notice(TEXT), Video.from_dict(DONE)]
    assert [request.headers["last-event-id"] for request in fake.requests] == [None, "2", "2", "2"]


def test_events_go_on_over_a_restart_of_the_server() -> None:
    with server(streams((1, VIDEO))) as fake, Client(fake.at) as client:
        events, port = client.events("video_1"), fake.server_port
        next(events)
        fake.shutdown()
        fake.server_close()
        with server(streams((2, DONE), then=ends), port=port) as again:
            assert [one.status for one in events if isinstance(one, Video)] == ["completed"]
        assert again.requests[0].headers["last-event-id"] == "1"


def test_a_stream_that_ends_too_early_is_asked_for_again() -> None:
    with server(streams((1, VIDEO), then=ends), streams((2, DONE), then=ends)) as fake, Client(fake.at) as client:
        assert len(list(client.events("video_1"))) == 2


def test_a_server_that_stays_silent_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "PATIENCE", 0.3)
    with server(streams((1, VIDEO)), drops) as fake, Client(fake.at) as client:
        events = client.events("video_1")
        next(events)
        with pytest.raises(ServiceError, match=r"fell silent .* animatic jobs video_1 --watch"):
            next(events)
    assert len(fake.requests) > 3


def test_a_connection_without_a_sign_of_life_is_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "SILENCE", 0.2)
    gone = threading.Event()
    silent = streams((1, VIDEO), then=lambda _: gone.wait(5) and None)
    with server(silent, streams((2, DONE), then=ends)) as fake, Client(fake.at) as client:
        assert len(list(client.events("video_1"))) == 2
        gone.set()


def test_events_of_a_video_that_is_not_there_are_refused_at_once() -> None:
    with server(refuses(404, "video_not_found")) as fake, Client(fake.at) as client, pytest.raises(InputError):
        next(client.events("video_1"))


# ---------------------------------------------------------------------------------------------------------- downloads

FILM = bytes(range(256)) * 4096


def half(request: Request) -> None:
    request.send_response(200)
    request.send_header("content-length", str(len(FILM)))
    request.end_headers()
    request.wfile.write(FILM[: len(FILM) // 2])
    request.drop()


def whole(request: Request) -> None:
    request.answer(200, FILM, "video/mp4")


def test_a_download_is_whole_or_not_there(tmp_path: Path) -> None:
    film = tmp_path / "film.mp4"
    with server(half, drops, whole) as fake, Client(fake.at) as client:
        client.download("video_1", "video", film)
    assert film.read_bytes() == FILM and list(tmp_path.iterdir()) == [film]
    assert fake.requests[0].path == "/v1/videos/video_1/content?variant=video"


@pytest.mark.parametrize(("turn", "kind"), [(half, ServiceError), (refuses(400, "not_ready"), InputError)])
def test_a_download_that_fails_leaves_what_was_there(turn: Turn, kind: type[AnimaticError], tmp_path: Path) -> None:
    film = tmp_path / "film.mp4"
    film.write_bytes(b"before")
    with server(turn) as fake, Client(fake.at) as client, pytest.raises(kind):
        client.download("video_1", "video", film)
    assert film.read_bytes() == b"before" and list(tmp_path.iterdir()) == [film]


def test_a_download_to_nowhere_is_refused(tmp_path: Path) -> None:
    with server(whole) as fake, Client(fake.at) as client, pytest.raises(OutputError):
        client.download("video_1", "video", tmp_path / "none" / "film.mp4")
