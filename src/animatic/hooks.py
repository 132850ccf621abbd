"""Tells the hosts that an operator lists when a video is done: durably, signed, and never where a redirect leads.

The body and the signature are those of OpenAI's webhooks, which follow the Standard Webhooks specification.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import logging
import time

import httpx2

from animatic.jobs import Job, Jobs

LOOK = 1.0
TIMEOUT = 10.0
TRIES = 8
FIRST = 5.0
"""Seconds until a second try; each further one waits twice as long."""

AT_ONCE = 16
"""Hosts that are told at a time: one that does not answer keeps few others waiting."""

# What an address may fail with, however it is written: one host's failure keeps no other from being told.
_FAILURES = (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError, OverflowError, ExceptionGroup)

log = logging.getLogger("animatic.serve")


class Hooks:
    """Keeps telling. `key`: what the signature is made with; None: it is not signed."""

    def __init__(self, jobs: Jobs, key: bytes | None) -> None:
        self._jobs = jobs
        self._key = key
        self._at_once = asyncio.Semaphore(AT_ONCE)

    async def run(self) -> None:
        async with httpx2.AsyncClient(timeout=TIMEOUT, follow_redirects=False, trust_env=False) as client:
            while True:
                await asyncio.gather(*(self._try(client, job, tries) for job, tries in self._jobs.untold(time.time())))
                await asyncio.sleep(LOOK)

    async def _try(self, client: httpx2.AsyncClient, job: Job, tries: int) -> None:
        async with self._at_once:
            done = await self._tell(client, job) or tries + 1 >= TRIES
        again = None if done else time.time() + FIRST * 2**tries
        await asyncio.to_thread(self._jobs.told, job, again)

    async def _tell(self, client: httpx2.AsyncClient, job: Job) -> bool:
        """Whether the host took it."""
        event = {
            "id": f"evt_{job.id}",
            "object": "event",
            "type": f"{job.kind}.{job.status}",
            "created_at": int(job.finished or 0),
            "data": {"id": job.id},
        }
        body = json.dumps(event).encode()
        try:
            answer = await client.post(
                str(job.commission.webhook), content=body, headers=self._headers(event["id"], body)
            )
        except _FAILURES as error:
            log.warning("a webhook failed", extra={"fields": {"job": job.id, "error": type(error).__name__}})
            return False
        return answer.is_success

    def _headers(self, name: object, body: bytes) -> dict[str, str]:
        now = str(int(time.time()))
        headers = {"content-type": "application/json", "webhook-id": str(name), "webhook-timestamp": now}
        if self._key is not None:
            signed = hmac.digest(self._key, f"{name}.{now}.".encode() + body, hashlib.sha256)
            headers["webhook-signature"] = f"v1,{base64.b64encode(signed).decode()}"
        return headers
