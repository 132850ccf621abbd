"""The HTTP API: what docs/service.md says, put together; and its errors, its sessions, its page.

Never imports torch. Thin: the desk decides, the queue remembers. Reads are answered in the loop, for they take
microseconds; what writes or decodes, in a thread.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from http import HTTPStatus
from importlib.metadata import version
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException

from animatic import wire
from animatic.doors import COOKIE, ERRORS, Asking, field, known, object_of, sound, stranger
from animatic.errors import AnimaticError, OutputError
from animatic.gate import Gate
from animatic.images import images
from animatic.keys import SESSION
from animatic.service import Service
from animatic.settings import Settings
from animatic.videos import videos
from animatic.wire import WireError

PAGE = Path(__file__).parent / "page"
FRESH = {"cache-control": "no-cache"}


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
    videos(made, service)
    images(made, service)
    _sessions(made, service)
    _page(made, settings)
    made.add_middleware(Gate, settings=settings)
    return made


# -------------------------------------------------------------------------------------------------------------- errors


def _handle_errors(made: FastAPI) -> None:
    """Everything that goes wrong has OpenAI's shape, and what is wrong with a request is never a 5xx."""

    @made.exception_handler(AnimaticError)
    async def ours(_: Request, error: AnimaticError) -> Response:
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


def _refusal(error: WireError) -> Response:
    return JSONResponse(error.body, error.status, error.headers)


# ------------------------------------------------------------------------------------------------------------- watched


def _watched(made: FastAPI, service: Service) -> None:
    @made.get("/healthz", tags=["watched"], summary="Whether the server is alive.")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @made.get("/readyz", tags=["watched"], summary="Whether jobs are taken and worked on.", response_model=None)
    async def ready() -> Response:
        workers = {name: facts["state"] for name, facts in service.jobs.workers().items() if facts["alive"]}
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


# ---------------------------------------------------------------------------------------------------- sessions and page


def _sessions(made: FastAPI, service: Service) -> None:
    def path() -> str:
        return service.settings.root_path.rstrip("/") or "/"

    @made.get("/session", tags=["page"], summary="Whether a key is needed, and was given.")
    def session(request: Request) -> dict[str, bool]:
        needed = not service.settings.loopback or service.keys.any()
        try:
            known(request)
        except WireError:
            return {"keys": needed, "signed_in": False}
        return {"keys": needed, "signed_in": True}

    @made.post("/session", tags=["page"], responses=ERRORS, openapi_extra=field("key", type="string"),
               summary="Give a key, and get a cookie.")  # fmt: skip
    async def enter(request: Request, response: Response) -> dict[str, bool]:
        sent = sound(object_of(await request.body())).get("key")
        key = await run_in_threadpool(service.keys.holder, sent) if isinstance(sent, str) else None
        if key is None:
            raise stranger("nobody has this key")
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
