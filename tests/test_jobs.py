"""The queue: what is promised of it holds over processes, lost workers and whatever clients want meanwhile."""

from __future__ import annotations

import multiprocessing
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from animatic import jobs as module
from animatic.commission import Commission
from animatic.errors import OutputError
from animatic.jobs import ATTEMPTS, Change, Job, Jobs, QueueFull, TokenReused


def asked(prompt: str = "a red boat", **more: Any) -> Commission:
    return Commission(prompt, "pocket", **more)


TOGETHER = {"pocket/file": 8, "pocket/image": 8}
ALONE: dict[str, int] = {}


@pytest.fixture
def jobs(tmp_path: Path) -> Jobs:
    return Jobs(tmp_path)


def claimed(jobs: Jobs, worker: str = "cpu") -> Job:
    (job,) = jobs.claim(worker, ALONE)
    return job


def test_a_job_is_there_for_whoever_opens_the_folder(jobs: Jobs, tmp_path: Path) -> None:
    job = jobs.add("ann", asked(seed=3, options={"video.num_frames": 17}), {"size": "144x96"})
    again = Jobs(tmp_path).get(job.id)
    assert again == job and again.commission.seed == 3 and again.state["size"] == "144x96"
    assert job.id.startswith("video_") and job.status == "queued"


def test_a_key_sees_its_own_jobs_only(jobs: Jobs) -> None:
    job = jobs.add("ann", asked(), {})
    assert jobs.get(job.id, "ann") == job
    assert jobs.get(job.id, "bob") is None
    assert jobs.page("bob", "video", None, 10, True) == ([], False)


@pytest.mark.parametrize("newest_first", [True, False])
def test_pages_give_every_job_once_and_say_when_there_are_more(jobs: Jobs, newest_first: bool) -> None:
    ids = [jobs.add("ann", asked(f"boat {n}"), {}).id for n in range(5)]
    seen: list[str] = []
    more = True
    while more:
        page, more = jobs.page("ann", "video", seen[-1] if seen else None, 2, newest_first)
        seen += [job.id for job in page]
    assert seen == (ids[::-1] if newest_first else ids)


def test_a_full_queue_takes_no_more(jobs: Jobs) -> None:
    jobs.add("ann", asked(), {}, limit=1)
    with pytest.raises(QueueFull, match="1 jobs wait"):
        jobs.add("ann", asked(), {}, limit=1)


def test_an_idempotency_key_gives_the_same_job_and_never_another_body(jobs: Jobs) -> None:
    first = jobs.add("ann", asked(), {}, token="t", body="x")
    assert jobs.add("ann", asked(), {}, token="t", body="x").id == first.id
    assert jobs.add("bob", asked(), {}, token="t", body="x").id != first.id
    with pytest.raises(TokenReused):
        jobs.add("ann", asked("another"), {}, token="t", body="y")


def test_a_claimed_job_is_nobody_elses(jobs: Jobs, tmp_path: Path) -> None:
    job = jobs.add("ann", asked(), {})
    assert jobs.claimable() == {"pocket/file"}
    assert claimed(jobs).id == job.id
    assert jobs.claimable() == set()
    assert Jobs(tmp_path).claim("other", TOGETHER) == []


def test_jobs_of_the_same_models_are_claimed_together(jobs: Jobs) -> None:
    ids = [jobs.add("ann", one, {}).id for one in (asked("1"), asked("2", stills=4), asked("3"))]
    assert [job.id for job in jobs.claim("cpu", TOGETHER)] == [ids[0], ids[2]]
    assert [job.id for job in jobs.claim("cpu", TOGETHER)] == [ids[1]]


def _claim_all(folder: str, worker: str) -> list[str]:
    jobs, mine = Jobs(Path(folder)), []
    while group := jobs.claim(worker, ALONE):
        for job in group:
            mine.append(job.id)
            jobs.settle(worker, job.number, "completed", {})
    return mine


@pytest.mark.slow
def test_workers_that_claim_at_once_share_the_jobs(jobs: Jobs, tmp_path: Path) -> None:
    ids = {jobs.add(f"owner {n % 3}", asked(f"{n}"), {}).id for n in range(60)}
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        shares = pool.starmap(_claim_all, [(str(tmp_path), f"worker {n}") for n in range(3)])
    assert sorted(name for share in shares for name in share) == sorted(ids)


# ------------------------------------------------------------------------------------------------------- lost workers


def test_a_dead_workers_jobs_wait_again_and_keep_what_is_known(jobs: Jobs) -> None:
    jobs.add("ann", asked(), {"estimate": 4})
    job = claimed(jobs)
    jobs.note("cpu", {job.number: Change({"estimate": 4, "progress": 40}, further=True)})
    jobs.release("cpu")
    again = claimed(jobs)
    assert again.id == job.id and again.state["progress"] == 40


