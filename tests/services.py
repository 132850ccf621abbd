"""How tests have a service: in this process without workers, or as its own processes with pocket's models."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
from starlette.testclient import TestClient

from animatic import server
from animatic.service import Service
from animatic.settings import Settings

FEW = {"image.num_inference_steps": 2, "video.num_inference_steps": 2}
"""Options with which pocket's models are quick."""
PATIENCE = 90.0


@contextlib.contextmanager
def desk_alone(folder: Path, **more: Any) -> Iterator[tuple[TestClient, Service]]:
    """The HTTP side in this process; nobody works on the jobs."""
    settings = Settings(**{"data": folder / "data", "store": folder / "store", "devices": (), **more})
    app = server.app(settings)
    with TestClient(app, base_url="http://localhost", root_path=settings.root_path) as client:
        yield client, app.state.service


@dataclass
class Served:
    """A service in its own processes. `flags`: of `animatic serve`."""

    folder: Path
    flags: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    port: int = 0
    process: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Returns when it answers. Started anew, it has the same address."""
        command = [sys.executable, "-m", "animatic", "serve", "--port", str(self.port), "--data",
                   str(self.folder / "data"), "--store", str(self.folder / "store"), *self.flags]  # fmt: skip
        with (self.folder / "log").open("a") as log:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True,
                                            env={**os.environ, **self.environment})  # fmt: skip
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert "serving at" in line, (line, (self.folder / "log").read_text())
        self.port = int(line.rpartition(":")[2])

    def stop(self, number: int = signal.SIGKILL) -> int:
        assert self.process is not None and self.process.stdout is not None
        self.process.send_signal(number)
        status = self.process.wait(PATIENCE)
        self.process.stdout.close()
        return status

    def workers(self) -> list[int]:
        """The processes of its workers that are there now."""
        assert self.process is not None
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return [int(one) for one in children if "animatic.worker" in Path(f"/proc/{one}/cmdline").read_text()]

    def memory(self) -> int:
        """Bytes that the HTTP process has resident."""
        assert self.process is not None
        pages = Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def client(self, **more: Any) -> httpx2.Client:
        return httpx2.Client(base_url=self.url, timeout=PATIENCE, trust_env=False, **more)


@contextlib.contextmanager
def served(folder: Path, *flags: str, **environment: str) -> Iterator[Served]:
    one = Served(folder, flags, environment)
    one.start()
    try:
        yield one
    finally:
        if one.process is not None and one.process.poll() is None:
            one.stop()


def until(client: httpx2.Client, name: str, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """A video as soon as it is as wanted; fails when that takes too long, or cannot be any more."""
    begun = time.monotonic()
    while True:
        video: dict[str, Any] = client.get(f"/v1/videos/{name}").json()
        if wanted(video):
            return video
        assert video["status"] != "failed", video["error"]
        assert time.monotonic() - begun < PATIENCE, video
        time.sleep(0.02)


def done(video: dict[str, Any]) -> bool:
    return bool(video["status"] == "completed")
