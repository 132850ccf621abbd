"""What goes over the wire: the fields that clients send, and what they get back. OpenAI's shapes, and ours beside them.

Turns fields into commissions and jobs into answers; knows nothing of sockets, and of the queue only what a job is.
"""

from __future__ import annotations

import difflib
import re
import zlib
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, ValidationError

from animatic import prompts
from animatic.commission import Commission
from animatic.core import STAGES
from animatic.errors import AnimaticError, CapacityError, GeometryError, ImageError, PromptError
from animatic.geometry import parse_size
from animatic.jobs import Job
from animatic.options import NAMES, OPTIONS, resolve
from animatic.spec import Preset

FLAT = {
    "fps": "file.fps",
    "num_frames": "video.num_frames",
    "num_inference_steps": "video.num_inference_steps",
    "guidance_scale": "video.guidance_scale",
    "negative_prompt": "video.negative_prompt",
    "words": "refine.words",
}
"""Options by the flat names that other servers use, and our one flag of the same kind."""

OFF = 1.0
"""Seconds that a clip may be longer or shorter than was asked for: what a model can make lies on a grid."""


class WireError(AnimaticError):
    """What a client gets instead. `status` of HTTP; `code`, which is stable; `param`, the field that was wrong."""

    def __init__(self, status: int, code: str, message: str, param: str | None = None, **headers: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.param = param
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}

    @property
    def body(self) -> dict[str, Any]:
        kind = "invalid_request_error" if self.status < 500 else "server_error"
        return {"error": {"message": str(self), "type": kind, "param": self.param, "code": self.code}}


def translated(error: AnimaticError) -> WireError:
    """What our own errors are to a client: the same words, but for the command line's."""
    if isinstance(error, WireError):
        return error
    codes = ((PromptError, "invalid_prompt"), (GeometryError, "invalid_size"), (ImageError, "invalid_image"),
             (CapacityError, "over_capacity"))  # fmt: skip
    code = next((code for kind, code in codes if isinstance(error, kind)), "invalid_option")
    params = {"invalid_prompt": "prompt", "invalid_size": "size", "invalid_image": "input_reference"}
    text = re.sub(r"--set |--(?=\w)", "", re.sub(r"--frames\b", "num_frames", str(error)))
    found = re.match(r"(?:unknown option ')?([a-z]+\.[a-z_]+)", text)
    return WireError(400, code, text, found[1] if found else params.get(code))


# ------------------------------------------------------------------------------------------------------- what comes in


def _listed(value: Any) -> Any:
    """`caption` or `["caption"]`: forms have no lists."""
    return [one for one in value.split(",") if one] if isinstance(value, str) else value


def _number_or_text(value: Any) -> Any:
    return int(value) if isinstance(value, str) and value.isdecimal() else value


class _Fields(BaseModel):
    model_config = ConfigDict(extra="allow", title="Create")
    __pydantic_extra__: dict[str, JsonValue] = Field(init=False)

    prompt: str = Field(
        min_length=1, max_length=10_000, description="What the clip should show, in one short sentence."
    )
    model: str | None = Field(None, max_length=200, description="A preset's name; see /v1/models.")
    seed: int = Field(0, ge=0, lt=2**63)
    caption: str | None = Field(None, max_length=20_000, description="Your own paragraph; no chat model.")
    words: int | None = Field(None, description="The most words of the paragraph.")


class VideoFields(_Fields):
    """What creating a video takes; besides, any option by its dotted name, such as `video.guidance_scale`."""

    size: str | None = Field(None, max_length=20, examples=["720x480"], description="WIDTHxHEIGHT of the clip.")
    seconds: Annotated[str | float, Field(union_mode="left_to_right")] | None = Field(
        None, description="The clip's length, as near as the model can make it."
    )
    stills: int = Field(1, ge=1, description="How many stills are drawn, of which one is chosen.")
    pick: Annotated[int | Literal["best"] | None, BeforeValidator(_number_or_text)] = Field(
        None, description="Which still is taken; without it, somebody is asked."
    )
    review: Annotated[list[Literal["caption"]], BeforeValidator(_listed)] = Field(
        [], description="`caption`: stop for the paragraph to be read."
    )
    fps: int | None = None
    num_frames: int | None = None
    num_inference_steps: int | None = None
    guidance_scale: float | None = None
    negative_prompt: str | None = None
    webhook_url: str | None = Field(None, max_length=2000, description="Told when the video is done.")


