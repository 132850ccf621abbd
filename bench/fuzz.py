"""What a server says to requests of ill will, and what is left of it: no 5xx, no file elsewhere, no growing memory.

    python -m bench.fuzz [--requests 20000]

Up to half of the requests are generated from the server's own /openapi.json by schemathesis, valid ones and others; the
rest are raw bytes (hostile.py). Clients that are slow or leave in the middle come besides. Prints a table and writes
bench/results/fuzz.json.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import socket
import tempfile
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from rich.console import Console
from rich.table import Table
from schemathesis import GenerationMode

from bench import hostile, report
from tests.services import Served, served

LIMITS: dict[str, Any] = {
    "queue": 50, "max_steps": 20, "max_frames": 17, "max_stills": 2, "body_seconds": 2, "upload_pixels": 1_000_000,
    "presets": "pocket",
}  # fmt: skip
HOMES = ("HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "TMPDIR")
CREATE = {
    "prompt": "a red boat",
    "caption": "A red boat.",
    "image.num_inference_steps": 1,
    "video.num_inference_steps": 1,
}
AT_ONCE = 8
"""Raw requests that are under way at a time."""
QUIET = 0.5
"""Seconds after which a raw request is left without an answer: most of them are not whole, and the server waits."""
PATIENT = 10.0
"""Seconds that a generated request is waited for."""
SLOW = 40
"""Clients that never end what they ask."""
GROWTH = 150
"""MB by which the memory of the HTTP process may grow."""
THEIRS = "h11._util.LocalProtocolError"
"""What uvicorn logs of a request that turns out to be broken when its refusal is on the way."""
TOLD = 20
"""Failures that are told in full."""


@dataclass
class Tally:
    """How requests ended, by their kind: a status, "closed" or "silent"."""

    ends: dict[str, Counter[str]] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, kind: str, end: str, what: str) -> None:
        with self._lock:
            self.ends.setdefault(kind, Counter())[end] += 1
            if end.startswith("5") and end != "503":
                self.failures.append(f"{kind}: {end}: {what}")

    @property
    def count(self) -> int:
        return sum(counter.total() for counter in self.ends.values())


def run(folder: Path, count: int, seed: int = 0) -> dict[str, Any]:
    """Serve in `folder`, which is new, and ask so many times. Gives the figures; "failures" lists what went wrong."""
    limits = [word for name, value in LIMITS.items() for word in ("--set", f"{name}={value}")]
    homes = {name: str(folder / name.lower()) for name in HOMES}
    for home in homes.values():
        Path(home).mkdir(parents=True)
    with served(folder, *limits, **homes) as server:
        video = _made(server)
        tally, memory = Tally(), _Memory(_listener(server.port))
        before, begun = _elsewhere(folder), time.monotonic()
        with memory:
            generated(server, count // 2, seed, tally, video)
            seeds = list(hostile.requests(video))
            some = seeds if len(seeds) <= count // 4 else seeds[seed % 7 :: len(seeds) // (count // 4) + 1]
            raw(server, some, tally)
            raw(server, hostile.mutated(seeds, max(0, count - tally.count), seed), tally)
            slow(server, tally)
            _clear(server)
        seconds = time.monotonic() - begun
        after = _elsewhere(folder)
        alive = _answers(server)
    tally.failures += [f"a file where none should be: {path}" for path in sorted(after - before)]
    tally.failures += [] if alive else ["the server answers no more"]
    tally.failures += [f"memory grew by {memory.growth} MB"] if memory.growth > GROWTH else []
    tally.failures += [f"in the log, {count} times: {text}" for text, count in _logged(server).most_common()]
    return {
        "requests": tally.count,
        "seconds": round(seconds, 1),
        "ends": {kind: dict(counter.most_common()) for kind, counter in sorted(tally.ends.items())},
        "memory_mb": {"at_first": memory.first, "most": memory.most, "last": memory.last},
        "files_elsewhere": sorted(after - before),
        "failures": tally.failures[:TOLD],
    }


# ---------------------------------------------------------------------------------------------------------- generated


def generated(server: Served, count: int, seed_: int, tally: Tally, video: str) -> None:
    """Requests made after the server's own document: as it says, and not as it says."""
    schema = schemathesis.openapi.from_url(f"{server.url}/openapi.json")
    operations = [found.ok() for found in schema.get_all_operations()]
    each = max(1, count // (2 * len(operations)))
    for operation in operations:
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            with contextlib.suppress(Unsatisfiable, _NoSuch):
                _ask(server, operation, mode, each, seed_, tally, video)
        _clear(server)


class _NoSuch(Exception):
    """Nothing of that mode can be generated."""


def _ask(
    server: Served, operation: Any, mode: GenerationMode, count: int, seed_: int, tally: Tally, video: str
) -> None:
    kind = "as documented" if mode is GenerationMode.POSITIVE else "against the document"
    turn = iter(range(1 << 30))

    @seed(seed_)
    @settings(max_examples=count, deadline=None, database=None, phases=[Phase.generate],
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case: Any) -> None:
        if next(turn) % 2 and case.path_parameters and case.method != "DELETE":  # Of a video that is there.
            names = [name for name, value in case.path_parameters.items() if isinstance(value, str)]
            case.path_parameters |= {names[0]: video} if names else {}
        what = f"{case.method} {operation.path}"
        try:
            response = case.call(base_url=server.url, timeout=PATIENT, stream=True)
        except requests.Timeout:
            tally.note(kind, "silent", what)
        except (requests.RequestException, UnicodeError):
            tally.note(kind, "closed", what)
        else:
            tally.note(kind, str(response.status_code), f"{what} {case.as_curl_command()[:400]}")

    ask()


# ---------------------------------------------------------------------------------------------------------------- raw


def raw(server: Served, some: Iterable[hostile.Named], tally: Tally) -> None:
    def ask(one: hostile.Named) -> None:
        kind, data = one
        tally.note(kind, _sent(server.port, data), repr(data[:400]))

    with ThreadPoolExecutor(AT_ONCE) as pool:
        for _ in pool.map(ask, some):
            pass


def _sent(port: int, data: bytes) -> str:
    """How a request of these bytes ends."""
    with socket.create_connection((hostile.LOOPBACK, port), timeout=PATIENT) as connection:
        try:
            connection.sendall(data)
        except TimeoutError:
            return "silent"
        except OSError:  # It need not listen to the end to refuse.
            return "closed"
        return _answer(connection)


def _answer(connection: socket.socket) -> str:
    """The status that comes, or "closed", or "silent"."""
    try:
        connection.settimeout(QUIET)
        answer = connection.recv(4096)
    except TimeoutError:
        return "silent"
    except OSError:
        return "closed"
    words = answer.split(b" ", 2)
    return words[1].decode("latin-1")[:20] if answer.startswith(b"HTTP/1.") and len(words) > 1 else "closed"


def slow(server: Served, tally: Tally) -> None:
    """Clients that never end what they ask, or leave in the middle of an answer: others are answered all the same."""
    with contextlib.ExitStack() as stack:
        waiting: list[socket.socket] = []
        head = hostile.request("POST", "/v1/videos", headers={"Content-Length": "30000000"}, kind="application/json")
        for number in range(SLOW):
            connection = stack.enter_context(socket.create_connection((hostile.LOOPBACK, server.port)))
            connection.sendall(head[: -1 - number] if number % 2 else head)
            waiting.append(connection)
        until = time.monotonic() + 3 * LIMITS["body_seconds"]
        while time.monotonic() < until:
            begun = time.monotonic()
            status = "200" if _answers(server) else "500"
            tally.note("meanwhile", status, f"/healthz, after {time.monotonic() - begun:.1f} s")
            time.sleep(0.1)
        for connection in waiting:
            end = _answer(connection)
            tally.note("slow", end, "")
            tally.failures += ["who never ends what it asks is waited for without end"] if end == "silent" else []
    for _ in range(SLOW):
        with socket.create_connection((hostile.LOOPBACK, server.port)) as connection:
            connection.sendall(hostile.request("GET", "/openapi.json"))
            connection.recv(100)
        tally.note("slow", "left", "")


# ---------------------------------------------------------------------------------------------------------- the server


def _made(server: Served) -> str:
    """The id of a video that is made: there has to be something to ask for."""
    video = _json(server, "POST", "/v1/videos", CREATE)
    until = time.monotonic() + 120
    while video["status"] in ("queued", "in_progress") and time.monotonic() < until:
        time.sleep(0.2)
        video = _json(server, "GET", f"/v1/videos/{video['id']}")
    if video["status"] != "completed":
        raise AssertionError(f"no video to ask for: {video['status']}, {video['error']}")
    return str(video["id"])


def _clear(server: Served) -> None:
    """Delete what waits or is being made."""
    for video in _json(server, "GET", "/v1/videos?limit=100")["data"]:
        if video["status"] in ("queued", "in_progress"):
            _json(server, "DELETE", f"/v1/videos/{video['id']}")


def _json(server: Served, method: str, path: str, body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    asked = urllib.request.Request(f"{server.url}{path}", data, {"content-type": "application/json"}, method=method)
    with urllib.request.urlopen(asked, timeout=60) as response:
        return json.loads(response.read())


def _answers(server: Served) -> bool:
    with contextlib.suppress(OSError), urllib.request.urlopen(f"{server.url}/healthz", timeout=PATIENT) as response:
        return bool(response.status == 200)
    return False


def _logged(server: Served) -> Counter[str]:
    """What went wrong inside, by the log."""
    found: Counter[str] = Counter()
    for line in (server.folder / "log").read_text("utf-8", "replace").split("\n"):
        error = json.loads(line).get("error") if line.startswith("{") else line if "Traceback" in line else None
        if error and THEIRS not in error:
            found[error.strip().rpartition("\n")[2][:300]] += 1
    return found


def _elsewhere(folder: Path) -> set[str]:
    """The files below a server's folder that are neither data nor artifacts nor its log."""
    ours = {folder / "data", folder / "store", folder / "log"}
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)) for path in files if not ours & {path, *path.parents}}


