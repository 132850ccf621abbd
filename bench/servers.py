"""A real server as a subprocess, with pocket, in folders of its own: for tests and measurements that talk to one."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PATIENCE = 60.0
"""Seconds in which it has to be there."""
QUICK = {"image.num_inference_steps": 2, "video.num_inference_steps": 2}


@dataclass
class Server:
    """A server that runs. `key`: opens it, where it has one."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes]
    key: str = ""

    @property
    def at(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text("utf-8", "replace")


@contextlib.contextmanager
def serving(
    folder: Path, *arguments: str, port: int = 0, keyed: bool = False, temporary: Path | None = None
) -> Iterator[Server]:
    """A server, ready. `folder` holds its data and its log; a server that was there before is gone on with.

    keyed      it wants a key, which is in `Server.key`
    temporary  where it puts its temporary files
    """
    key = _key(folder) if keyed else ""
    server = start(folder, port or free_port(), *arguments, temporary=temporary)
    server.key = key
    try:
        await_ready(server)
        yield server
    finally:
        stop(server)


def start(folder: Path, port: int, *arguments: str, temporary: Path | None = None) -> Server:
    command = [sys.executable, "-m", "animatic", "serve", "--port", str(port), *_folders(folder), *arguments]
    folder.mkdir(parents=True, exist_ok=True)
    own = environment(folder) | ({"TMPDIR": str(temporary)} if temporary else {})
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=own)
    return Server(folder, port, process)


def stop(server: Server, number: int = signal.SIGTERM) -> int:
    """End it, and wait for that. Gives its exit status."""
    if server.process.poll() is None:
        server.process.send_signal(number)
    try:
        return server.process.wait(30)
    except subprocess.TimeoutExpired:
        server.process.kill()
        return server.process.wait()


def await_ready(server: Server) -> None:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until and server.process.poll() is None:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{server.at}/readyz", timeout=5):
            return
        time.sleep(0.1)
    raise AssertionError(f"the server is not there (exit status {server.process.poll()}):\n{server.log}")


def environment(folder: Path) -> dict[str, str]:
    """Everything that a server keeps goes below its folder."""
    home = {name: str(folder / name.lower()) for name in ("HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME")}
    return {**os.environ, **home, "OMP_NUM_THREADS": "2"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _folders(folder: Path) -> list[str]:
    return ["--data", str(folder / "data"), "--store", str(folder / "store")]


def _key(folder: Path) -> str:
    """A key that the server has from now on."""
    command = [sys.executable, "-m", "animatic", "serve", *_folders(folder), "keys", "add", "tests"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment(folder))
    return next(word for word in done.stdout.split() if word.startswith("animatic_"))
