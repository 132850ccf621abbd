"""What stands before every path: who asks, whose job it is, what came with the request; and how that is documented."""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import IO, Annotated, Any

from fastapi import Depends, Header, Request
from starlette.datastructures import UploadFile

from animatic import wire
from animatic.desk import Caller, reference
from animatic.jobs import Job
from animatic.service import Service
from animatic.wire import WireError

COOKIE = "animatic_session"
FIELDS = 200
"""The most fields of a form."""
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


async def _caller(request: Request) -> Caller:
    """Who asks. Raises WireError. In the loop: to change threads would take longer."""
    return known(request)


def known(request: Request) -> Caller:
    service: Service = request.app.state.service
    if service.settings.loopback and not service.keys.any():
        if "x-forwarded-for" in request.headers or "forwarded" in request.headers:
            raise stranger("this server is behind a proxy, and anybody could ask: its operator adds keys with "
                           "animatic serve keys add NAME")  # fmt: skip
        return Caller()
    scheme, _, sent = request.headers.get("authorization", "").partition(" ")
    key = service.keys.holder(sent.strip()) if scheme.lower() == "bearer" else None
    if key is None and not sent and (cookie := request.cookies.get(COOKIE)):
        key = service.keys.in_session(cookie)
    if key is None:
        raise stranger("a key is needed here: Authorization: Bearer KEY")
    return Caller(key.id, key.priority)


def stranger(text: str) -> WireError:
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
async def fields(request: Request) -> AsyncIterator[tuple[dict[str, Any], IO[bytes] | None]]:
    """A body's fields, and the picture in it. Raises WireError and starlette's HTTPException."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/json":
        given = object_of(await request.body())
        sent = given.pop("input_reference", None)
        with tempfile.TemporaryFile() as picture:
            if sent is not None:
                picture.write(reference(sent))
            yield sound(given), None if sent is None else picture
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
    return sound(fields), picture


def object_of(body: bytes) -> dict[str, Any]:
    try:
        given = json.loads(body)
    except (ValueError, RecursionError):
        raise WireError(400, "invalid_body", "the body is no JSON") from None
    if not isinstance(given, dict):
        raise WireError(400, "invalid_body", "the body is to be a JSON object")
    return given


def sound(given: dict[str, Any]) -> dict[str, Any]:
    """Half a surrogate pair can neither be stored nor sent. Raises WireError."""
    try:
        json.dumps(given, ensure_ascii=False, allow_nan=False).encode()
    except (UnicodeEncodeError, ValueError, RecursionError):
        raise WireError(
            400, "invalid_body", "the body holds text that is no Unicode, or numbers that are none"
        ) from None
    return given


def body(model: type[Any], form: bool = False) -> dict[str, Any]:
    """How a body that `fields` reads stands in the OpenAPI document: whole, with every option and no others."""
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


def field(name: str, **kind: Any) -> dict[str, Any]:
    """How a body of one field stands there."""
    schema = {"type": "object", "required": [name], "properties": {name: kind}}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def _with(schema: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    return {**schema, "properties": {**schema["properties"], **more}}
