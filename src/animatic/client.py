"""The typed client of a server (docs/service.md): makes, watches, fetches.

    with Client("http://127.0.0.1:8420") as client:
        video = client.create("a red boat sails", seed=3)
        for event in client.events(video.id):
            print(event)
        client.download(video.id, "video", Path("boat.mp4"))

Knows the wire, and nothing of how videos are made or shown. What is refused or lost becomes an AnimaticError.
"""

from __future__ import annotations

import ipaddress
import itertools
import json
import re
import time
import urllib.parse
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import httpx2

from animatic import files
from animatic.errors import (
    AnimaticError,
    CapacityError,
    GeometryError,
    ImageError,
    InputError,
    OptionError,
    PresetError,
    PromptError,
    ServiceError,
    one_line,
    reason,
)
from animatic.events import Event

HERE = "http://127.0.0.1:8420"
WAITS = (0.3, 0.6, 1.2)
"""Seconds before a request is sent again."""
LONGEST = 30.0
"""Seconds that are waited for a server at a time; who is told to come back later than that is told so."""
PATIENCE = 300.0
"""Seconds for which events are asked for again, once a server went silent."""
TIMEOUT = httpx2.Timeout(60.0, connect=5.0)
SILENCE = 90.0
"""Seconds without an event after which the connection is taken for dead, and another is made."""

Variant = Literal["video", "thumbnail", "spritesheet", "still", "card"]

_REFUSALS: dict[str, type[AnimaticError]] = {
    "invalid_prompt": PromptError,
    "invalid_option": OptionError,
    "invalid_field": OptionError,
    "invalid_size": GeometryError,
    "invalid_image": ImageError,
    "model_not_allowed": PresetError,
    "model_not_found": PresetError,
    "over_capacity": CapacityError,
}
_SERVERS = (401, 403, 408, 429)
"""Statuses that say nothing against what was asked."""


@dataclass(frozen=True)
class Fault:
    """Why a video failed: one of the codes in docs/service.md, and a line for people."""

    code: str
    message: str


