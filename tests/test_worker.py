"""A worker with pocket's models, in this process: groups, choices, cancelling, warmth, and what it leaves behind."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from animatic import bitmap, media, provenance
from animatic.attempt import Attempt
from animatic.budget import LIBRARIES
from animatic.commission import Commission
from animatic.errors import OutputError
from animatic.events import Failed, Loaded, PhaseEnded
from animatic.history import History
from animatic.jobs import Job, Jobs
from animatic.prepare import Wish, prepare
from animatic.storage import storage
from animatic.worker import Config, Engines, Will, Worker
from tests import little
from tests.services import FEW

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("little")]


def asked(prompt: str = "a red boat sails at night", preset: str = little.NAME, **more: Any) -> Commission:
    return Commission(prompt, preset, **{"options": FEW, **more})


STATE = {"size": f"{little.WIDTH}x{little.HEIGHT}", "seconds": "0.625", "estimate": 2.0}


@dataclass
class Shop:
    """A worker at work, and the queue it takes from."""

    jobs: Jobs
    worker: Worker
    will: Will
    folder: Path

    def add(self, commission: Commission, owner: str = "ann") -> Job:
        return self.jobs.add(owner, commission, STATE)

    def until(self, job: Job, wanted: Callable[[Job], bool]) -> Job:
        begun = time.monotonic()
        while True:
            now = self.jobs.get(job.id)
            assert now is not None
            if wanted(now):
                return now
            assert time.monotonic() - begun < 60, now
            time.sleep(0.01)

    def completed(self, job: Job) -> Job:
        done = self.until(job, lambda one: one.over)
        assert done.status == "completed", done.state
        return done

    def files(self, job: Job) -> set[str]:
        folder = self.folder / "videos" / job.id
        return {path.name for path in folder.iterdir()} if folder.exists() else set()


@contextlib.contextmanager
def working(folder: Path, **more: Any) -> Iterator[Shop]:
    config = Config("cpu", folder, folder / "store", **more)
    jobs, will = Jobs(folder), Will()
    (folder / "uploads").mkdir(exist_ok=True)
    shop = Shop(jobs, Worker(config, will), will, folder)
    thread = threading.Thread(target=shop.worker.run)
    thread.start()
    try:
        yield shop
    finally:
        will.stop()
        will.stop()
        thread.join(60)
        assert not thread.is_alive()


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with working(tmp_path_factory.mktemp("shop")) as shop:
        yield shop


def told(shop: Shop, job: Job) -> str:
    return " ".join(one.data for one in shop.jobs.happened(0, job.number) if one.data)


def test_a_job_gets_its_clip_and_nothing_is_left_about(shop: Shop) -> None:
    done = shop.completed(shop.add(asked()))
    assert {"video.mp4", "still.png", "card.png", "caption.txt", "record.json", "thumbnail.webp",
            "spritesheet.jpg"} <= shop.files(done)  # fmt: skip
    clip = shop.folder / "videos" / done.id / "video.mp4"
    assert len(media.frames_of(clip)) == little.FRAMES
    assert provenance.read(clip)["prompt"] == "a red boat sails at night"
    assert (done.state["progress"], done.state["size"], done.state["seconds"]) == (100, "80x48", "0.625")
    assert done.state["caption"] == (shop.folder / "videos" / done.id / "caption.txt").read_text().strip()
    assert list((shop.folder / "work").iterdir()) == []
    assert '"event":"step"' in told(shop, done) and str(shop.folder) not in told(shop, done)


def test_the_second_job_finds_the_weights_there(shop: Shop) -> None:
    shop.completed(shop.add(asked(seed=1)))
    loaded = shop.worker.counters.loaded_bytes
    assert loaded > 0 and shop.worker.counters.device_bytes > 0
    shop.completed(shop.add(asked(seed=2)))
    assert shop.worker.counters.loaded_bytes == loaded


def test_a_person_reads_the_paragraph_and_chooses_the_still(shop: Shop) -> None:
    job = shop.add(asked(seed=3, stills=2, review=True))
    paused = shop.until(job, lambda one: bool(one.waiting))
    assert paused.waiting == "caption" and paused.worker == ""
    caption = paused.state["caption"].replace("red", "blue")
    shop.jobs.change(job.id, asked(seed=3, stills=2, caption=caption), anew=True)
    paused = shop.until(job, lambda one: one.waiting == "still")
    assert paused.state["stills"] == 2 and {"still-1.png", "still-2.png"} <= shop.files(job)
    shop.jobs.change(job.id, asked(seed=3, stills=2, caption=caption, pick=2), anew=False)
    done = shop.completed(job)
    folder = shop.folder / "videos" / job.id
    chosen = [bitmap.read_image(folder / f"still-{n}.png") for n in (1, 2)]
    assert (bitmap.read_image(folder / "still.png") == chosen[1]).all() and (chosen[0] != chosen[1]).any()
    assert done.state["caption"] == caption


def test_the_best_still_is_chosen_without_asking(shop: Shop) -> None:
    done = shop.completed(shop.add(asked(seed=4, stills=2, pick="best")))
    assert len(done.state["scores"]) == 2 and done.state["picked"] in (1, 2)


def test_stills_alone_are_a_job_too(shop: Shop) -> None:
    done = shop.completed(shop.add(asked(seed=5, kind="image", stills=2)))
    assert shop.files(done) == {"still-1.png", "still-2.png"} and done.id.startswith("image_")


def test_a_running_job_is_cancelled_within_a_step_and_the_next_one_is_made(shop: Shop) -> None:
    long = shop.add(asked(seed=6, options={"video.num_inference_steps": 200}))
    after = shop.add(asked(seed=7))
    shop.until(long, lambda one: one.state.get("phase") == "video.denoise" and one.state.get("step"))
    shop.jobs.cancel(long.id)
    stopped = shop.until(long, lambda one: one.over)
    assert stopped.state["error"]["code"] == "cancelled" and shop.files(stopped) <= {"still-1.png"}
    shop.completed(after)


def test_a_removed_job_leaves_no_file(shop: Shop) -> None:
    job = shop.add(asked(seed=8, options={"video.num_inference_steps": 200}))
    shop.until(job, lambda one: one.state.get("phase") == "video.denoise")
    assert shop.jobs.remove(job.id) is False
    begun = time.monotonic()
    while shop.jobs.database.rows.execute("SELECT count(*) FROM jobs WHERE id = ?", (job.id,)).fetchone()[0]:
        assert time.monotonic() - begun < 30
        time.sleep(0.02)
    while job.id in shop.jobs.removed():
        assert time.monotonic() - begun < 30
        time.sleep(0.02)
    assert shop.files(job) == set()


def test_a_new_paragraph_begins_a_running_job_anew(shop: Shop) -> None:
    job = shop.add(asked(seed=9, options={**FEW, "video.num_inference_steps": 200}))
    shop.until(job, lambda one: one.state.get("phase") == "video.denoise" and one.state.get("step"))
    caption = "A green boat sails on the sea at night."
    shop.jobs.change(job.id, asked(seed=9, caption=caption), anew=True)
    assert shop.completed(job).state["caption"] == caption


def test_a_job_that_cannot_be_made_says_why_and_stops_no_other(shop: Shop) -> None:
    bad = shop.add(asked("x", options={"video.width": 17}))
    good = shop.add(asked(seed=10))
    failed = shop.until(bad, lambda one: one.over)
    assert failed.status == "failed" and failed.state["error"]["code"] == "invalid_request"
    assert "80x48" in failed.state["error"]["message"]
    shop.completed(good)


def test_shots_go_together_where_that_spares_loading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a budget in which the models cannot all stay, three shots together load little more than one."""
    monkeypatch.setattr(History, "note_run", lambda *_: None)  # Main memory is measured too roughly for so tight a one.
    jobs = Jobs(tmp_path)
    three = [jobs.add("ann", asked(seed=seed, preset="pocket"), STATE) for seed in range(3)]
    with working(tmp_path, memory=LIBRARIES + (118 << 20)) as shop:
        for job in three:
            shop.completed(job)
        together = shop.worker.counters.loaded_bytes
        shop.completed(shop.add(asked(seed=3, preset="pocket")))
        alone = shop.worker.counters.loaded_bytes - together
    assert 0 < together < 2 * alone


