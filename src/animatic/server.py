"""The HTTP API: what docs/service.md says, path by path. Thin: the desk decides, the queue remembers.

Never imports torch. Reads are answered in the loop, for they take microseconds; what writes or decodes, in a thread.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import logging
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from http import HTTPStatus
from importlib.metadata import version
from pathlib import Path
from typing import IO, Annotated, Any, Literal, cast

from fastapi import Depends, FastAPI, Header, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, StreamingResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent
from fastapi.staticfiles import StaticFiles
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException

from animatic import wire
from animatic.commission import Commission
from animatic.desk import Caller, Desk, reference
from animatic.errors import AnimaticError, OutputError
from animatic.feed import Feed
from animatic.gate import Gate
from animatic.gauges import ALIVE, Gauges
from animatic.hooks import Hooks
from animatic.jobs import Job, Jobs
from animatic.keys import SESSION, Keys
from animatic.settings import Settings
from animatic.storage import Storage, storage
from animatic.supervisor import Supervisor
from animatic.wire import Video, VideoFields, VideoList, WireError

log = logging.getLogger("animatic.serve")

PAGE = Path(__file__).parent / "page"
COOKIE = "animatic_session"
FRESH = {"cache-control": "no-cache"}
FIELDS = 200
"""The most fields of a form."""
HOUSE = 60.0
"""Seconds between two rounds of keeping house."""
EVENTS_KEPT = 600.0
"""Seconds for which the events of a job are kept once it is over."""
IMAGES_KEPT = 3600.0
"""Seconds for which stills are kept that nobody waited for to the end; else they go with the answer."""
UPLOADS_KEPT = 3600.0
"""Seconds for which an upload is kept that no job refers to."""
CONTENT = {
    "video": ("video.mp4", "video/mp4"),
    "thumbnail": ("thumbnail.webp", "image/webp"),
    "spritesheet": ("spritesheet.jpg", "image/jpeg"),
    "still": ("still.png", "image/png"),
    "card": ("card.png", "image/png"),
}
Variant = Literal["video", "thumbnail", "spritesheet", "still", "card"]
ERRORS: dict[int | str, dict[str, Any]] = {
    "4XX": {
        "description": "Refused; the codes are listed in docs/service.md.",
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["error"],
                    "properties": {
                        "error": {
                            "type": "object",
                            "required": ["message", "type", "param", "code"],
                            "properties": {
                                "message": {"type": "string"},
                                "type": {"type": "string"},
                                "param": {"type": ["string", "null"]},
                                "code": {"type": "string"},
                            },
                        }
                    },
                }
            }
        },
    }
}


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
        self.draining = False

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        secret = self.settings.webhook_secret
        hooks = Hooks(self.jobs, secret.get_secret_value() if secret else None)
        tasks = [asyncio.create_task(_for_ever(one)) for one in (self.feed.run, hooks.run, self._keep_house)]
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

    def remove(self, job: Job) -> None:
        if self.jobs.remove(job.id):
            self.storage.remove(job.id)


async def _for_ever(what: Callable[[], Awaitable[None]]) -> None:
    """Do something that never ends; when it fails all the same, say so and begin anew."""
    while True:
        try:
            await what()
        except Exception:
            log.exception("%s failed", what.__qualname__)
        await asyncio.sleep(1.0)


def app(settings: Settings) -> FastAPI:
    """The server of some settings. Raises AnimaticError where they cannot be had."""
    service = Service(settings)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with service.running():
            yield

    made = FastAPI(
        title="Animatic",
        version=version("animatic"),
        description="One short sentence becomes a video, with open models only. See docs/service.md.",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    made.state.service = service
    _handle_errors(made)
    _watched(made, service)
    _videos(made, service)
    _images(made, service)
    _sessions(made, service)
    _page(made, settings)
    made.add_middleware(Gate, settings=settings)
    return made


# -------------------------------------------------------------------------------------------------------------- errors


def _handle_errors(made: FastAPI) -> None:
    """Everything that goes wrong has OpenAI's shape, and what is wrong with a request is never a 5xx."""

    @made.exception_handler(AnimaticError)
    async def known(_: Request, error: AnimaticError) -> Response:
        if isinstance(error, OutputError):
            return _refusal(WireError(503, "storage_full", str(error), retry_after="60"))
        return _refusal(wire.translated(error))

    @made.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        name = str(first["loc"][-1])[:100]
        return _refusal(WireError(400, "invalid_field", f"{name}: {first['msg'][:1].lower()}{first['msg'][1:]}", name))

    @made.exception_handler(HTTPException)
    async def http(_: Request, error: HTTPException) -> Response:
        codes = {404: "not_found", 405: "method_not_allowed", 400: "invalid_body", 416: "invalid_range"}
        phrase = HTTPStatus(error.status_code).phrase.lower()
        text = str(error.detail) if error.status_code == 400 else f"{phrase}: see /openapi.json"
        refusal = WireError(error.status_code, codes.get(error.status_code, "invalid_body"), text)
        refusal.headers |= dict(error.headers or {})
        return _refusal(refusal)

    @made.exception_handler(Exception)
    async def unknown(_: Request, __: Exception) -> Response:
        return _refusal(WireError(500, "internal_error", "that is a fault of this server, and its log tells more"))