def test_a_lease_that_ran_out_frees_the_job(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs.add("ann", asked(), {})
    job = claimed(jobs)
    assert jobs.claim("other", ALONE) == []
    now = module.time.time()
    monkeypatch.setattr(module.time, "time", lambda: now + module.LEASE + 1)
    assert jobs.claimable() == {"pocket/file"}
    assert claimed(jobs, "other").id == job.id
    # The late one's word counts no more.
    assert jobs.settle("cpu", job.number, "completed", {}) == ""
    assert (there := jobs.get(job.id)) is not None and there.status == "in_progress"


def test_a_heartbeat_keeps_the_lease(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs.add("ann", asked(), {})
    claimed(jobs)
    now = module.time.time()
    monkeypatch.setattr(module.time, "time", lambda: now + module.LEASE - 1)
    jobs.beat("cpu", 1, {})
    monkeypatch.setattr(module.time, "time", lambda: now + module.LEASE + 1)
    assert jobs.claim("other", ALONE) == []


def test_a_job_that_kills_its_worker_again_and_again_fails(jobs: Jobs) -> None:
    job = jobs.add("ann", asked(), {})
    for _ in range(ATTEMPTS):
        assert claimed(jobs).id == job.id
        jobs.release("cpu", died=True)
    failed = jobs.get(job.id)
    assert failed is not None and failed.status == "failed" and failed.state["error"]["code"] == "worker_crashed"


def test_a_job_that_gets_further_each_time_never_fails_for_it(jobs: Jobs) -> None:
    jobs.add("ann", asked(), {})
    for _ in range(3 * ATTEMPTS):
        job = claimed(jobs)
        jobs.note("cpu", {job.number: Change({}, further=True)})
        jobs.release("cpu", died=True)
    assert claimed(jobs).id == job.id


def test_a_worker_that_ends_as_it_should_is_nobodys_fault(jobs: Jobs) -> None:
    jobs.add("ann", asked(), {})
    for _ in range(2 * ATTEMPTS):
        claimed(jobs)
        jobs.release("cpu")
    assert claimed(jobs).attempts == 1


def test_a_job_that_kills_its_worker_takes_no_other_along(jobs: Jobs) -> None:
    ids = [jobs.add("ann", asked(f"boat {n}"), {}).id for n in range(3)]
    assert [job.id for job in jobs.claim("cpu", TOGETHER)] == ids
    jobs.release("cpu", died=True)
    done: list[str] = []
    for _ in range(20):
        if not (group := jobs.claim("cpu", TOGETHER)):
            break
        if ids[0] in [job.id for job in group]:
            assert len(group) == 1
            jobs.release("cpu", died=True)
        else:
            done += [job.id for job in group]
            for job in group:
                jobs.settle("cpu", job.number, "completed", {})
    assert done == ids[1:] and (first := jobs.get(ids[0])) is not None and first.status == "failed"


# ------------------------------------------------------------------------------------- what is wanted in the meantime


def test_a_waiting_job_is_cancelled_at_once(jobs: Jobs) -> None:
    job = jobs.add("ann", asked(), {})
    jobs.cancel(job.id)
    now = jobs.get(job.id)
    assert now is not None and now.status == "failed" and now.state["error"]["code"] == "cancelled" and now.finished
    assert jobs.claim("cpu", ALONE) == []


def test_a_running_job_is_cancelled_by_its_worker_whatever_it_did_last(jobs: Jobs) -> None:
    job = jobs.add("ann", asked(), {})
    claimed(jobs)
    jobs.cancel(job.id)
    assert jobs.wanted("cpu") == {job.number: "cancel"}
    assert jobs.settle("cpu", job.number, "completed", {"progress": 100}) == "cancel"
    now = jobs.get(job.id)
    assert now is not None and now.status == "failed" and now.state["error"]["code"] == "cancelled"


def test_a_cancelled_job_is_not_begun_anew_and_not_lost_with_its_worker(jobs: Jobs) -> None:
    job = jobs.add("ann", asked(), {})
    claimed(jobs)
    jobs.cancel(job.id)
    jobs.change(job.id, asked(caption="A blue boat."), anew=True)
    assert jobs.wanted("cpu") == {job.number: "cancel"}
    jobs.release("cpu")
    now = jobs.get(job.id)
    assert now is not None and now.status == "failed"


def test_a_new_paragraph_begins_a_running_job_anew_without_its_stills(jobs: Jobs) -> None:
    job = jobs.add("ann", asked(stills=3), {})
    claimed(jobs)
    jobs.change(job.id, asked(caption="A blue boat.", stills=3), anew=True)
    assert jobs.settle("cpu", job.number, "queued", {"stills": 3, "estimate": 1}) == "restart"
    again = claimed(jobs)
    assert again.commission.caption == "A blue boat." and again.state == {"estimate": 1, "progress": 0}


def test_a_chosen_still_goes_on_with_the_stills_there(jobs: Jobs) -> None:
    job = jobs.add("ann", asked(stills=3), {})
    claimed(jobs)
    jobs.settle("cpu", job.number, "in_progress", {"stills": 3}, waiting="still")
    assert jobs.claim("cpu", ALONE) == [], "it holds no device while somebody is asked"
    jobs.change(job.id, asked(stills=3, pick=2), anew=False)
    again = claimed(jobs)
    assert again.commission.goal == "file" and again.state["stills"] == 3


def test_a_removed_job_is_gone_at_once_also_while_it_runs(jobs: Jobs) -> None:
    job = jobs.add("ann", asked(), {})
    claimed(jobs)
    assert jobs.remove(job.id) is False
    assert jobs.get(job.id) is None and jobs.page("ann", "video", None, 9, True) == ([], False)
    assert jobs.settle("cpu", job.number, "completed", {}) == "remove"
    assert jobs.database.rows.execute("SELECT count(*) FROM jobs").fetchone()[0] == 0


# ----------------------------------------------------------------------------------------------------- looking, keeping


def test_what_happened_is_told_in_order_and_from_where_one_stopped(jobs: Jobs) -> None:
    job = jobs.add("ann", asked(), {})
    claimed(jobs)
    jobs.note("cpu", {job.number: Change({}, [{"event": "step", "step": 1}, {"event": "step", "step": 2}])})
    told = jobs.happened(0, job.number)
    assert [one.data for one in told if one.data] == ['{"event":"step","step":1}', '{"event":"step","step":2}']
    assert jobs.happened(told[-2].seq) == told[-1:]


def test_a_preview_goes_with_its_job(jobs: Jobs) -> None:
    job = jobs.add("ann", asked(), {})
    claimed(jobs)
    jobs.note("cpu", {job.number: Change({}, preview=b"png")})
    assert jobs.preview(job) == b"png"
    jobs.settle("cpu", job.number, "completed", {})
    assert jobs.preview(job) is None


def test_only_jobs_that_are_long_over_are_old(jobs: Jobs) -> None:
    first, _ = jobs.add("ann", asked(), {}), jobs.add("ann", asked("2"), {})
    jobs.cancel(first.id)
    later = module.time.time() + 100
    assert [job.id for job in jobs.old(later)] == [first.id]
    jobs.prune(later)
    assert jobs.happened(0, first.number) == []


def test_a_webhook_is_due_when_the_job_is_over_until_it_was_told(jobs: Jobs) -> None:
    job = jobs.add("ann", asked(webhook="https://example.org/done"), {})
    now = module.time.time()
    assert jobs.untold(now) == []
    jobs.cancel(job.id)
    assert [(one.id, tries) for one, tries in jobs.untold(now + 1)] == [(job.id, 0)]
    jobs.told(job, again=now + 50)
    assert jobs.untold(now + 1) == [] and jobs.untold(now + 51)[0][1] == 1
    jobs.told(job)
    assert jobs.untold(now + 999) == []


def test_a_database_of_a_later_version_is_left_alone(jobs: Jobs, tmp_path: Path) -> None:
    jobs.database.rows.execute("PRAGMA user_version = 99")
    with pytest.raises(OutputError, match="later Animatic"):
        Jobs(tmp_path)


def test_a_transaction_that_fails_changes_nothing(jobs: Jobs) -> None:
    with pytest.raises(sqlite3.IntegrityError), jobs.database.writing() as rows:
        rows.execute("INSERT INTO served VALUES ('ann', 1)")
        rows.execute("INSERT INTO served VALUES ('ann', 2)")
    assert jobs.database.rows.execute("SELECT count(*) FROM served").fetchone()[0] == 0


def test_a_full_disk_is_told_and_leaves_no_transaction_open(jobs: Jobs) -> None:
    rows = jobs.database.rows
    (pages,) = rows.execute("PRAGMA page_count").fetchone()
    rows.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(OutputError, match="--data"):
        jobs.add("ann", asked("x" * 100_000), {})
    assert not rows.in_transaction
    rows.execute(f"PRAGMA max_page_count = {pages + 1000}")
    assert jobs.get(jobs.add("ann", asked(), {}).id) is not None