def test_a_group_goes_on_when_one_of_it_is_cancelled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Worker, "_size", lambda *_: 8)
    folder = tmp_path
    jobs = Jobs(folder)
    three = [
        jobs.add("ann", asked(seed=seed, options={**FEW, "video.num_inference_steps": 40}), STATE) for seed in range(3)
    ]
    with working(folder) as shop:
        shop.until(three[0], lambda one: one.state.get("phase") == "video.denoise" and one.state.get("step"))
        assert all((one := jobs.get(job.id)) is not None and one.status == "in_progress" for job in three)
        jobs.cancel(three[1].id)
        shop.completed(three[0])
        shop.completed(three[2])
        stopped = jobs.get(three[1].id)
        assert stopped is not None and stopped.state["error"]["code"] == "cancelled"


def test_weights_go_when_nobody_has_asked_for_a_while(tmp_path: Path) -> None:
    with working(tmp_path, idle=0.2) as shop:
        shop.completed(shop.add(asked()))
        begun = time.monotonic()
        while shop.worker._engines.device_bytes:
            assert time.monotonic() - begun < 20
            time.sleep(0.02)


def test_a_full_disk_keeps_jobs_waiting_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = threading.Event()
    full.set()
    put = type(Worker(Config("x", tmp_path, tmp_path / "store"), Will())._storage).put

    def putting(self: Any, name: str, file: Path) -> None:
        if full.is_set():
            raise OutputError("cannot write: no space left on the device")
        put(self, name, file)

    monkeypatch.setattr("animatic.storage.Folder.put", putting)
    monkeypatch.setattr("animatic.worker.PATIENCE", 0.2)
    with working(tmp_path) as shop:
        job = shop.add(asked())
        waiting = shop.until(job, lambda one: any("no space" in text for text in one.state.get("notices", ())))
        assert not waiting.over
        full.clear()
        shop.completed(job)


