"""A whole service with pocket's models: nothing is lost, whichever of its processes dies, and what it tells is true."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.services import FEW, Served, done, served, until

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("little")]
LONG = {"image.num_inference_steps": 2, "video.num_inference_steps": 100}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("service")) as one:
        yield one


@pytest.fixture
def client(service: Served) -> Iterator[httpx2.Client]:
    with service.client() as client:
        yield client


def create(client: httpx2.Client, **fields: Any) -> str:
    answer = client.post("/v1/videos", json={"prompt": "a red boat sails at night", "model": "little", **fields})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["id"])


def worker(service: Served, client: httpx2.Client) -> int:
    """The worker's process, once there is one."""
    begun = time.monotonic()
    while client.get("/readyz").status_code != 200:
        assert time.monotonic() - begun < 60
        time.sleep(0.05)
    (pid,) = service.workers()
    return pid


def events(answer: httpx2.Response) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Name, id and data of server-sent events."""
    fields: dict[str, str] = {}
    for line in answer.iter_lines():
        name, _, value = line.partition(": ")
        if line:
            fields[name] = value
        elif "data" in fields:
            yield fields["event"], fields["id"], json.loads(fields["data"])
            fields = {}


def test_a_listener_sees_everything_in_order_to_the_end(client: httpx2.Client) -> None:
    name = create(client, **FEW | {"video.num_inference_steps": 20})
    with client.stream("GET", f"/v1/videos/{name}/events") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        seen = list(events(answer))
    kinds = [kind for kind, _, _ in seen]
    assert kinds[-1] == "video" and seen[-1][2]["status"] == "completed"
    stages = [data["stage"] for kind, _, data in seen if kind == "stage_begun"]
    assert stages == ["refine", "image", "video", "file"]
    steps = [(data["phase"], data["step"]) for kind, _, data in seen if kind == "step"]
    assert steps == [("image.denoise", 1), ("image.denoise", 2), *(("video.denoise", n) for n in range(1, 21))]
    progress = [data["progress"] for kind, _, data in seen if kind == "video"]
    assert progress == sorted(progress) and progress[-1] == 100 and len(set(progress)) > 3
    numbers = [int(number) for _, number, _ in seen]
    assert numbers == sorted(numbers)


def test_a_listener_that_comes_back_misses_nothing_and_hears_nothing_twice(client: httpx2.Client) -> None:
    name = create(client, seed=1, **FEW)
    heard = []
    with client.stream("GET", f"/v1/videos/{name}/events") as answer:
        for kind, number, data in events(answer):
            heard.append((kind, data))
            last = number
            if kind == "step":
                break
    with client.stream("GET", f"/v1/videos/{name}/events", headers={"last-event-id": last}) as answer:
        heard += [(kind, data) for kind, _, data in events(answer)]
    steps = [(data["phase"], data["step"]) for kind, data in heard if kind == "step"]
    assert steps == [("image.denoise", 1), ("image.denoise", 2), ("video.denoise", 1), ("video.denoise", 2)]


def test_previews_are_pictures_of_the_step(client: httpx2.Client) -> None:
    name = create(client, seed=2, **LONG)
    video = until(client, name, lambda one: one["preview"] is not None)
    answer = client.get(video["preview"])
    assert answer.status_code == 200 and answer.content.startswith(b"\x89PNG")
    client.post(f"/v1/videos/{name}/cancel")


def test_images_are_drawn_while_one_waits(client: httpx2.Client) -> None:
    answer = client.post("/v1/images/generations",
                         json={"prompt": "a red boat at night", "n": 2, "image.num_inference_steps": 2})  # fmt: skip
    body = answer.json()
    assert answer.status_code == 200 and len({one["b64_json"] for one in body["data"]}) == 2
    assert body["data"][0]["revised_prompt"] and body["size"] == "144x96"
    assert client.get("/v1/videos").json()["data"][0]["object"] == "video", "images are not among the videos"


def test_a_dead_worker_is_replaced_and_its_job_goes_on(client: httpx2.Client, service: Served) -> None:
    name = create(client, seed=3, **LONG)
    until(client, name, lambda one: one["phase"] == "video.denoise" and (one["step"] or 0) > 3)
    os.kill(worker(service, client), signal.SIGKILL)
    assert not done(client.get(f"/v1/videos/{name}").json())
    video = until(client, name, done)
    assert video["progress"] == 100
    assert client.get(f"/v1/videos/{name}/content").content[4:8] == b"ftyp"


def test_a_dead_server_loses_nothing(client: httpx2.Client, service: Served) -> None:
    first, second = create(client, seed=4, **LONG), create(client, seed=5, **FEW)
    until(client, first, lambda one: one["phase"] == "video.denoise" and (one["step"] or 0) > 3)
    service.stop(signal.SIGKILL)
    service.start()
    assert not done(client.get(f"/v1/videos/{first}").json())
    for name in (first, second):
        until(client, name, done)
    made = [json.loads(client.get(f"/v1/videos/{name}/record").text)["seed"] for name in (first, second)]
    assert made == [4, 5]


def test_sigterm_ends_what_is_begun_and_keeps_what_is_not(client: httpx2.Client, service: Served) -> None:
    running, waiting = create(client, seed=6, **FEW), create(client, seed=7, **FEW)
    until(client, running, lambda one: one["status"] == "in_progress" and one["phase"] is not None)
    assert service.stop(signal.SIGTERM) == 0
    service.start()
    assert client.get(f"/v1/videos/{running}").json()["status"] == "completed"
    until(client, waiting, done)


def test_one_folder_has_one_server(service: Served) -> None:
    other = Served(service.folder)
    with pytest.raises(AssertionError):
        other.start()
    assert other.process is not None and other.process.wait(30) == 5
    assert "is served already" in (service.folder / "log").read_text()
    assert other.process.stdout is not None
    other.process.stdout.close()


def test_the_http_process_never_imports_torch(service: Served) -> None:
    assert service.process is not None
    maps = Path(f"/proc/{service.process.pid}/maps").read_text()
    assert "libtorch" not in maps and "sqlite" in maps


def test_the_log_tells_requests_and_no_prompts(service: Served) -> None:
    lines = [json.loads(line) for line in (service.folder / "log").read_text().splitlines() if line.startswith("{")]
    assert any(line.get("path") == "/v1/videos" and line["status"] == 200 for line in lines)
    assert "a red boat" not in (service.folder / "log").read_text()


def test_nobody_serves_others_without_keys(tmp_path: Path) -> None:
    one = Served(tmp_path, ("--host", "0.0.0.0"))
    with pytest.raises(AssertionError):
        one.start()
    assert one.process is not None and one.process.wait(30) == 2
    assert "animatic serve keys add" in (tmp_path / "log").read_text()
    assert one.process.stdout is not None
    one.process.stdout.close()


def test_a_worker_never_outlives_its_server(tmp_path: Path) -> None:
    """Also one that had just been started: it would hold the device for ever."""
    pids = set()
    for _ in range(4):
        with served(tmp_path) as one:
            begun = time.monotonic()
            while not (workers := one.workers()) and time.monotonic() - begun < 30:
                pass
            pids |= set(workers)
    assert len(pids) >= 4
    begun = time.monotonic()
    while any(Path(f"/proc/{pid}").exists() for pid in pids):
        assert time.monotonic() - begun < 60
        time.sleep(0.1)
