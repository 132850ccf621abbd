"""The path of images: OpenAI's, which waits until they are drawn."""

from __future__ import annotations

import base64
from typing import Any

from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool

from animatic import wire
from animatic.doors import ERRORS, Asking, Taking, body, fields
from animatic.jobs import Job
from animatic.service import Service
from animatic.wire import WireError


def images(made: FastAPI, service: Service) -> None:
    @made.post("/v1/images/generations", tags=["images"], dependencies=[Taking], responses=ERRORS,
               openapi_extra=body(wire.ImageFields), summary="Stills; waits until they are drawn.")  # fmt: skip
    async def generate(request: Request, caller: Asking) -> dict[str, Any]:
        async with fields(request) as (given, _):
            pass
        job = await run_in_threadpool(lambda: service.place(service.desk.commission(given, "image"), caller))
        done = await _waited(service, request, job)
        images = await run_in_threadpool(_pictures, service, done)
        await run_in_threadpool(service.remove, done)
        if done.status != "completed":
            error = done.state.get("error", {})
            raise WireError(400 if error.get("code") != "internal_error" else 500, error.get("code", "internal_error"),
                            error.get("message", "it failed"), x_should_retry="false")  # fmt: skip
        caption = done.state.get("caption")
        data = [{"b64_json": base64.b64encode(one).decode(), "revised_prompt": caption} for one in images]
        return {"created": int(done.created), "data": data, "size": done.state["size"], "output_format": "png"}


async def _waited(service: Service, request: Request, job: Job) -> Job:
    """The job when it is over; cancelled, if its client leaves. Raises WireError."""
    now: Job | None = job
    async for _ in service.feed.listen(job.number):
        now = service.jobs.get(job.id)
        if now is None or now.over:
            break
        if await request.is_disconnected():
            await run_in_threadpool(service.jobs.cancel, job.id)
    if now is None:
        raise WireError(404, "image_not_found", "it was removed")
    if not now.over:
        raise WireError(503, "draining", "this server is about to end: try again soon", retry_after="30")
    return now


def _pictures(service: Service, job: Job) -> list[bytes]:
    found = []
    for number in range(1, job.state.get("stills", 0) + 1):
        if (there := service.storage.open(f"{job.id}/still-{number}.png")) is not None:
            with there[0] as file:
                found.append(file.read())
    return found