def _refusal(error: WireError) -> Response:
    return JSONResponse(error.body, error.status, error.headers)


# --------------------------------------------------------------------------------------------------------------- doors


async def _caller(request: Request) -> Caller:
    """Who asks. Raises WireError. In the loop: to change threads would take longer."""
    return _known(request)


def _known(request: Request) -> Caller:
    service: Service = request.app.state.service
    if service.settings.loopback and not service.keys.any():
        if "x-forwarded-for" in request.headers or "forwarded" in request.headers:
            raise _unknown("this server is behind a proxy, and anybody could ask: its operator adds keys with "
                           "animatic serve keys add NAME")  # fmt: skip
        return Caller()
    scheme, _, sent = request.headers.get("authorization", "").partition(" ")
    key = service.keys.holder(sent.strip()) if scheme.lower() == "bearer" else None
    if key is None and not sent and (cookie := request.cookies.get(COOKIE)):
        key = service.keys.in_session(cookie)
    if key is None:
        raise _unknown("a key is needed here: Authorization: Bearer KEY")
    return Caller(key.id, key.priority)


def _unknown(text: str) -> WireError:
    return WireError(401, "invalid_api_key", text, www_authenticate="Bearer")


Asking = Annotated[Caller, Depends(_caller)]


async def _own(request: Request, name: str, caller: Asking) -> Job:
    """A video of the caller's own. Raises WireError."""
    service: Service = request.app.state.service
    job = service.jobs.get(name, caller.id)
    if job is None or job.kind != "video":
        raise WireError(404, "video_not_found", f"there is no video {name[:100]!r}")
    return job


Own = Annotated[Job, Depends(_own)]
Token = Annotated[str | None, Header(alias="idempotency-key", max_length=200)]


async def _taking(request: Request) -> None:
    service: Service = request.app.state.service
    if service.draining:
        raise WireError(503, "draining", "this server is about to end: try again soon", retry_after="30")


Taking = Depends(_taking)