class ImageFields(_Fields):
    """What generating images takes; besides, options of the image stage by their dotted names."""

    n: int = Field(1, ge=1, le=10)
    size: str | None = Field(None, max_length=20)
    response_format: Literal["b64_json"] = "b64_json"
    output_format: Literal["png"] = "png"
    quality: str | None = Field(None, max_length=20, description="Taken and without effect.")
    user: str | None = Field(None, max_length=200, description="Taken and without effect.")


def options(kind: type[_Fields]) -> dict[str, Any]:
    """The JSON schema of each option by its dotted name. What it is if it is not given, the preset says."""
    stages = STAGES if kind is VideoFields else ("refine", "image")
    schemas = {f"{stage}.{name}": schema for stage in stages
               for name, schema in OPTIONS[stage].model_json_schema()["properties"].items()}  # fmt: skip
    return {name: {key: one for key, one in schema.items() if key not in ("default", "title")}
            for name, schema in schemas.items()}  # fmt: skip


def checked(kind: type[_Fields], given: Mapping[str, Any]) -> Any:
    """The fields, checked one by one. Raises WireError."""
    try:
        fields = kind(**given)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = str(first["loc"][0]) if first["loc"] else None
        code = "invalid_prompt" if name == "prompt" else "invalid_field"
        raise WireError(400, code, f"{name}: {first['msg'][:1].lower()}{first['msg'][1:]}", name) from None
    known = (*kind.model_fields, *NAMES)
    for name in fields.__pydantic_extra__:
        if name not in NAMES:
            near = difflib.get_close_matches(name, known, n=1)
            advice = f"did you mean {near[0]!r}?" if near else "what there is stands in /openapi.json"
            raise WireError(400, "invalid_field", f"unknown field {name[:100]!r}: {advice}", name[:100])
    return fields


def commission(fields: VideoFields | ImageFields, preset: Preset, image: str | None = None) -> Commission:
    """What a client asks for. `image`: the name of the uploaded still. Raises WireError and OptionError."""
    options = dict(fields.__pydantic_extra__)
    options |= {FLAT[name]: one for name, one in fields.model_dump(include=set(FLAT)).items() if one is not None}
    # No path: what a client says never makes the server read one of its files.
    if (prompt := options.get("refine.system_prompt")) is not None and str(prompt) not in prompts.packaged():
        text = f"refine.system_prompt is one of this server's: {', '.join(sorted(prompts.packaged()))}"
        raise WireError(400, "invalid_option", text, "refine.system_prompt")
    base: dict[str, Any] = {
        "prompt": fields.prompt,
        "preset": preset.name,
        "seed": fields.seed,
        "caption": fields.caption,
    }
    if isinstance(fields, ImageFields):
        size = _size(fields.size, "image")
        return Commission(**base, options={**options, **size}, kind="image", stills=fields.n)
    options |= _size(fields.size, "video")
    if fields.seconds is not None:
        options["video.num_frames"] = _frames(fields.seconds, preset, options)
    return Commission(
        **base,
        options=options,
        image=image,
        stills=fields.stills,
        pick=fields.pick,
        review="caption" in fields.review,
        webhook=fields.webhook_url,
    )


def _size(text: str | None, stage: str) -> dict[str, int]:
    if text in (None, "auto"):
        return {}
    width, height = parse_size(text or "")
    return {f"{stage}.width": width, f"{stage}.height": height}


def _frames(seconds: str | float, preset: Preset, options: Mapping[str, Any]) -> int:
    """The frame count whose length is nearest. Raises WireError where that is another length altogether."""
    try:
        wanted = float(seconds)
        if not 0 < wanted < 3600:
            raise ValueError
    except ValueError:
        raise WireError(
            400, "invalid_field", f"seconds = {str(seconds)[:50]!r}: give a number of seconds", "seconds"
        ) from None
    geometry, fps = preset.models["video"].geometry, int(resolve(preset.options, options)["file.fps"])  # type: ignore[arg-type]
    frames = max(1, round(wanted * fps))
    nearest_count = geometry.nearest_frames(frames) if geometry else frames
    if abs(nearest_count / fps - wanted) > OFF:
        raise WireError(400, "invalid_field", f"{preset.name} cannot make {wanted:g} seconds: the nearest it can is "
                        f"{nearest_count / fps:g} (leave seconds out for its own length)", "seconds")  # fmt: skip
    return nearest_count


