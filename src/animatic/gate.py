"""The guard at the door: what no request gets past, whatever it asks for. Hosts, origins, sizes, patience; and the log.

An ASGI middleware. Knows no path and no key.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import logging
import re
import secrets
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from animatic.settings import Settings
from animatic.wire import WireError

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

LONGEST = 10
"""How many times a body may take what it may stand still."""
FAULT = "that is a fault of this server, and its log tells more"
LEFT = 499
"""What the log has as the status of a request whose client went before it was answered."""
SAFE = ("GET", "HEAD", "OPTIONS")
HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "media-src 'self' blob:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
"""Sent with every answer: a page of ours loads nothing of others, and none of others shows ours."""

log = logging.getLogger("animatic.serve")


class Gate:
    def __init__(self, app: Any, settings: Settings) -> None:
        self._app = app
        self._settings = settings
        self._hosts = {"localhost", settings.host, *settings.hosts}

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        name = secrets.token_hex(8)
        begun, status = time.perf_counter(), LEFT

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], *_headers(name)]
            await send(message)

        headers = {key.decode("latin-1"): value.decode("latin-1") for key, value in scope["headers"]}
        try:
            self._check(scope["method"], headers)
        except WireError as error:
            await _answer(error, sending)
        else:
            body = _Body(receive, self._settings)
            try:
                await self._app(scope, body.receive, sending)
            except Exception:
                if status != LEFT and not body.left:
                    raise  # An answer was begun: the connection ends with it.
                if not body.left:
                    log.exception("a fault of this server", extra={"fields": {"request": name}})
                    await _answer(WireError(500, "internal_error", FAULT), sending)
        seconds = time.perf_counter() - begun
        log.info("", extra={"fields": {"request": name, "method": scope["method"], "path": scope["path"],
                                       "status": status, "ms": round(seconds * 1000, 1)}})  # fmt: skip

    def _check(self, method: str, headers: dict[str, str]) -> None:
        """Raises WireError. A name that leads here without being ours is an attack by DNS; an address cannot be one."""
        host = headers.get("host", "")
        if not (_is_address(bare := _bare(host)) or bare in self._hosts):
            text = f"this server is not called {bare[:100]!r}: its operator may allow that with --hosts"
            raise WireError(403, "host_not_allowed", text)
        if method not in SAFE:
            origin = headers.get("origin")
            elsewhere = origin is not None and origin.partition("://")[2].lower() != host.lower()
            if elsewhere or headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
                raise WireError(403, "origin_not_allowed", "another site's page asks this of you: it is not done")
        length = headers.get("content-length", "0")
        if length.isdecimal() and int(length) > self._settings.body_bytes:
            raise _too_large(self._settings.body_bytes)


class _Body:
    """A request's body as it comes in: not more than is allowed, and not slower."""

    def __init__(self, receive: Receive, settings: Settings) -> None:
        self._receive = receive
        self._settings = settings
        self._seen = 0
        self._whole = False
        self._last = time.monotonic() + LONGEST * settings.body_seconds
        self.left = False
        """Whether the client has gone: what goes wrong then is no fault, and nobody is there to be told."""

    async def receive(self) -> Message:
        if self._whole:
            return self._noted(await self._receive())  # Until the client leaves.
        try:
            patience = min(self._settings.body_seconds, self._last - time.monotonic())
            message = self._noted(await asyncio.wait_for(self._receive(), patience))
        except TimeoutError:
            text = f"nothing came for {self._settings.body_seconds:g} s: send the body faster"
            raise WireError(408, "too_slow", text, connection="close") from None
        self._seen += len(message.get("body", b""))
        self._whole = not message.get("more_body", False)
        if self._seen > self._settings.body_bytes:
            raise _too_large(self._settings.body_bytes)
        return message

    def _noted(self, message: Message) -> Message:
        self.left |= message["type"] == "http.disconnect"
        return message


def _too_large(limit: int) -> WireError:
    return WireError(413, "body_too_large", f"the limit of a body is {limit:,} bytes", connection="close")


def _bare(host: str) -> str:
    """A Host header's name, without the port; empty where it is none."""
    found = re.fullmatch(r"(?:\[([0-9a-f:.]+)\]|([^:\[\]]+))(?::\d+)?", host.lower())
    return (found[1] or found[2]) if found else ""


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _headers(name: str) -> list[tuple[bytes, bytes]]:
    return [(key.encode(), value.encode()) for key, value in {**HEADERS, "x-request-id": name}.items()]


async def _answer(error: WireError, send: Send) -> None:
    body = json.dumps(error.body).encode()
    headers = {"content-type": "application/json", "content-length": str(len(body)), **error.headers}
    encoded = [(key.encode(), value.encode()) for key, value in headers.items()]
    await send({"type": "http.response.start", "status": error.status, "headers": encoded})
    await send({"type": "http.response.body", "body": body})


class JsonLines(logging.Formatter):
    """A log line as JSON, with the fields that are its own; in ASCII, since a path may hold what moves cursors."""

    def format(self, record: logging.LogRecord) -> str:
        line = {"time": round(record.created, 3), "level": record.levelname.lower(), "message": record.getMessage(),
                **getattr(record, "fields", {})}  # fmt: skip
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps({name: value for name, value in line.items() if value != ""})
