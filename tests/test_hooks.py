"""Webhooks: told once, signed, tried again, and nowhere that the operator has not listed."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from animatic import hooks as module
from animatic.commission import Commission
from animatic.hooks import Hooks
from animatic.jobs import Jobs


class Listener(http.server.ThreadingHTTPServer):
    """A host that is told. `answers`: the statuses it gives, one after another; then 200."""

    def __init__(self, *answers: int) -> None:
        self.answers = list(answers)
        self.told: list[tuple[dict[str, str], bytes]] = []
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/done"


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, Listener)
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.told.append((headers, self.rfile.read(int(headers["content-length"]))))
        self.send_response(self.server.answers.pop(0) if self.server.answers else 200)
        self.send_header("location", "/elsewhere")
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def listener(request: pytest.FixtureRequest) -> Iterator[Listener]:
    with Listener(*getattr(request, "param", ())) as one:
        thread = threading.Thread(target=one.serve_forever, args=(0.02,))
        thread.start()
        yield one
        one.shutdown()
        thread.join()


def tell(jobs: Jobs, listener: Listener, times: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until so many were told, and nothing is left to be told."""
    monkeypatch.setattr(module, "LOOK", 0.01)
    monkeypatch.setattr(module, "FIRST", 0.0)

    async def run() -> None:
        task = asyncio.create_task(Hooks(jobs, b"secret").run())
        async with asyncio.timeout(20):
            while len(listener.told) < times or jobs.database.rows.execute("SELECT 1 FROM hooks").fetchone():
                await asyncio.sleep(0.01)
        task.cancel()

    asyncio.run(run())


def over(jobs: Jobs, url: str) -> str:
    job = jobs.add("ann", Commission("a red boat", "pocket", webhook=url), {})
    jobs.cancel(job.id)
    return job.id


def test_a_host_is_told_once_with_a_signature(
    tmp_path: Path, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = Jobs(tmp_path)
    name = over(jobs, listener.url)
    tell(jobs, listener, 1, monkeypatch)
    ((headers, body),) = listener.told
    event = json.loads(body)
    assert (event["type"], event["data"], event["object"]) == ("video.failed", {"id": name}, "event")
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.digest(b"secret", signed, hashlib.sha256)).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"


@pytest.mark.parametrize("listener", [(500, 302)], indirect=True)
def test_it_is_told_again_until_it_is_taken_and_no_redirect_is_followed(
    tmp_path: Path, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = Jobs(tmp_path)
    over(jobs, listener.url)
    tell(jobs, listener, 3, monkeypatch)
    assert len({headers["webhook-id"] for headers, _ in listener.told}) == 1 and len(listener.told) == 3


@pytest.mark.parametrize("url", ["http://127.0.0.1:https/x", "http://127.0.0.1:99999/x", "http://a\nb/x", "nowhere"])
def test_an_address_that_is_none_keeps_no_other_from_being_told(
    tmp_path: Path, listener: Listener, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    jobs = Jobs(tmp_path)
    over(jobs, url)
    name = over(jobs, listener.url)
    tell(jobs, listener, 1, monkeypatch)
    assert [json.loads(body)["data"]["id"] for _, body in listener.told] == [name]


def test_a_host_that_is_gone_is_given_up(tmp_path: Path, listener: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = Jobs(tmp_path)
    over(jobs, "http://127.0.0.1:9/nobody")
    tell(jobs, listener, 0, monkeypatch)
    assert listener.told == []
