"""A service at work: the queue, the desk, the workers and all that runs beside the paths. Knows no path."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable

from fastapi.concurrency import run_in_threadpool

from animatic import removal, wire
from animatic.commission import Commission
from animatic.desk import Caller, Desk
from animatic.errors import OutputError
from animatic.feed import Feed
from animatic.gauges import Gauges
from animatic.hooks import Hooks
from animatic.jobs import Job, Jobs
from animatic.keys import Keys
from animatic.settings import Settings
from animatic.storage import Storage, storage
from animatic.supervisor import Supervisor
from animatic.wire import Video

log = logging.getLogger("animatic.serve")

HOUSE = 60.0
"""Seconds between two rounds of keeping house."""
EVENTS_KEPT = 600.0
"""Seconds for which the events of a job are kept once it is over."""
IMAGES_KEPT = 3600.0
"""Seconds for which stills are kept that nobody waited for to the end; else they go with the answer."""
UPLOADS_KEPT = 3600.0
"""Seconds for which an upload is kept that no job refers to."""


class Service:
    """What the paths need, and what runs beside them."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.jobs = Jobs(settings.data)
        self.keys = Keys(settings.data)
        self.storage: Storage = storage(settings.storage, settings.data)
        self.supervisor = Supervisor(settings)
        self.desk = Desk(settings, self.jobs, self.supervisor.count)
        self.feed = Feed(self.jobs)
        self.gauges = Gauges(self.jobs)
        self.hooks = Hooks(self.jobs, settings.webhook_key)
        self.draining = False

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(_for_ever(one)) for one in (self.feed.run, self.hooks.run, self._keep_house)]
        self.supervisor.start()
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()

    def place(self, asked: Commission, caller: Caller, token: str | None = None) -> Job:
        """Queue a commission, and log that; its prompt only where the operator wants that. Raises AnimaticError."""
        job = self.desk.place(asked, caller, token)
        prompt = {"prompt": asked.prompt} if self.settings.log_prompts else {}
        log.info("queued", extra={"fields": {"job": job.id, "owner": caller.id, **prompt}})
        return job

    async def drain(self) -> None:
        """Take nothing new, let the workers end, and let those who listen go."""
        self.draining = True
        await self.supervisor.stop(self.settings.drain)
        self.feed.close()

    def video(self, job: Job) -> Video:
        kept = self.settings.keep_days * 86400 or None
        return wire.video(job, self.desk.turn(job) if job.status == "queued" else None, kept)

    async def _keep_house(self) -> None:
        while True:
            with contextlib.suppress(OutputError):
                await run_in_threadpool(self._clean)
            await asyncio.sleep(HOUSE)

    def _clean(self) -> None:
        now = time.time()
        for job in self.jobs.old(now - IMAGES_KEPT, "image"):
            self.remove(job)
        self.jobs.prune(now - EVENTS_KEPT)
        self.desk.sweep(now - UPLOADS_KEPT)
        if self.settings.keep_days:
            for job in self.jobs.old(now - self.settings.keep_days * 86400):
                self.remove(job)
        removal.clear(self.jobs, self.storage, *self.jobs.removed())

    def remove(self, job: Job) -> None:
        if self.jobs.remove(job.id):
            removal.clear(self.jobs, self.storage, job.id)


async def _for_ever(what: Callable[[], Awaitable[None]]) -> None:
    """Do something that never ends; when it fails all the same, say so and begin anew."""
    while True:
        try:
            await what()
        except Exception:
            log.exception("%s failed", what.__qualname__)
        await asyncio.sleep(1.0)