@contextlib.asynccontextmanager
async def _fields(request: Request) -> AsyncIterator[tuple[dict[str, Any], IO[bytes] | None]]:
    """A body's fields, and the picture in it. Raises WireError and starlette's HTTPException."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/json":
        given = _json(await request.body())
        sent = given.pop("input_reference", None)
        with tempfile.TemporaryFile() as picture:
            if sent is not None:
                picture.write(reference(sent))
            yield _sound(given), None if sent is None else picture
    elif kind in ("multipart/form-data", "application/x-www-form-urlencoded"):
        service: Service = request.app.state.service
        async with request.form(max_files=1, max_fields=FIELDS, max_part_size=service.settings.body_bytes) as form:
            yield _of_form(form.multi_items())
    else:
        raise WireError(415, "unsupported_media_type", "send application/json or multipart/form-data")


def _of_form(items: Sequence[tuple[str, UploadFile | str]]) -> tuple[dict[str, Any], IO[bytes] | None]:
    fields: dict[str, Any] = {}
    picture = None
    for name, value in items:
        if name in fields:
            raise WireError(400, "invalid_field", f"{name[:100]!r} is there twice", name[:100])
        if not isinstance(value, UploadFile):
            fields[name] = value
        elif name == "input_reference":
            picture = value.file
        else:
            raise WireError(400, "invalid_field", f"{name[:100]!r} is no file", name[:100])
    return _sound(fields), picture


def _json(body: bytes) -> dict[str, Any]:
    try:
        given = json.loads(body)
    except (ValueError, RecursionError):
        raise WireError(400, "invalid_body", "the body is no JSON") from None
    if not isinstance(given, dict):
        raise WireError(400, "invalid_body", "the body is to be a JSON object")
    return given


def _sound(given: dict[str, Any]) -> dict[str, Any]:
    """Half a surrogate pair can neither be stored nor sent. Raises WireError."""
    try:
        json.dumps(given, ensure_ascii=False, allow_nan=False).encode()
    except (UnicodeEncodeError, ValueError, RecursionError):
        raise WireError(
            400, "invalid_body", "the body holds text that is no Unicode, or numbers that are none"
        ) from None
    return given


def _body(model: type[Any], form: bool = False) -> dict[str, Any]:
    """How a body that `_fields` reads stands in the OpenAPI document: whole, with every option and no others."""
    schema = {**model.model_json_schema(), "additionalProperties": False}
    schema.pop("$defs", None)  # Of the fields besides, which are the options; nobody could find it from here.
    schema = _with(schema, wire.options(model))
    picture = {"image_url": {"type": "string", "description": "A data:image/...;base64, URL."}}
    content: dict[str, Any] = {"application/json": {"schema": schema}}
    if form:
        as_json = {"input_reference": {"type": "object", "properties": picture}}
        as_form = {"input_reference": {"type": "string", "format": "binary"}}
        content = {
            "application/json": {"schema": _with(schema, as_json)},
            "multipart/form-data": {"schema": _with(schema, as_form)},
        }
    return {"requestBody": {"required": True, "content": content}}


def _field(name: str, **kind: Any) -> dict[str, Any]:
    """How a body of one field stands there."""
    schema = {"type": "object", "required": [name], "properties": {name: kind}}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def _with(schema: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    return {**schema, "properties": {**schema["properties"], **more}}


# ------------------------------------------------------------------------------------------------------------- watched


def _watched(made: FastAPI, service: Service) -> None:
    @made.get("/healthz", tags=["watched"], summary="Whether the server is alive.")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @made.get("/readyz", tags=["watched"], summary="Whether jobs are taken and worked on.", response_model=None)
    async def ready() -> Response:
        now = time.time()
        workers = {
            name: facts["state"] for name, facts in service.jobs.workers().items() if now - facts["seen"] < ALIVE
        }
        fine = bool(workers) and not service.draining
        status = "ready" if fine else "draining" if service.draining else "no worker is alive"
        return JSONResponse({"status": status, "workers": workers}, 200 if fine else 503)

    @made.get("/metrics", tags=["watched"], summary="For Prometheus.", response_model=None, responses=ERRORS)
    def metrics(_: Asking) -> Response:
        return Response(service.gauges.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    @made.get("/v1/models", tags=["models"], summary="The presets that may be used here.", responses=ERRORS)
    def models(_: Asking) -> dict[str, Any]:
        return {"object": "list", "data": [wire.model(one, True) for one in service.desk.presets()]}

    @made.get("/v1/models/{name}", tags=["models"], summary="One of them.", responses=ERRORS)
    def model(name: str, _: Asking) -> dict[str, Any]:
        preset = service.desk.preset(name)
        return wire.model(preset, preset.name in {one.name for one in service.desk.presets()})


# -------------------------------------------------------------------------------------------------------------- videos


def _videos(made: FastAPI, service: Service) -> None:
    _making(made, service)
    _steering(made, service)
    _looking(made, service)


def _making(made: FastAPI, service: Service) -> None:
    @made.post("/v1/videos", tags=["videos"], dependencies=[Taking], responses=ERRORS,
               openapi_extra=_body(VideoFields, form=True), summary="Ask for a video.")  # fmt: skip
    async def create(
        request: Request,
        caller: Asking,
        token: Token = None,
    ) -> Video:
        async with _fields(request) as (given, picture):

            def place() -> Job:
                return service.place(service.desk.commission(given, "video", picture), caller, token)

            return service.video(await run_in_threadpool(place))

    @made.post("/v1/videos/plan", tags=["videos"], responses=ERRORS, openapi_extra=_body(VideoFields, form=True),
               summary="What a video would take; queues nothing.")  # fmt: skip
    async def plan(request: Request, _: Asking) -> dict[str, Any]:
        async with _fields(request) as (given, picture):
            look = await run_in_threadpool(lambda: service.desk.plan(service.desk.commission(given, "video", picture)))
            return look.as_dict()

    @made.post("/v1/videos/{name}/remix", tags=["videos"], dependencies=[Taking], responses=ERRORS,
               openapi_extra=_body(VideoFields), summary="The same shot, but for some fields.")  # fmt: skip
    async def remix(request: Request, job: Own, caller: Asking, token: Token = None) -> Video:
        async with _fields(request) as (given, picture):
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
               openapi_extra=_field("caption", type="string", minLength=1),
               summary="Go on with this paragraph, from wherever it stands.")  # fmt: skip
    async def caption(request: Request, job: Own) -> Video:
        given = _sound(_json(await request.body())).get("caption")
        if not isinstance(given, str):
            raise WireError(400, "invalid_field", "caption: give the paragraph", "caption")
        await run_in_threadpool(service.desk.recaption, job, given)
        return now(job)

    @made.post("/v1/videos/{name}/still", tags=["steering"], responses=ERRORS,
               openapi_extra=_field("still", type="integer", minimum=1),
               summary="Choose the still that is filmed.")  # fmt: skip
    async def still(request: Request, job: Own) -> Video:
        given = _sound(_json(await request.body())).get("still")
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
        found, more = service.jobs.page(caller.id, "video", after, limit, order == "desc")
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
        file, kind = CONTENT[variant]
        return _file(service, request, f"{job.id}/{file}", kind)

    @made.get(
        "/v1/videos/{name}/record", tags=["files"], summary="How it was made.", responses=ERRORS, response_model=None
    )
    def record(request: Request, job: Own) -> Response:
        if job.status != "completed":
            raise WireError(400, "not_ready", f"{job.id} is {job.status}: its record is there once it is completed")
        return _file(service, request, f"{job.id}/record.json", "application/json")

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


# -------------------------------------------------------------------------------------------------------------- images


def _images(made: FastAPI, service: Service) -> None:
    @made.post("/v1/images/generations", tags=["images"], dependencies=[Taking], responses=ERRORS,
               openapi_extra=_body(wire.ImageFields), summary="Stills; waits until they are drawn.")  # fmt: skip
    async def generate(request: Request, caller: Asking) -> dict[str, Any]:
        async with _fields(request) as (given, _):
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


# ---------------------------------------------------------------------------------------------------- sessions and page


def _sessions(made: FastAPI, service: Service) -> None:
    def path() -> str:
        return service.settings.root_path.rstrip("/") or "/"

    @made.get("/session", tags=["page"], summary="Whether a key is needed, and was given.")
    def session(request: Request) -> dict[str, bool]:
        needed = not service.settings.loopback or service.keys.any()
        try:
            _known(request)
        except WireError:
            return {"keys": needed, "signed_in": False}
        return {"keys": needed, "signed_in": True}

    @made.post("/session", tags=["page"], responses=ERRORS, openapi_extra=_field("key", type="string"),
               summary="Give a key, and get a cookie.")  # fmt: skip
    async def enter(request: Request, response: Response) -> dict[str, bool]:
        sent = _sound(_json(await request.body())).get("key")
        key = await run_in_threadpool(service.keys.holder, sent) if isinstance(sent, str) else None
        if key is None:
            raise _unknown("nobody has this key")
        token = await run_in_threadpool(service.keys.open_session, key)
        response.set_cookie(COOKIE, token, max_age=int(SESSION), path=path(), httponly=True, samesite="strict",
                            secure=request.url.scheme == "https")  # fmt: skip
        return {"keys": True, "signed_in": True}

    @made.delete("/session", tags=["page"], summary="Leave.")
    def leave(request: Request, response: Response) -> dict[str, bool]:
        if token := request.cookies.get(COOKIE):
            service.keys.close_session(token)
        response.delete_cookie(COOKIE, path=path())
        return {"keys": True, "signed_in": False}


def _page(made: FastAPI, settings: Settings) -> None:
    def index() -> Response:
        prefix = settings.root_path.rstrip("/")
        text = (PAGE / "index.html").read_text("utf-8").replace('"../page/', f'"{prefix}/page/')
        return Response(text, media_type="text/html", headers=FRESH)

    made.add_api_route("/", index, include_in_schema=False)
    made.add_api_route("/videos/{name}", index, include_in_schema=False)
    made.mount("/page", _Page(directory=PAGE))


class _Page(StaticFiles):
    """The page's files, asked about anew at every visit: after an upgrade none of them is an old one."""

    async def get_response(self, path: str, scope: Any) -> Response:
        answer = await super().get_response(path, scope)
        answer.headers.update(FRESH)
        return answer
