"""The front desk: takes commissions, refuses what cannot be made, and puts the rest into the queue.

Checks as the cascade itself would, before anything is queued, without torch. Knows nothing of HTTP but its errors.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import IO, Any
from urllib.parse import urlsplit

from animatic import catalog, intake, prepare, wire
from animatic.commission import Commission, Kind
from animatic.core import Plan
from animatic.errors import PresetError, WeightsError
from animatic.jobs import Job, Jobs, QueueFull, TokenReused
from animatic.outlook import Outlook
from animatic.prepare import Footing, Prepared
from animatic.production import outlook
from animatic.settings import Settings
from animatic.spec import Preset
from animatic.wire import WireError

REMEMBERED = 60.0
"""Seconds for which a plan holds: what was measured meanwhile changes it a little."""
TURNS = 1.0
"""Seconds for which the order of the waiting jobs holds."""
BUSY_RETRY = 10
"""Seconds after which to try again where the queue is full."""


@dataclass(frozen=True)
class Caller:
    """Who asks. `id` owns jobs; `priority`: that of theirs."""

    id: str = "local"
    priority: int = 0


class Desk:
    """Where commissions come in. `devices`: how many work on them."""

    def __init__(self, settings: Settings, jobs: Jobs, devices: int) -> None:
        self._settings = settings
        self._jobs = jobs
        self._devices = devices
        self._uploads = settings.data / "uploads"
        self._uploads.mkdir(parents=True, exist_ok=True)
        self._on: Footing = prepare.footing(settings.memory, settings.host_memory)
        self._plans: dict[str, tuple[float, Plan]] = {}
        self._decoding = threading.Lock()
        self._turns: tuple[float, dict[int, tuple[int, float]]] = (0.0, {})
        self._default = self.presets()[0].name if self.presets() else ""

    # -------------------------------------------------------------------------------------------------- what there is

    def presets(self) -> list[Preset]:
        """The presets that may be used and are here, the best that fits first."""
        here = [one for one in catalog.installed() if not self._settings.presets or one.name in self._settings.presets]
        fits = {one.name: prepare.fits(one, self._on.budget, self._on.history) for one in here}
        return sorted(here, key=lambda one: (fits[one.name], one.rank), reverse=True)

    def preset(self, name: str | None) -> Preset:
        """Raises WireError."""
        try:
            found = catalog.preset(name or self._default)
        except PresetError as error:
            raise WireError(404, "model_not_found", f"{error} (see /v1/models)", "model") from None
        if self._settings.presets and found.name not in self._settings.presets:
            raise WireError(400, "model_not_allowed", f"{found.name} is not for use here (see /v1/models)", "model")
        return found

    # ------------------------------------------------------------------------------------------------------ commissions

    def commission(self, given: Mapping[str, Any], kind: Kind, picture: IO[bytes] | None = None) -> Commission:
        """What is asked for by some fields. Raises AnimaticError."""
        fields = wire.checked(wire.VideoFields if kind == "video" else wire.ImageFields, given)
        preset = self.preset(fields.model)
        asked = wire.commission(fields, preset, self.upload(picture) if picture is not None else None)
        self._check_hook(asked.webhook)
        return asked

    def remixed(self, job: Job, given: Mapping[str, Any]) -> Commission:
        """The same shot as a job's, but for some fields. Raises AnimaticError."""
        before = job.commission
        base = {"prompt": before.prompt, "model": before.preset, "seed": before.seed, "stills": before.stills,
                "pick": before.pick, **before.options}  # fmt: skip
        if given.get("prompt", before.prompt) == before.prompt:
            base["caption"] = before.caption  # Of another sentence, it would be another paragraph.
        asked = self.commission({**base, **given}, "video")
        return replace(asked, image=before.image, remixed=job.id)

    def plan(self, asked: Commission) -> Outlook:
        """Raises AnimaticError."""
        prepared = self._prepared(asked)
        return outlook(prepared, self._planned(prepared))

    def place(self, asked: Commission, caller: Caller, token: str | None = None) -> Job:
        """Put a commission into the queue. Raises AnimaticError."""
        prepared = self._prepared(asked)
        plan = self._planned(prepared)
        shot = prepared.shots[0]
        stage = "image" if asked.kind == "image" else "video"
        state = {
            "size": f"{shot.option(f'{stage}.width')}x{shot.option(f'{stage}.height')}",
            "seconds": f"{shot.option('video.num_frames') / shot.option('file.fps'):g}",
            "options": dict(shot.options),
            "estimate": round(_estimate(plan, asked.kind), 2),
            "notices": [notice.text for notice in prepared.notices],
        }
        body = hashlib.sha256(json.dumps(asdict(asked), sort_keys=True).encode()).hexdigest()
        try:
            return self._jobs.add(caller.id, asked, state, priority=caller.priority, limit=self._settings.queue,
                                  token=token, body=body)  # fmt: skip
        except QueueFull as error:
            raise WireError(429, "queue_full", str(error), retry_after=str(BUSY_RETRY)) from None
        except TokenReused as error:
            raise WireError(409, "idempotency_mismatch", str(error), x_should_retry="false") from None

    def recaption(self, job: Job, caption: str) -> None:
        """Go on with another paragraph, from wherever the job stands. Raises AnimaticError."""
        _check_unfinished(job)
        before = job.commission.caption  # What was given last holds, also before anybody has read it.
        same = caption.strip() == (job.state.get("caption") if before is None else before)
        asked = replace(job.commission, caption=caption.strip(), review=False)
        if not same and isinstance(asked.pick, int) and job.commission.stills > 1:
            asked = replace(asked, pick=None)  # It was one of the stills that are void now.
        self._prepared(asked)
        if not (same and job.status == "in_progress" and not job.waiting):  # Else it goes on as it is.
            self._jobs.change(job.id, asked, anew=not same)

    def pick(self, job: Job, number: int) -> None:
        """Answer which still is filmed. Raises WireError."""
        _check_unfinished(job)
        if job.waiting != "still":
            raise WireError(400, "not_waiting", f"{job.id} does not wait for a still to be chosen", "still")
        if not 1 <= number <= job.state.get("stills", 0):
            raise WireError(404, "still_not_found", f"still {number} of {job.state.get('stills', 0)}: they are counted "
                            "from 1", "still")  # fmt: skip
        self._jobs.change(job.id, replace(job.commission, pick=number), anew=False)

    def turn(self, job: Job) -> tuple[int, float] | None:
        """A waiting job's place, from 1, and the seconds until it is made, as far as can be told; else None."""
        then, turns = self._turns
        if (now := time.monotonic()) - then > TURNS:
            ahead, turns = 0.0, {}
            for place, (number, estimate) in enumerate(self._jobs.order(), 1):
                ahead += estimate
                turns[number] = (place, ahead / max(1, self._devices))
            self._turns = (now, turns)
        if job.number in turns:
            return turns[job.number]
        # It came since: after all others, most likely.
        ahead = max((wait for _, wait in turns.values()), default=0.0)
        turns[job.number] = (len(turns) + 1, ahead + job.state.get("estimate", 0.0) / max(1, self._devices))
        return turns[job.number]

    # ---------------------------------------------------------------------------------------------------------- uploads

    def upload(self, picture: IO[bytes]) -> str:
        """Keep a picture that a client sent; returns its name. Raises ImageError and OutputError."""
        with self._decoding:  # One at a time: it takes all the memory that is set aside for it.
            return intake.take(picture, self._uploads, self._settings.upload_pixels)

    def sweep(self, older: float) -> None:
        """Remove uploads that no job refers to, and that were made before a time."""
        wanted = self._jobs.uploads()
        for path in self._uploads.glob("*.png"):
            if path.name not in wanted and path.stat().st_mtime < older:
                path.unlink(missing_ok=True)

    # ----------------------------------------------------------------------------------------------------------- checks

    def _prepared(self, asked: Commission) -> Prepared:
        """What the worker will have, checked as it will be. Raises AnimaticError."""
        prepared = prepare.prepare([asked.wish("", self._uploads, self._settings.memory)], on=self._on)
        try:
            prepare.check_here(prepared)
        except WeightsError as error:
            raise WireError(404, "model_not_found", str(error), "model") from None
        self._check_limits(prepared, asked)
        return prepared

    def _planned(self, prepared: Prepared) -> Plan:
        """Shots of equal options have equal plans. Raises CapacityError."""
        shot, now = prepared.shots[0], time.monotonic()
        key = json.dumps([shot.preset, dict(shot.options), shot.caption is None, shot.still is None], sort_keys=True)
        if key not in self._plans or now - self._plans[key][0] > REMEMBERED:
            if len(self._plans) > 256:
                self._plans.clear()
            self._plans[key] = now, prepared.plan()
        return self._plans[key][1]

    def _check_limits(self, prepared: Prepared, asked: Commission) -> None:
        option, limits = prepared.shots[0].option, self._settings
        stages = ("image", "video")
        of = {
            "stills": (asked.stills, limits.max_stills),
            "size": (max(option(f"{stage}.width") * option(f"{stage}.height") for stage in stages), limits.max_pixels),
            "video.num_frames": (option("video.num_frames"), limits.max_frames),
            **{f"{stage}.num_inference_steps": (option(f"{stage}.num_inference_steps"), limits.max_steps)
               for stage in stages},
        }  # fmt: skip
        for name, (asked_for, limit) in of.items():
            if asked_for > limit:
                unit = " pixels" if name == "size" else ""
                text = f"{name}: {asked_for:,}{unit} are more than the {limit:,} that this server makes"
                raise WireError(400, "over_limit", text, name)

    def _check_hook(self, url: str | None) -> None:
        if url is None:
            return
        try:
            parts = urlsplit(url)
            called = {parts.netloc.lower(), parts.hostname}  # with its port, and without
            allowed = parts.scheme in ("http", "https") and called & set(self._settings.webhooks)
            sound = url.isascii() and url.isprintable() and " " not in url and "@" not in parts.netloc
            sound = sound and parts.port != 0  # Which raises ValueError for what is no port.
        except ValueError:
            allowed = sound = False
        if not (allowed and sound):
            raise WireError(400, "url_not_allowed", "webhook_url: this server tells only hosts that its operator lists",
                            "webhook_url")  # fmt: skip


def reference(value: Any) -> bytes:
    """The picture in a JSON body's `input_reference`. No URL is fetched, no path read. Raises WireError."""
    url = value.get("image_url") if isinstance(value, dict) else value
    if isinstance(url, dict):  # As chat messages have it.
        url = url.get("url")
    if not isinstance(url, str):
        text = 'input_reference: send the picture as a file, or {"image_url": "data:..."}'
        raise WireError(400, "invalid_field", text, "input_reference")
    head, comma, data = url.partition(",")
    if not (comma and head.startswith("data:image/") and head.endswith(";base64")):
        text = "input_reference: nothing is fetched: send the picture, as a file or a data:image/...;base64, URL"
        raise WireError(400, "url_not_allowed", text, "input_reference")
    try:
        return base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise WireError(400, "invalid_image", "input_reference: that is no base64", "input_reference") from None


def _estimate(plan: Plan, kind: Kind) -> float:
    spans = [span for span in plan.forecast.spans if span.lane == "run"]
    wanted = [span.end for span in spans if kind == "video" or not span.name.startswith("video.")]
    return max(wanted, default=0.0)


def _check_unfinished(job: Job) -> None:
    if job.over:
        raise WireError(400, "already_finished", f"{job.id} is {job.status}: make another with remix")
