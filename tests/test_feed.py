"""Who listens hears of its own job, in order; who does not keep up is let go and holds nobody up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from animatic import feed as module
from animatic.commission import Commission
from animatic.feed import Batch, Feed
from animatic.jobs import Change, Job, Jobs


def run(tmp_path: Path, what: Callable[[Jobs, Feed, Job], Awaitable[None]]) -> None:
    async def main() -> None:
        jobs = Jobs(tmp_path)
        job = jobs.add("ann", Commission("a red boat", "pocket"), {})
        jobs.claim("cpu", {})
        feed = Feed(jobs)
        task = asyncio.create_task(feed.run())
        async with asyncio.timeout(20):
            await what(jobs, feed, job)
        task.cancel()

    asyncio.run(main())


async def told(jobs: Jobs, job: Job, *steps: int) -> None:
    """By another connection, as a worker would."""
    events = [{"event": "step", "step": step} for step in steps]
    await asyncio.to_thread(jobs.note, "cpu", {job.number: Change({}, list(events))})


async def first(listening: AsyncIterator[Batch]) -> Batch:
    return await anext(listening)


def test_what_happens_is_heard_in_order_by_all_who_listen(tmp_path: Path) -> None:
    async def what(jobs: Jobs, feed: Feed, job: Job) -> None:
        ears = [feed.listen(job.number), feed.listen(job.number), feed.listen(job.number + 1)]
        hearing = [asyncio.create_task(first(one)) for one in ears]
        await asyncio.sleep(0)
        await told(jobs, job, 1, 2)
        for task in hearing[:2]:
            batch = await task
            assert [one.data for one in batch][:2] == ['{"event":"step","step":1}', '{"event":"step","step":2}']
        assert not hearing[2].done(), "it is another job's"
        hearing[2].cancel()

    run(tmp_path, what)


def test_nothing_for_a_while_is_told_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FRESH", 0.01)

    async def what(_: Jobs, feed: Feed, job: Job) -> None:
        assert await first(feed.listen(job.number + 7)) == []

    run(tmp_path, what)


def test_who_does_not_keep_up_is_let_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BACKLOG", 3)

    async def what(jobs: Jobs, feed: Feed, job: Job) -> None:
        slow = feed.listen(job.number)
        hearing = asyncio.create_task(first(slow))
        await asyncio.sleep(0)
        await told(jobs, job, 1)
        await hearing
        await told(jobs, job, *range(10))
        while any(feed._listeners.values()):
            await asyncio.sleep(0.01)
        with pytest.raises(StopAsyncIteration):
            while True:
                await first(slow)

    run(tmp_path, what)


def test_at_the_end_all_are_let_go(tmp_path: Path) -> None:
    async def what(_: Jobs, feed: Feed, job: Job) -> None:
        hearing = asyncio.create_task(anext(feed.listen(job.number), None))
        await asyncio.sleep(0)
        feed.close()
        assert await hearing is None

    run(tmp_path, what)