@dataclass(frozen=True)
class Video:
    """A job and what it makes, as docs/service.md has it; `more`: what a newer server says besides."""

    id: str
    model: str
    status: str
    progress: int
    created_at: int
    seconds: str
    size: str
    object: str = "video"
    completed_at: int | None = None
    expires_at: int | None = None
    prompt: str | None = None
    remixed_from_video_id: str | None = None
    error: Fault | None = None
    seed: int | None = None
    caption: str | None = None
    stage: str | None = None
    phase: str | None = None
    step: int | None = None
    steps: int | None = None
    remaining_seconds: float | None = None
    position: int | None = None
    waiting_for: str | None = None
    stills: Sequence[str] = ()
    scores: Sequence[float] = ()
    picked: int | None = None
    preview: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    notices: Sequence[str] = ()
    remarks: Sequence[str] = ()
    more: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Raises ValueError for what is no video."""
        names = {f.name for f in fields(cls)} - {"more"}
        known = {name: value for name, value in data.items() if name in names}
        more = {name: value for name, value in data.items() if name not in names}
        try:
            if error := known.get("error"):
                known["error"] = Fault(str(error["code"]), str(error["message"]))
            return cls(**known, more=more)
        except (TypeError, KeyError) as error:
            raise ValueError(f"not a video: {error}") from None

    def as_dict(self) -> dict[str, Any]:
        """JSON-able, as the server said it."""
        data = asdict(self)
        return {**data, **data.pop("more")}

    @property
    def done(self) -> bool:
        """Whether nothing more will happen."""
        return self.status in ("completed", "failed")


class Client:
    """A server at an address, with a key where it wants one. Every method raises AnimaticError, by docs/service.md's
    codes: InputError and its kinds for what was asked, ServiceError for the server.

    What was never heard, or refused for now (429 and 503 with Retry-After), is sent again a few times. What may have
    been heard is sent again where that does no harm: creating twice is creating once, by an Idempotency-Key.
    """

    def __init__(self, at: str = HERE, key: str | None = None) -> None:
        self.at = _address(at)
        headers = {"user-agent": "animatic"}
        if key:
            if not (key.isascii() and key.isprintable()):
                raise OptionError("the server's key holds letters that no key has: give it as it was given to you")
            headers["authorization"] = f"Bearer {key}"
        self._keyed = bool(key)
        # A proxy that the environment names is for the world outside, not for this machine.
        self._http = httpx2.Client(base_url=self.at, headers=headers, timeout=TIMEOUT, trust_env=not _is_here(self.at))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    # ------------------------------------------------------------------------------------------------------------- jobs

    def create(
        self,
        prompt: str,
        *,
        image: Path | bytes | None = None,
        idempotency_key: str | None = None,
        wait: float = LONGEST,
        **wish: Any,
    ) -> Video:
        """Queue a video.

        image  a picture that becomes the still
        wait   seconds that a full queue is waited for at a time, if it says to come back then
        wish   any field that docs/service.md names, options by their dotted names too: **{"video.num_frames": 49}
        """
        key = idempotency_key or uuid.uuid4().hex
        content = _body({"prompt": prompt, **wish}, image)
        return self._video("POST", "/v1/videos", longest=wait, headers={"idempotency-key": key}, **content)

    def plan(self, prompt: str, *, image: Path | bytes | None = None, **wish: Any) -> dict[str, Any]:
        """What `create` would take of the server; nothing is queued."""
        return self._json("POST", "/v1/videos/plan", **_body({"prompt": prompt, **wish}, image))

    def retrieve(self, id: str) -> Video:
        return self._video("GET", _path(id))

    def list(self, *, order: Literal["asc", "desc"] = "desc", page: int = 50) -> Iterator[Video]:
        """All jobs, `page` at a time as they are looked at; the newest first, or with "asc" the oldest."""
        after: dict[str, str] = {}
        while True:
            found = self._json("GET", "/v1/videos", params={"limit": str(page), "order": order, **after})
            videos = [self._read(one) for one in found.get("data", ())]
            yield from videos
            if not videos or not found.get("has_more"):
                return
            after = {"after": videos[-1].id}

    def newest(self, count: int) -> Sequence[Video]:
        """The newest jobs, at most so many."""
        return tuple(itertools.islice(self.list(page=max(1, min(count, 50))), count))

    def delete(self, id: str) -> None:
        """Cancel a job and remove all that is of it."""
        self._send("DELETE", _path(id))

    def cancel(self, id: str) -> Video:
        """Stop a job within a step. It is failed then, with the code "cancelled"."""
        return self._video("POST", _path(id, "cancel"))

    def remix(self, id: str, prompt: str, **wish: Any) -> Video:
        """Queue the same shot with another prompt, and other fields as for `create`."""
        return self._video("POST", _path(id, "remix"), again=False, json=_given({"prompt": prompt, **wish}))

    def caption(self, id: str, caption: str) -> Video:
        """Go on with this paragraph."""
        return self._video("POST", _path(id, "caption"), json={"caption": caption})

    def still(self, id: str, still: int) -> Video:
        """Go on with this still of those that were drawn, from 1 on."""
        return self._video("POST", _path(id, "still"), again=False, json={"still": still})

    def models(self) -> Sequence[Mapping[str, Any]]:
        """The presets that may be used there."""
        return tuple(self._json("GET", "/v1/models").get("data", ()))

    # ---------------------------------------------------------------------------------------------------------- results

    def download(self, id: str, variant: Variant, path: Path) -> None:
        """Write a finished video, or a picture of it, to `path`: whole, or not at all."""
        self._fetch(_path(id, "content"), path, {"variant": variant})

    def download_still(self, id: str, number: int, path: Path) -> None:
        """Write a still that was drawn, from 1 on."""
        self._fetch(_path(id, f"stills/{number}"), path)

    def preview(self, id: str) -> bytes:
        """The picture of a job's last denoising step, as PNG. InputError: there is none."""
        return self._send("GET", _path(id, "preview")).content

    def record(self, id: str) -> bytes:
        """How a finished video was made: JSON, as the server has it."""
        return self._send("GET", _path(id, "record")).content

    def events(self, id: str) -> Iterator[Event | Video]:
        """What happens to a job until it is done: its events, and all of it whenever that changed.

        A connection that is lost is made again, over a restart of the server too, and nothing is missed. Raises
        ServiceError once the server was silent for `PATIENCE`; the job may go on there.
        """
        last, done = "", False
        heard, wait = time.monotonic(), WAITS[0]
        while not done:
            reason = "it ends the connection"
            try:
                for sign, one in self._stream(id, last):
                    last = sign
                    if one is not None:
                        yield one
                    done = done or (isinstance(one, Video) and one.done)
                    heard, wait = time.monotonic(), WAITS[0]
            except (httpx2.HTTPError, _Busy) as error:
                reason = str(error)
            if not done:
                if time.monotonic() - heard > PATIENCE:
                    raise ServiceError(f"the server at {self.at} fell silent {PATIENCE:.0f} s ago ({reason}): "
                                       f"once it is back, animatic jobs {id} --watch")  # fmt: skip
                time.sleep(wait)
                wait = min(2 * wait, LONGEST)

    # --------------------------------------------------------------------------------------------------------- the wire

    def _stream(self, id: str, last: str) -> Iterator[tuple[str, Event | Video | None]]:
        """The events of one connection, each with its id; None: of a kind that is not known here."""
        headers = {"accept": "text/event-stream", **({"last-event-id": last} if last else {})}
        timeout = httpx2.Timeout(TIMEOUT.write, connect=TIMEOUT.connect, read=SILENCE)
        with self._http.stream("GET", _path(id, "events"), headers=headers, timeout=timeout) as response:
            if not response.is_success:
                response.read()
                if response.status_code >= 500 or response.status_code in (408, 429):
                    raise _Busy(f"status {response.status_code}")
                raise self._refusal(response)
            for said in httpx2.EventSource(response):
                yield said.id or last, self._happened(said.event, said.data)

    def _happened(self, kind: str, data: str) -> Event | Video | None:
        try:
            content = json.loads(data)
        except ValueError:
            return None
        if not isinstance(content, dict):
            return None
        return self._read(content) if kind == "video" else Event.from_dict(content)

    def _fetch(self, path: str, to: Path, params: Mapping[str, str] | None = None) -> None:
        """Download to a file, from the beginning again when the connection is lost on the way."""
        for wait in (*WAITS, None):
            try:
                return files.write(to, self._chunks(path, params))
            except httpx2.HTTPError as error:
                if wait is None:
                    raise self._unreachable(error) from error
                time.sleep(wait)

    def _chunks(self, path: str, params: Mapping[str, str] | None) -> Iterator[bytes]:
        with self._http.stream("GET", path, params=params) as response:
            if not response.is_success:
                response.read()
                raise self._refusal(response)
            yield from response.iter_bytes()

    def _send(
        self, method: str, path: str, *, again: bool = True, longest: float = LONGEST, **content: Any
    ) -> httpx2.Response:
        """A request and its answer, which is a success.

        again    whether it may be sent again when it is not known whether it was heard
        longest  seconds of a Retry-After that are waited for
        """
        for wait in (*WAITS, None):
            try:
                response = self._http.request(method, path, **content)
            except httpx2.HTTPError as error:
                unheard = isinstance(error, (httpx2.ConnectError, httpx2.ConnectTimeout))
                if wait is None or not (unheard or (again and isinstance(error, httpx2.TransportError))):
                    raise self._unreachable(error) from error
                pause = wait
            else:
                if response.is_success:
                    return response
                later = _retry_after(response)
                if wait is None or later is None or later > longest:
                    raise self._refusal(response)
                pause = max(wait, later)
            time.sleep(pause)
        raise AssertionError("unreachable: the last try returns or raises")

    def _json(self, method: str, path: str, **content: Any) -> dict[str, Any]:
        response = self._send(method, path, **content)
        try:
            data = response.json()
        except ValueError:
            data = None
        if not isinstance(data, dict):
            raise self._stranger(response.status_code)
        return data

    def _video(self, method: str, path: str, **content: Any) -> Video:
        return self._read(self._json(method, path, **content))

    def _read(self, data: Mapping[str, Any]) -> Video:
        try:
            return Video.from_dict(data)
        except ValueError:
            raise self._stranger(200) from None

    # ----------------------------------------------------------------------------------------------------------- errors

    def _refusal(self, response: httpx2.Response) -> AnimaticError:
        """What an answer that is no success says."""
        status = response.status_code
        try:
            error = response.json()["error"]
            code, message = str(error["code"]), one_line(str(error["message"]))[:1000]
        except (ValueError, KeyError, TypeError):
            return self._stranger(status)
        if status == 401 and not self._keyed:
            return ServiceError(f"the server at {self.at} wants a key: set ANIMATIC_API_KEY to one it knows")
        if status >= 500 or status in _SERVERS:
            return ServiceError(f"the server at {self.at} says: {message}")
        return _REFUSALS.get(code, InputError)(message)

    def _unreachable(self, error: httpx2.HTTPError) -> ServiceError:
        if isinstance(error, (httpx2.ConnectError, httpx2.ConnectTimeout)):
            why = "" if "refused" in str(error) else f" ({reason(error)})"
            return ServiceError(f"no server answers at {self.at}{why}: start one with animatic serve, or give --at")
        return ServiceError(f"the connection to the server at {self.at} was lost ({reason(error)}): try again")

    def _stranger(self, status: int) -> ServiceError:
        return ServiceError(f"what answers at {self.at} (status {status}) is no Animatic server: give another --at")


