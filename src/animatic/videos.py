"""The paths of videos: to ask for one, to steer it, to look at it."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any, Literal, cast

from fastapi import FastAPI, Header, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse, StreamingResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent

from animatic.doors import ERRORS, Asking, Own, Taking, Token, body, field, fields, object_of, sound
from animatic.jobs import Job
from animatic.service import Service
from animatic.storage import KEPT
from animatic.wire import Video, VideoFields, VideoList, WireError

Variant = Literal["video", "thumbnail", "spritesheet", "still", "card"]


def videos(made: FastAPI, service: Service) -> None:
    _making(made, service)
    _steering(made, service)
    _looking(made, service)


def _making(made: FastAPI, service: Service) -> None:
    @made.post("/v1/videos", tags=["videos"], dependencies=[Taking], responses=ERRORS,
               openapi_extra=body(VideoFields, form=True), summary="Ask for a video.")  # fmt: skip
    async def create(request: Request, caller: Asking, token: Token = None) -> Video:
        async with fields(request) as (given, picture):

            def place() -> Job:
                return service.place(service.desk.commission(given, "video", picture), caller, token)

            return service.video(await run_in_threadpool(place))

    @made.post("/v1/videos/plan", tags=["videos"], responses=ERRORS, openapi_extra=body(VideoFields, form=True),
               summary="What a video would take; queues nothing.")  # fmt: skip
    async def plan(request: Request, _: Asking) -> dict[str, Any]:
        async with fields(request) as (given, picture):
            look = await run_in_threadpool(lambda: service.desk.plan(service.desk.commission(given, "video", picture)))
            return look.as_dict()

    @made.post("/v1/videos/{name}/remix", tags=["videos"], dependencies=[Taking], responses=ERRORS,
               openapi_extra=body(VideoFields), summary="The same shot, but for some fields.")  # fmt: skip
    async def remix(request: Request, job: Own, caller: Asking, token: Token = None) -> Video:
        async with fields(request) as (given, picture):
            if picture is not None:
                raise WireError(
                    400, "invalid_field", "a remix keeps its still: create another video", "input_reference"
                )
        return service.video(
            await run_in_threadpool(lambda: service.place(service.desk.remixed(job, given), caller, token))
        )


def _steering(made: FastAPI, service: Service) -> None:
    def now(job: Job) -> Video:
        return service.video(service.jobs.get(job.id) or job)

    @made.post("/v1/videos/{name}/caption", tags=["steering"], responses=ERRORS,
               openapi_extra=field("caption", type="string", minLength=1),
               summary="Go on with this paragraph, from wherever it stands.")  # fmt: skip
    async def caption(request: Request, job: Own) -> Video:
        given = sound(object_of(await request.body())).get("caption")
        if not isinstance(given, str):
            raise WireError(400, "invalid_field", "caption: give the paragraph", "caption")
        await run_in_threadpool(service.desk.recaption, job, given)
        return now(job)

    @made.post("/v1/videos/{name}/still", tags=["steering"], responses=ERRORS,
               openapi_extra=field("still", type="integer", minimum=1),
               summary="Choose the still that is filmed.")  # fmt: skip
    async def still(request: Request, job: Own) -> Video:
        given = sound(object_of(await request.body())).get("still")
        if not isinstance(given, int) or isinstance(given, bool):
            raise WireError(400, "invalid_field", "still: give its number", "still")
        await run_in_threadpool(service.desk.pick, job, given)
        return now(job)

    @made.post("/v1/videos/{name}/cancel", tags=["steering"], responses=ERRORS, summary="Stop it, within a step.")
    def cancel(job: Own) -> Video:
        service.jobs.cancel(job.id)
        return now(job)

    @made.delete("/v1/videos/{name}", tags=["steering"], responses=ERRORS, summary="Cancel it, and remove it.")
    def delete(job: Own) -> dict[str, Any]:
        service.remove(job)
        return {"id": job.id, "object": "video.deleted", "deleted": True}


def _looking(made: FastAPI, service: Service) -> None:
    @made.get("/v1/videos", tags=["videos"], summary="The videos, page by page.", responses=ERRORS)
    async def pages(
        caller: Asking,
        after: Annotated[str | None, Query(max_length=100)] = None,
        limit: Annotated[int, Query(ge=1, le=100)] = 20,
        order: Literal["asc", "desc"] = "desc",
    ) -> VideoList:
        try:
            found, more = service.jobs.page(caller.id, "video", after, limit, order == "desc")
        except LookupError:
            raise WireError(404, "video_not_found", f"there is no video {after} to go on after", "after") from None
        data = [service.video(job) for job in found]
        return VideoList(data=data, first_id=data[0].id if data else None, last_id=data[-1].id if data else None,
                         has_more=more)  # fmt: skip

    @made.get("/v1/videos/{name}", tags=["videos"], summary="One video.", responses=ERRORS, response_model=Video)
    async def retrieve(job: Own) -> Response:
        shown = service.video(job)
        # Validated when it was made: to serialize it twice would be most of this path's time.
        return Response(shown.model_dump_json(), media_type="application/json",
                        headers={"openai-poll-after-ms": str(_poll_after(shown))})  # fmt: skip

    @made.get("/v1/videos/{name}/content", tags=["files"], summary="What was made.", responses=ERRORS,
              response_model=None)  # fmt: skip
    def content(request: Request, job: Own, variant: Variant = "video") -> Response:
        if job.status != "completed":
            raise WireError(400, "not_ready", f"{job.id} is {job.status}: its files are there once it is completed",
                            x_should_retry="false")  # fmt: skip
        file, kind = KEPT[variant]
        return _file(service, request, f"{job.id}/{file}", kind)

    @made.get(
        "/v1/videos/{name}/record", tags=["files"], summary="How it was made.", responses=ERRORS, response_model=None
    )
    def record(request: Request, job: Own) -> Response:
        if job.status != "completed":
            raise WireError(400, "not_ready", f"{job.id} is {job.status}: its record is there once it is completed")
        file, kind = KEPT["record"]
        return _file(service, request, f"{job.id}/{file}", kind)

    @made.get("/v1/videos/{name}/stills/{number}", tags=["files"], summary="A drawn still.", responses=ERRORS,
              response_model=None)  # fmt: skip
    def still(request: Request, job: Own, number: int) -> Response:
        if not 1 <= number <= job.state.get("stills", 0):
            raise WireError(404, "still_not_found", f"{job.id} has no still {number}")
        return _file(service, request, f"{job.id}/still-{number}.png", "image/png")

    @made.get("/v1/videos/{name}/preview", tags=["files"], summary="The last denoising step.", responses=ERRORS,
              response_model=None)  # fmt: skip
    async def preview(job: Own) -> Response:
        png = service.jobs.preview(job)
        if png is None:
            raise WireError(404, "not_found", f"{job.id} has no preview now")
        return Response(png, media_type="image/png", headers={"cache-control": "private, max-age=300"})

    @made.get("/v1/videos/{name}/events", tags=["videos"], summary="What happens, as it happens.", responses=ERRORS,
              response_class=EventSourceResponse)  # fmt: skip
    async def events(
        job: Own, since: Annotated[int | None, Header(alias="last-event-id", ge=0, lt=2**63)] = None
    ) -> AsyncIterator[ServerSentEvent]:
        async for event in _events(service, job, since or 0):
            yield event


async def _events(service: Service, job: Job, since: int) -> AsyncIterator[ServerSentEvent]:
    """What happened since, then what happens; the whole video at the beginning and at each change."""
    last = service.jobs.last_event()
    listening = service.feed.listen(job.number)
    coming = asyncio.ensure_future(anext(listening, None))
    await asyncio.sleep(0)  # From here on the feed remembers what comes.
    try:
        for one in service.jobs.happened(since, job.number):
            last = max(last, one.seq)
            if one.data is not None:
                yield _told(one.data, one.seq)
        now: Job | None = service.jobs.get(job.id)
        while now is not None:
            yield ServerSentEvent(raw_data=service.video(now).model_dump_json(), event="video", id=str(last))
            if now.over or (batch := await coming) is None:
                return
            coming = asyncio.ensure_future(anext(listening, None))
            for one in batch:
                if one.seq > last:
                    last = one.seq
                    if one.data is not None:
                        yield _told(one.data, one.seq)
            now = service.jobs.get(job.id)
    finally:
        coming.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await coming
        await cast(Any, listening).aclose()


def _told(data: str, seq: int) -> ServerSentEvent:
    return ServerSentEvent(raw_data=data, event=json.loads(data)["event"], id=str(seq))


def _poll_after(shown: Video) -> int:
    """Milliseconds until it is worth asking again: a part of the time it still takes."""
    if shown.status in ("completed", "failed"):
        return 0
    if shown.waiting_for or shown.remaining_seconds is None:
        return 1000
    return int(1000 * min(max(shown.remaining_seconds / 4, 0.3), 15.0))


def _file(service: Service, request: Request, name: str, kind: str) -> Response:
    """A kept file; a part of it, where that is asked for. Raises WireError."""
    headers = {"cache-control": "private, max-age=300"}
    path = service.storage.local(name)
    if path is not None:
        return FileResponse(path, media_type=kind, headers=headers)
    there = service.storage.open(name)
    if there is None:
        raise WireError(404, "not_found", f"{name} is not there any more")
    file, size = there
    begin, end = _range(request.headers.get("range"), size)
    partial = (begin, end) != (0, size)
    headers |= {"accept-ranges": "bytes", "content-length": str(end - begin)}
    headers |= {"content-range": f"bytes {begin}-{end - 1}/{size}"} if partial else {}

    def parts() -> Iterator[bytes]:
        with file:
            file.seek(begin)
            left = end - begin
            while left and (part := file.read(min(left, 1 << 20))):
                left -= len(part)
                yield part

    return StreamingResponse(parts(), 206 if partial else 200, headers, kind)


def _range(asked: str | None, size: int) -> tuple[int, int]:
    """The bytes that are asked for; all, where that cannot be understood (RFC 9110, section 14.2)."""
    unit, _, wanted = (asked or "").partition("=")
    first, dash, last = wanted.strip().partition("-")
    if unit != "bytes" or not dash or not (first or last) or not (first + last).isdecimal():
        return 0, size
    begin = int(first) if first else max(0, size - int(last))
    end = min(size, int(last) + 1) if first and last else size
    return (begin, end) if begin < end else (0, size)
