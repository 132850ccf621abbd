"""Runs a service: the HTTP server and the workers, from the first request to the last step."""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
from collections.abc import Callable
from typing import Any

import uvicorn
from filelock import FileLock, Timeout

from animatic import files, server
from animatic.errors import OptionError, OutputError
from animatic.gate import JsonLines
from animatic.keys import Keys
from animatic.service import Service
from animatic.settings import Settings

BACKLOG = 2048
"""Connections that may wait to be taken."""
IMPATIENCE = 5
"""Seconds that open connections get when everything else has ended."""


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or Ctrl-C: then running jobs are ended, a second time: stopped. Raises AnimaticError."""
    if not settings.loopback and not Keys(settings.data).any():
        raise OptionError(f"--host {settings.host} can be reached by others, and no key is needed yet: "
                          "add one with animatic serve keys add NAME")  # fmt: skip
    lock = FileLock(settings.data / "server.lock")
    with files.reported(settings.data, "--data"):  # As `database.py` does.
        settings.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        lock.acquire(timeout=2.0)
    except Timeout:
        raise OutputError(
            f"{settings.data} is served already: one server a folder, or choose another with --data"
        ) from None
    with lock, listening(settings) as door:
        _log_to_stderr()
        asyncio.run(_serve(settings, door))


def listening(settings: Settings) -> socket.socket:
    """Raises OptionError."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # By its name: asyncio sends small answers at once (TCP_NODELAY) only on sockets that say they are TCP's.
    door = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        door.bind((settings.host, settings.port))
        door.listen(BACKLOG)
        return door
    except OSError as error:
        door.close()
        reason = str(error.strerror or error).partition(" (")[0].lower()
        raise OptionError(f"--host {settings.host} --port {settings.port}: {reason}: choose others") from None


async def _serve(settings: Settings, door: socket.socket) -> None:
    app = server.app(settings)
    service: Service = app.state.service
    loop, ending = asyncio.get_running_loop(), asyncio.Event()

    def end() -> None:
        if ending.is_set():
            service.supervisor.terminate()
        ending.set()

    one = _Server(
        lambda: loop.call_soon_threadsafe(end),
        uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            server_header=False,
            root_path=settings.root_path,
            proxy_headers=bool(settings.trusted_proxies),
            forwarded_allow_ips=list(settings.trusted_proxies),
            timeout_graceful_shutdown=IMPATIENCE,
            limit_concurrency=1000,
            lifespan="on",
        ),
    )
    serving = asyncio.create_task(one.serve([door]))
    sweeping = asyncio.create_task(_let_go(one, settings.body_seconds))
    waiting = asyncio.create_task(ending.wait())
    await asyncio.wait([serving, waiting], return_when=asyncio.FIRST_COMPLETED)
    if not serving.done():
        await service.drain()
        one.should_exit = True
    waiting.cancel()
    await serving
    sweeping.cancel()


async def _let_go(one: uvicorn.Server, patience: float) -> None:
    """Close the connections on which nothing has been asked for so many seconds, or a little longer.

    For the rest of a request's head uvicorn itself waits without end: a thousand such clients, and no other gets in.
    """
    before: dict[Any, Any] = {}
    while True:
        await asyncio.sleep(patience)
        all_: list[Any] = list(one.server_state.connections)
        idle = {each: each.cycle for each in all_ if each.cycle is None or each.cycle.response_complete}
        for each, cycle in idle.items():
            if each in before and before[each] is cycle:
                each.transport.close()
        before = idle


class _Server(uvicorn.Server):
    """Leaves to `_serve` what a signal means, and says where it listens once it does."""

    def __init__(self, end: Callable[[], object], config: uvicorn.Config) -> None:
        super().__init__(config)
        self._end = end

    def handle_exit(self, sig: int, frame: object) -> None:  # noqa: ARG002 - as uvicorn calls it
        self._end()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            host, port = self.servers[0].sockets[0].getsockname()[:2]
            shown = f"[{host}]" if ":" in host else host
            print(f"animatic: serving at http://{shown}:{port}", flush=True)


def _log_to_stderr() -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    for name in ("animatic", "uvicorn.error", "python_multipart"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(logging.INFO if name == "animatic" else logging.WARNING)
