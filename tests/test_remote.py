"""Making at a real server: the events and files of a making here, and the commands that look after its jobs."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from animatic import api, bitmap, media
from animatic.client import Client, Video
from animatic.errors import BatchError, InputError, OptionError, OutputError, PresetError, ServiceError
from animatic.events import Clip, Drawn, Event, Failed, Planned, Sheet, StageEnded, Step
from animatic.remote import Remote
from tests import little
from tests.services import FEW, Served, served
from tests.test_cli import run as cli_run

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("little")]

PROMPT = "a red boat sails on the sea"
SETS = [word for name, value in FEW.items() for word in ("--set", f"{name}={value}")]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("service")) as one:
        yield one


@pytest.fixture(scope="module")
def client(server: Served) -> Iterator[Client]:
    with Client(server.url) as one:
        yield one


@pytest.fixture(scope="module")
def film(client: Client) -> Video:
    """A clip that is made."""
    return last(client, client.create(PROMPT, model="little", **FEW).id)


def last(client: Client, id: str) -> Video:
    """A job when it is done."""
    seen = list(client.events(id))
    assert isinstance(seen[-1], Video) and seen[-1].done
    return seen[-1]


def made(client: Client, out: Path, **wish: Any) -> list[Event]:
    return list(Remote(client).stream(**{"prompt": PROMPT, "preset": "little", "options": FEW, "out": out, **wish}))


def clips(events: list[Event]) -> list[Clip]:
    return [event for event in events if isinstance(event, Clip)]


# ---------------------------------------------------------------------------------------------------------- the client


def test_a_video_is_made_watched_and_fetched(client: Client, film: Video, tmp_path: Path) -> None:
    assert (film.status, film.progress, film.more) == ("completed", 100, {})
    assert client.retrieve(film.id) == film and film.caption and film.options["video.num_inference_steps"] == 2
    client.download(film.id, "video", tmp_path / "film.mp4")
    assert media.frames_of(tmp_path / "film.mp4").shape == (little.FRAMES, little.HEIGHT, little.WIDTH, 3)
    for variant in ("thumbnail", "spritesheet", "still", "card"):
        client.download(film.id, variant, tmp_path / variant)  # type: ignore[arg-type]
        assert bitmap.read_image(tmp_path / variant).ndim == 3
    assert json.loads(client.record(film.id))["prompt"] == PROMPT


def test_what_happened_is_told_again_to_who_comes_later(client: Client, film: Video) -> None:
    seen = list(client.events(film.id))
    steps = [(one.phase, one.step) for one in seen if isinstance(one, Step)]
    assert steps == [("image.denoise", 1), ("image.denoise", 2), ("video.denoise", 1), ("video.denoise", 2)]
    assert [one.shots for one in seen if isinstance(one, Planned)] == [1]
    assert seen[-1] == film


def test_jobs_are_listed_planned_steered_and_deleted(client: Client, film: Video) -> None:
    assert "pocket" in [model["id"] for model in client.models()]
    assert client.plan(PROMPT, model="pocket")
    one = client.create(PROMPT, review="caption", seed=2, model="pocket")
    other = client.remix(film.id, "a blue boat sails on the sea")
    assert {film.id, one.id, other.id} <= {video.id for video in client.list(page=1)}
    assert [video.id for video in client.list(order="asc")] == [video.id for video in client.list()][::-1]
    assert [video.id for video in client.newest(2)] == [other.id, one.id]
    assert client.cancel(other.id).id == other.id
    stopped = last(client, other.id)
    assert stopped.error is not None and stopped.error.code == "cancelled"
    for event in client.events(one.id):
        if isinstance(event, Video) and event.waiting_for == "caption":
            break
    client.delete(one.id)
    with pytest.raises(InputError, match="there is no video"):
        client.retrieve(one.id)


def test_a_create_that_is_repeated_is_one_job(client: Client) -> None:
    ids = {client.create(PROMPT, seed=3, idempotency_key="mine").id for _ in range(3)}
    assert len(ids) == 1
    with pytest.raises(InputError):
        client.create(PROMPT, seed=4, idempotency_key="mine")
    client.delete(ids.pop())


def test_a_connection_that_stays_through_a_restart_misses_nothing(tmp_path: Path) -> None:
    with served(tmp_path, "--set", "drain=0") as server, Client(server.url) as client:
        video = client.create(PROMPT, model="pocket", **{"image.num_inference_steps": 2})
        steps: list[int] = []
        for event in client.events(video.id):
            if isinstance(event, Step) and event.phase == "video.denoise":
                steps.append(event.step)
                if len(steps) == 3:
                    server.stop(signal.SIGTERM)
                    server.start()
        assert isinstance(event, Video) and event.status == "completed"
        assert steps[:3] == [1, 2, 3] and set(steps) == set(range(1, event.options["video.num_inference_steps"] + 1))


# ------------------------------------------------------------------------------------------------------------- making


def test_a_clip_has_the_files_of_one_that_is_made_here(client: Client, server: Served, tmp_path: Path) -> None:
    (there,) = clips(made(client, tmp_path / "there"))
    here = api.make(PROMPT, preset="little", options=FEW, out=tmp_path / "here", store=server.folder / "store")[0]
    for mine, its in ((there.path, here.path), (there.still, here.still), (there.text, here.text)):
        assert mine.name == its.name and mine.read_bytes() == its.read_bytes()
    assert (there.card.name, there.sidecar.name) == (here.card.name, here.sidecar.name)
    assert there.record["signature"] == here.record["signature"] and there.caption == here.caption
    assert len(list((tmp_path / "there").iterdir())) == 5


def test_what_was_fetched_is_not_fetched_again(client: Client, tmp_path: Path) -> None:
    (first,) = clips(made(client, tmp_path))
    (second,) = clips(made(client, tmp_path))
    assert not first.hit and second.hit and second.path == first.path
    assert len(list(tmp_path.iterdir())) == 5


def test_takes_are_jobs_of_their_own(client: Client, tmp_path: Path) -> None:
    events = made(client, tmp_path, takes=2, seed=5)
    assert [clip.record["seed"] for clip in clips(events)] == [5, 6]
    assert {event.stage for event in events if isinstance(event, StageEnded)} == {"refine", "image", "video", "file"}
    (planned,) = (event for event in events if isinstance(event, Planned))
    assert planned.shots == 2 and planned.steps == {"image.denoise": 2, "video.denoise": 2}


def test_a_still_is_chosen_here(client: Client, tmp_path: Path) -> None:
    seen: list[np.ndarray] = []

    def choose(drawn: Drawn) -> int:
        seen.extend(bitmap.read_image(still) for still in drawn.stills)
        return 2

    events = made(client, tmp_path, stills=2, choose=choose, seed=7)
    (clip,) = clips(events)
    assert len(seen) == 2 and (bitmap.read_image(clip.still) == seen[1]).all() and not (seen[0] == seen[1]).all()
    assert clip.record["options"]["image.candidate"] == 2
    (drawn,) = (event for event in events if isinstance(event, Drawn))
    assert not any(still.exists() for still in drawn.stills), "they were for looking at"


def test_a_choice_that_somebody_else_made_is_no_fault(client: Client, tmp_path: Path) -> None:
    def choose(drawn: Drawn) -> int:
        client.still(drawn.shot, 1)
        return 2

    (clip,) = clips(made(client, tmp_path, stills=2, choose=choose, seed=8))
    assert clip.record["options"].get("image.candidate", 1) == 1


def test_ones_own_still_and_paragraph_go_along(client: Client, tmp_path: Path) -> None:
    picture = tmp_path / "own.png"
    picture.write_bytes(bitmap.png_bytes(np.full((little.HEIGHT, little.WIDTH, 3), (40, 90, 160), np.uint8)))
    (clip,) = clips(made(client, tmp_path / "out", image=picture, caption="A red boat sails."))
    assert clip.caption == "A red boat sails." and clip.record["still_source"] == "user"
    assert (bitmap.read_image(clip.still) == bitmap.read_image(picture)).all()


def test_a_file_of_shots_is_a_batch(client: Client, tmp_path: Path) -> None:
    shots = [{"prompt": "a blue cat", "id": "cat"}, {"prompt": "a green rocket", "takes": 2},
             {"prompt": "a car", "video.num_frames": 999}]  # fmt: skip
    file = tmp_path / "shots.jsonl"
    file.write_text("".join(json.dumps({**shot, **FEW}) + "\n" for shot in shots))
    seen: list[Event] = []
    for _ in range(2):
        seen.clear()
        with pytest.raises(BatchError, match="1 of 4 shots failed"):
            seen.extend(Remote(client).batch(file, out=tmp_path, preset="little"))
    folder = tmp_path / "shots"
    lines = [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]
    assert [(line["id"], line["status"]) for line in lines] == [
        ("cat", "completed"), ("a-green-rocket-s0", "completed"), ("a-green-rocket-s1", "completed"),
        ("a-car-s0", "failed"),
    ]  # fmt: skip
    assert (folder / "index.html").exists() and len(list(folder.glob("*.mp4"))) == 3


def test_a_batch_tells_its_sheet_and_makes_nothing_twice(client: Client, tmp_path: Path) -> None:
    file = tmp_path / "one.txt"
    file.write_text(f"{PROMPT}\n")
    for number in (1, 0):
        events = list(Remote(client).batch(file, out=tmp_path, preset="little", options=FEW))
        assert len(clips(events)) == number and isinstance(events[-1], Sheet)
    assert list(Remote(client).batch(file, out=tmp_path, preset="little", options=FEW, shard=(2, 2)))


def test_a_job_that_is_cancelled_fails_here(client: Client, tmp_path: Path) -> None:
    events = Remote(client).stream(PROMPT, out=tmp_path, preset="pocket", seed=9)
    seen: list[Event] = []
    with pytest.raises(ServiceError, match=r"video_\w+ was cancelled"):
        for event in events:
            seen.append(event)
            if isinstance(event, Step):
                client.cancel(event.shot.partition("@")[2])
    assert isinstance(seen[-1], Failed) and not clips(seen)


def test_a_queue_that_is_full_takes_one_after_another(tmp_path: Path) -> None:
    with served(tmp_path, "--set", "queue=1") as server, Client(server.url) as client:
        begun = time.monotonic()
        found = clips(made(client, tmp_path / "out", takes=3, caption="A red boat."))
    assert [clip.record["seed"] for clip in found] == [0, 1, 2] and time.monotonic() - begun < 60


@pytest.mark.parametrize(
    ("wish", "kind", "says"),
    [
        ({"until": "image"}, OptionError, "--until"),
        ({"memory": 1 << 34}, OptionError, "--memory is the server's"),
        ({"strict_env": True}, OptionError, "--strict-env"),
        ({"scorer": "clip:x"}, OptionError, "--scorer"),
        ({"stills": 2}, OptionError, "nobody to ask"),
        ({"preset": "pockett"}, PresetError, "did you mean 'pocket'"),
        ({"options": {"vidoe.fps": 3}}, OptionError, "vidoe.fps"),
        ({"prompt": " "}, InputError, "prompt"),
        ({"image": "none.png"}, InputError, "none.png"),
    ],
)
def test_what_cannot_be_asked_of_a_server_is_refused(
    wish: dict[str, Any], kind: type[Exception], says: str, client: Client, tmp_path: Path
) -> None:
    with pytest.raises(kind, match=says):
        Remote(client).stream(**{"prompt": PROMPT, "out": tmp_path, "preset": "pocket", **wish})


def test_a_folder_that_cannot_be_written_is_told_before_anything_is_begun(client: Client) -> None:
    before = [video.id for video in client.list()]
    with pytest.raises(OutputError):
        Remote(client).stream(PROMPT, out=Path("/dev/null/x"))
    assert [video.id for video in client.list()] == before


# ------------------------------------------------------------------------------------------------------- the commands


def test_make_at_a_server_prints_what_a_making_here_prints(
    server: Served, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ["make", PROMPT, "--preset", "little", "--out", str(tmp_path), *SETS]
    code, out, _ = cli_run([*arguments, "-q", "--at", server.url], capsys, monkeypatch)
    assert code == 0 and out == f"{tmp_path}/a-red-boat-sails-on-the-sea-s0.mp4\n"
    monkeypatch.setenv("ANIMATIC_AT", server.url)
    code, out, _ = cli_run([*arguments, "--json"], capsys, monkeypatch)
    lines = [json.loads(line) for line in out.splitlines()]
    assert code == 0 and lines[-1]["event"] == "clip" and lines[-1]["hit"]
    code, out, _ = cli_run(["make", "--like", "last", "--out", str(tmp_path), "-q", "--seed", "1"], capsys, monkeypatch)
    assert code == 0 and out.endswith("-s1.mp4\n")


def test_jobs_are_looked_after_by_commands(
    server: Served,
    film: Video,
    client: Client,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ANIMATIC_AT", server.url)
    monkeypatch.chdir(tmp_path)
    code, out, _ = cli_run(["jobs", "--last", "50"], capsys, monkeypatch)
    assert code == 0 and film.id in out and "completed" in out and PROMPT in out
    code, out, _ = cli_run(["jobs", "--json"], capsys, monkeypatch)
    assert code == 0 and {"id", "status", "caption"} <= json.loads(out.splitlines()[0]).keys()
    code, out, _ = cli_run(["jobs", film.id], capsys, monkeypatch)
    assert code == 0 and film.caption and film.caption[:40] in out and "--get" in out
    code, out, _ = cli_run(["jobs", film.id, "--get"], capsys, monkeypatch)
    assert code == 0 and media.is_mp4(Path(out.strip())) and len(list(Path("outputs").iterdir())) == 5
    code, out, _ = cli_run(["jobs", film.id, "--watch"], capsys, monkeypatch)
    assert code == 0 and "is completed" in out
    waiting = client.create(PROMPT, stills=2, seed=11)
    code, out, _ = cli_run(["jobs", waiting.id, "--cancel"], capsys, monkeypatch)
    assert code == 0 and waiting.id in out
    code, _, err = cli_run(["jobs", waiting.id, "--watch"], capsys, monkeypatch)
    assert code == 7 and "was cancelled" in err
    for mistake in (["jobs", "--cancel"], ["jobs", film.id, "--get", "--watch"], ["jobs", "nothing"]):
        code, _, err = cli_run(mistake, capsys, monkeypatch)
        assert code == 2 and err.count("\n") == 1


def test_who_stops_watching_is_told_that_the_job_goes_on(server: Served, client: Client, tmp_path: Path) -> None:
    arguments = ["make", PROMPT, "--preset", "pocket", "--seed", "12", "--out", str(tmp_path), "--json"]
    command = [sys.executable, "-m", "animatic", *arguments, "--at", server.url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout and process.stderr
        watchdog = threading.Timer(60, process.kill)
        watchdog.start()
        for line in process.stdout:
            if json.loads(line)["event"] == "step":
                process.send_signal(signal.SIGINT)
                break
        process.stdout.read()
        said = process.stderr.read()
        assert process.wait() == 130
        watchdog.cancel()
    id = client.newest(1)[0].id
    assert said.startswith("animatic: stopped watching; the video goes on at the server") and said.count("\n") == 1
    assert f"animatic jobs {id} --cancel --at {server.url}" in said
    assert last(client, id).status == "completed" and not list(tmp_path.iterdir())