def test_what_is_told_of_a_worker_is_what_it_did() -> None:
    from animatic.worker import Counters

    counters = Counters()
    counters.see(Loaded("image.transformer", 5, 1.0))
    counters.see(PhaseEnded("image.denoise", "x", 2.0, 0))
    counters.see(PhaseEnded("image.denoise", "x", 0.0, 0, hit=True))
    counters.see(Failed("x", "image.denoise", "oh", RuntimeError()))
    assert (counters.loaded_bytes, counters.hits, counters.seconds) == (5, 1, {"image.denoise": 2.0})


def test_stills_alone_and_stills_to_choose_from_go_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Worker, "_size", lambda *_: 8)
    jobs = Jobs(tmp_path)
    alone = jobs.add("ann", asked(kind="image"), STATE)
    choosing = jobs.add("ann", asked("a blue boat", stills=2), STATE)
    with working(tmp_path) as shop:
        assert shop.completed(alone).state["stills"] == 1
        waiting = shop.until(choosing, lambda one: bool(one.waiting) or one.over)
        assert (waiting.status, waiting.waiting, waiting.state["stills"]) == ("in_progress", "still", 2)


def test_what_is_wanted_of_a_job_that_waits_for_its_own_attempt_stops_no_other(tmp_path: Path) -> None:
    jobs = Jobs(tmp_path)
    first, second = (jobs.add("ann", asked(f"boat {n}"), STATE) for n in (1, 2))
    jobs.claim("test", {first.commission.models: 8})
    attempt = Attempt([first], jobs, "test", storage(None, tmp_path), tmp_path)
    jobs.cancel(second.id)
    assert not attempt.unwanted() and attempt.left == [first]
    jobs.cancel(first.id)
    assert attempt.unwanted() and attempt.left == []


def test_a_dead_workers_leavings_go_with_their_jobs(tmp_path: Path) -> None:
    jobs = Jobs(tmp_path)
    over, waiting = (jobs.add("ann", asked(f"boat {n}"), STATE) for n in (1, 2))
    jobs.cancel(over.id)
    (tmp_path / "work").mkdir()
    names = [f"{{}}{suffix}" for suffix in (".mp4", ".png", "-card.png", "-still-1.png")]
    for job in (over, waiting):
        for name in names:
            (tmp_path / "work" / name.format(job.id)).write_bytes(b"")
    Worker(Config("cpu", tmp_path, tmp_path / "store"), Will())._sweep()
    assert {path.name for path in (tmp_path / "work").iterdir()} == {name.format(waiting.id) for name in names}


def test_one_engine_serves_presets_of_the_same_models_and_no_others(home: Path) -> None:
    folder = home / "xdg_config_home" / "animatic" / "presets"
    (folder / "rounded.toml").write_text('extends = "little"\ntitle = "Rounded"\n[video]\ndtype = "bfloat16"\n')
    (folder / "slower.toml").write_text(
        'extends = "little"\ntitle = "Slower"\n[video.options]\nnum_inference_steps = 9\n'
    )
    engines = Engines(None)
    first, slower, rounded = (engines.of(prepare([Wish("a boat", name)])) for name in ("little", "slower", "rounded"))
    engines.drop()
    assert first is slower and rounded is not first
