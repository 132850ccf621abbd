"""Tells listeners what happens to jobs: one look at the database for all of them.

Lives in the HTTP process's loop. What it tells is in the database: a listener that comes back misses nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator

from animatic.jobs import Happened, Jobs

LOOK = 0.1
"""Seconds between two looks: a look where nothing has happened takes microseconds."""
BACKLOG = 2000
"""Events that a listener may be behind before it is let go, to come back when it can."""
FRESH = 10.0
"""Seconds after which a listener is told how things stand even if nothing has happened."""

Batch = list[Happened]


class Feed:
    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs
        self._listeners: dict[int, set[asyncio.Queue[Happened | None]]] = defaultdict(set)
        self._closing = False

    async def run(self) -> None:
        """Look, for ever."""
        version, last = -1, self._jobs.last_event()
        while True:
            if (now := self._jobs.database.version()) != version:
                version = now
                for one in self._jobs.happened(last):
                    last = one.seq
                    self._tell(one)
            await asyncio.sleep(LOOK)

    def close(self) -> None:
        """Let all listeners go: the server ends."""
        self._closing = True
        for queues in self._listeners.values():
            for queue in queues:
                _let_go(queue)

    async def listen(self, job: int) -> AsyncIterator[Batch]:
        """What happens to a job from now on, as it comes; an empty batch, when nothing has for a while."""
        with self._queue(job) as queue:
            while not self._closing:
                batch: Batch = []
                with contextlib.suppress(TimeoutError):
                    first = await asyncio.wait_for(queue.get(), FRESH * random.uniform(0.8, 1.2))  # Not all at once.
                    if first is None:
                        return
                    batch.append(first)
                while not queue.empty() and (more := queue.get_nowait()) is not None:
                    batch.append(more)
                yield batch

    @contextlib.contextmanager
    def _queue(self, job: int) -> Iterator[asyncio.Queue[Happened | None]]:
        queue: asyncio.Queue[Happened | None] = asyncio.Queue(BACKLOG)
        self._listeners[job].add(queue)
        try:
            yield queue
        finally:
            self._listeners[job].discard(queue)
            if not self._listeners[job]:
                del self._listeners[job]

    def _tell(self, one: Happened) -> None:
        for queue in list(self._listeners.get(one.job, ())):
            try:
                queue.put_nowait(one)
            except asyncio.QueueFull:
                self._listeners[one.job].discard(queue)
                _let_go(queue)


def _let_go(queue: asyncio.Queue[Happened | None]) -> None:
    while not queue.empty():
        queue.get_nowait()
    queue.put_nowait(None)