# ------------------------------------------------------------------------------------------------------ what goes out


class Error(BaseModel):
    code: str
    message: str


class Video(BaseModel):
    """OpenAI's video object, and ours beside it: see docs/service.md."""

    model_config = ConfigDict(extra="forbid")

    id: str
    object: Literal["video"] = "video"
    model: str
    status: Literal["queued", "in_progress", "completed", "failed"]
    progress: int
    created_at: int
    completed_at: int | None
    expires_at: int | None
    prompt: str
    seconds: str
    size: str
    remixed_from_video_id: str | None
    error: Error | None
    seed: int
    caption: str | None
    stage: str | None
    phase: str | None
    step: int | None
    steps: int | None
    remaining_seconds: float | None
    position: int | None
    waiting_for: Literal["caption", "still"] | None
    stills: list[str]
    scores: list[float]
    picked: int | None
    preview: str | None
    options: dict[str, JsonValue]
    notices: list[str]
    remarks: list[str]


class VideoList(BaseModel):
    object: Literal["list"] = "list"
    data: list[Video]
    first_id: str | None
    last_id: str | None
    has_more: bool


def video(job: Job, turn: tuple[int, float] | None = None, expires: float | None = None) -> Video:
    """A job as its client sees it.

    turn     its place among those that wait, from 1, and the seconds until it is done, where that is known
    expires  seconds that it is kept once it is over; None: for ever
    """
    state, asked = job.state, job.commission
    position, left = turn if turn is not None else (None, state.get("remaining"))
    preview = state.get("preview")
    caption = state.get("caption") or asked.caption
    # From another paragraph come other pictures, under addresses of their own: viewers keep what they saw under one.
    drawing = f"of={zlib.crc32((caption or '').encode('utf-8', 'replace')):08x}"
    return Video(
        id=job.id,
        model=asked.preset,
        status=job.status,
        progress=state.get("progress", 0),
        created_at=int(job.created),
        completed_at=int(job.finished) if job.finished and job.status == "completed" else None,
        expires_at=int(job.finished + expires) if job.finished and expires else None,
        prompt=asked.prompt,
        seconds=state["seconds"],
        size=state["size"],
        remixed_from_video_id=asked.remixed,
        error=Error(**state["error"]) if state.get("error") else None,
        seed=asked.seed,
        caption=caption,
        stage=state.get("stage"),
        phase=state.get("phase"),
        step=state.get("step"),
        steps=state.get("steps"),
        remaining_seconds=None if left is None or job.over else round(left, 1),
        position=position,
        waiting_for=job.waiting or None,  # type: ignore[arg-type]
        stills=[f"/v1/videos/{job.id}/stills/{number}?{drawing}" for number in range(1, state.get("stills", 0) + 1)],
        scores=state.get("scores", []),
        picked=state.get("picked") or (asked.pick if isinstance(asked.pick, int) else None),
        preview=f"/v1/videos/{job.id}/preview?step={preview}&{drawing}" if preview else None,
        options=dict(state.get("options", {})),
        notices=state.get("notices", []),
        remarks=state.get("remarks", []),
    )


def model(preset: Preset, ready: bool) -> dict[str, Any]:
    """A preset as OpenAI lists models, and what a person would like to know of it."""
    options = resolve(preset.options)
    geometry = preset.models["video"].geometry
    frames, fps = options["video.num_frames"], options["file.fps"]
    assert isinstance(frames, int) and isinstance(fps, int)
    return {
        "id": preset.name,
        "object": "model",
        "created": 0,
        "owned_by": "animatic",
        "title": preset.title,
        "summary": preset.summary,
        "ready": ready,
        "size": f"{options['video.width']}x{options['video.height']}",
        "seconds": f"{frames / fps:g}",
        "sizes": [f"{width}x{height}" for width, height in geometry.sizes] if geometry else [],
        "licences": {stage: spec.licence for stage, spec in preset.models.items()},
        "vocabulary": list(preset.vocabulary),
    }