class _Busy(Exception):
    """A server that can be asked again later."""


def _address(text: str) -> str:
    """The address of a server as its own paths are appended to it. Raises OptionError."""
    text = text.strip()
    full = (text if "://" in text else f"http://{text}").rstrip("/").removesuffix("/v1")
    try:
        if re.fullmatch(r"https?://[^\s/?#@]+(/[^\s?#]*)?", full):
            return str(httpx2.URL(full)).rstrip("/")
    except httpx2.InvalidURL:  # A port that is none, or a host.
        pass
    raise OptionError(f"--at {text!r} is no server's address: write such as {HERE}")


def _is_here(at: str) -> bool:
    host = httpx2.URL(at).host
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _path(id: str, rest: str = "") -> str:
    """A video's path. Whatever stands in an id, it stays one part of it. Raises InputError for one that cannot be."""
    if not id.strip("."):
        raise InputError(f"{id!r} is no video's id: animatic jobs lists them")
    quoted = urllib.parse.quote(id, safe="")
    return f"/v1/videos/{quoted}/{rest}" if rest else f"/v1/videos/{quoted}"


def _body(wish: Mapping[str, Any], image: Path | bytes | None) -> dict[str, Any]:
    """A wish as a request's content: JSON, or multipart where a picture goes with it. Raises ImageError."""
    given = _given(wish)
    if image is None:
        return {"json": given}
    texts = {name: json.dumps(value) if isinstance(value, bool) else str(value) for name, value in given.items()}
    return {"data": texts, "files": {"input_reference": _picture(image)}}


def _picture(image: Path | bytes) -> tuple[str, bytes]:
    """A picture's name and bytes. Raises ImageError."""
    if isinstance(image, bytes):
        return "still.png", image
    try:
        return image.name, image.read_bytes()
    except OSError as error:
        raise ImageError(f"{image} cannot be read: {error.strerror or error}") from None


def _given(wish: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in wish.items() if value is not None}


def _retry_after(response: httpx2.Response) -> float | None:
    """Seconds after which a server that is full or busy wants to be asked again; None: it does not say so."""
    if response.status_code not in (429, 503):
        return None
    try:
        return max(0.0, float(response.headers["retry-after"]))
    except (KeyError, ValueError):
        return None