def _listener(port: int) -> psutil.Process:
    """The process that listens at a port, among those that are below this one."""
    for process in psutil.Process().children(recursive=True):
        for connection in process.net_connections("tcp"):
            if connection.laddr.port == port and connection.status == psutil.CONN_LISTEN:
                return process
    raise AssertionError(f"nobody listens at port {port}")


class _Memory:
    """Watches the memory of a process, in MB of its resident set, in a thread of its own."""

    def __init__(self, process: psutil.Process) -> None:
        self._process = process
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.first = self.most = self.last = self._now()

    @property
    def growth(self) -> int:
        return self.most - self.first

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(0.1):
            self.last = self._now()
            self.most = max(self.most, self.last)

    def _now(self) -> int:
        return int(self._process.memory_info().rss) // 1_000_000


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = run(Path(folder) / "served", asked.requests, asked.seed)
    table = Table("kind", "requests", "how they ended", box=None)
    for kind, ends in figures["ends"].items():
        told = ", ".join(f"{count:,} {end}" for end, count in ends.items())
        table.add_row(kind, f"{sum(ends.values()):,}", told)
    console = Console()
    console.print(table)
    for name in ("requests", "seconds", "memory_mb", "files_elsewhere"):
        console.print(f"{name}: {figures[name]}")
    for failure in figures["failures"]:
        console.print(f"FAILED {failure}", style="red", markup=False, soft_wrap=True)
    report.write("fuzz", f"python -m bench.fuzz --requests {asked.requests}", figures)
    raise SystemExit(bool(figures["failures"]))


if __name__ == "__main__":
    main()
