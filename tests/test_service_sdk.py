"""The official OpenAI SDK against a real server over a socket: what it sends is understood, what it reads is there.

One server and few clips for all tests here.
"""

from __future__ import annotations

import asyncio
import base64
import io
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from animatic import bitmap, media
from animatic.keys import Keys
from tests import little
from tests.services import FEW, served

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::DeprecationWarning")]

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    openai = pytest.importorskip("openai")
    from openai import AsyncOpenAI, AuthenticationError, BadRequestError, NotFoundError, OpenAI
    from openai.types import Video

PROMPT = "a red boat sails on the sea"
NOW: dict[str, Any] = {"caption": "A red boat sails on the sea.", "num_inference_steps": 2}
"""Fields that make a clip quickly: with a caption of its own no chat model runs, and with a still no image model."""


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """The address of a service, and a key that it wants."""
    folder = tmp_path_factory.mktemp("service")
    _, secret = Keys(folder / "data").add("tests")
    with served(folder) as one:
        yield f"{one.url}/v1", secret


@pytest.fixture(scope="module")
def client(door: tuple[str, str]) -> Iterator[OpenAI]:
    with OpenAI(base_url=door[0], api_key=door[1]) as one:
        yield one


@pytest.fixture(scope="module")
def film(client: OpenAI) -> Video:
    """A clip that is made."""
    return client.videos.create_and_poll(prompt=PROMPT, model="little", extra_body=FEW, poll_interval_ms=200)


@pytest.fixture(scope="module")
def still() -> bytes:
    return bitmap.png_bytes(np.full((little.HEIGHT, little.WIDTH, 3), (40, 90, 160), np.uint8))


def extra(video: Video) -> dict[str, Any]:
    """What the SDK does not know of a video and keeps."""
    return video.model_extra or {}


# ------------------------------------------------------------------------------------------------------------- create


def test_a_film_is_made_and_told(film: Video) -> None:
    assert (film.status, film.progress, film.error) == ("completed", 100, None)
    assert (film.model, film.size, film.seconds, film.prompt) == ("little", "80x48", "0.625", PROMPT)
    assert film.completed_at is not None and film.completed_at >= film.created_at
    assert film.id.startswith("video_") and film.object == "video"
    assert extra(film)["caption"] and extra(film)["seed"] == 0
    assert extra(film)["options"]["video.num_inference_steps"] == 2


def test_the_server_says_when_to_poll(client: OpenAI) -> None:
    raw = client.videos.with_raw_response.create(prompt=PROMPT, model="little", extra_body={**NOW, **FEW, "seed": 1})
    assert raw.headers["x-request-id"] and raw.status_code == 200
    video = raw.parse()
    assert video.status == "queued" and video.progress == 0
    polled = client.videos.with_raw_response.retrieve(video.id)
    assert 0 < int(polled.headers["openai-poll-after-ms"]) <= 10_000
    begun = time.monotonic()
    assert client.videos.poll(video.id).status == "completed"
    assert time.monotonic() - begun < 30


@pytest.mark.parametrize("kind", ["tuple", "bytes", "file", "path"])
def test_a_picture_becomes_the_still(kind: str, client: OpenAI, still: bytes, tmp_path: Path) -> None:
    path = tmp_path / "ein Boot.png"
    path.write_bytes(still)
    with path.open("rb") as file:
        given: Any = {"tuple": ("boat.png", still, "image/png"), "bytes": still, "file": file, "path": path}[kind]
        video = client.videos.create(prompt=PROMPT, input_reference=given, model="little", extra_body={**NOW, **FEW})
    assert video.status == "queued"
    if kind != "path":
        client.videos.delete(video.id)
        return
    done = client.videos.poll(video.id, poll_interval_ms=200)
    assert done.status == "completed", done.error
    drawn = client.get(f"/videos/{done.id}/content", cast_to=openai._legacy_response.HttpxBinaryResponseContent,
                       options={"params": {"variant": "still"}})  # fmt: skip
    assert (bitmap.read_png(drawn.read()) == bitmap.read_png(still)).all()


def test_json_is_taken_too(client: OpenAI, still: bytes) -> None:
    url = "data:image/png;base64," + base64.b64encode(still).decode()
    body = {"prompt": PROMPT, "input_reference": {"image_url": url}, "video.num_inference_steps": 2, "seed": 7}
    video = client.post("/videos", body=body, cast_to=Video)
    assert video.status == "queued" and extra(video)["seed"] == 7
    client.videos.delete(video.id)


def test_the_async_client_is_the_same(door: tuple[str, str]) -> None:
    async def make() -> Video:
        async with AsyncOpenAI(base_url=door[0], api_key=door[1]) as one:
            return await one.videos.create_and_poll(
                prompt=PROMPT,
                model="little",
                seconds="0.6",
                size="80x48",
                extra_body={**NOW, **FEW, "seed": "2"},  # type: ignore[arg-type]
            )

    video = asyncio.run(make())
    assert video.status == "completed" and extra(video)["seed"] == 2


def test_a_failed_job_says_why(client: OpenAI) -> None:
    video = client.videos.create(prompt=PROMPT, extra_body={"seed": 3})
    client.post(f"/videos/{video.id}/cancel", cast_to=Video)
    failed = client.videos.poll(video.id, poll_interval_ms=100)
    assert failed.status == "failed" and failed.error is not None
    assert failed.error.code == "cancelled" and failed.error.message


def test_a_remix_is_the_same_shot_with_another_prompt(client: OpenAI, film: Video) -> None:
    video = client.videos.remix(film.id, prompt="a blue boat sails on the sea")
    assert video.remixed_from_video_id == film.id and video.prompt == "a blue boat sails on the sea"
    assert extra(video)["options"] == extra(film)["options"] and extra(video)["seed"] == extra(film)["seed"]
    client.videos.delete(video.id)


# ------------------------------------------------------------------------------------------------- what there is of it


def test_every_variant_is_there(client: OpenAI, film: Video, tmp_path: Path) -> None:
    first = {"video": b"ftyp", "thumbnail": b"WEBP", "spritesheet": b"\xff\xd8\xff"}
    for variant, mark in first.items():
        content = client.videos.download_content(film.id, variant=variant)  # type: ignore[arg-type]
        assert mark in content.read()[:16], variant
    default = client.videos.download_content(film.id)
    default.write_to_file(tmp_path / "film.mp4")
    assert media.is_mp4(tmp_path / "film.mp4") and default.response.headers["content-type"] == "video/mp4"
    frames = media.frames_of(tmp_path / "film.mp4")
    assert frames.shape == (little.FRAMES, little.HEIGHT, little.WIDTH, 3)


def test_a_part_of_a_film_can_be_asked_for(client: OpenAI, film: Video) -> None:
    whole = client.videos.download_content(film.id).read()
    part = client.videos.with_raw_response.download_content(film.id, extra_headers={"range": "bytes=4-11"})
    assert part.status_code == 206 and part.content == whole[4:12]
    assert part.headers["content-range"] == f"bytes 4-11/{len(whole)}"
    tail = client.videos.with_raw_response.download_content(film.id, extra_headers={"range": "bytes=-5"})
    assert tail.content == whole[-5:]


def test_what_is_not_ready_or_not_known_is_refused(client: OpenAI, film: Video) -> None:
    with pytest.raises(BadRequestError) as refused:
        client.videos.download_content(film.id, variant="hologram")  # type: ignore[arg-type]
    assert refused.value.param == "variant"
    video = client.videos.create(prompt=PROMPT, extra_body={"seed": 4, "stills": 2})
    with pytest.raises(BadRequestError) as early:
        client.videos.download_content(video.id)
    assert early.value.code == "not_ready"
    client.videos.delete(video.id)


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_a_list_goes_over_its_pages(order: Any, client: OpenAI, film: Video) -> None:
    more = [client.videos.create(prompt=PROMPT, extra_body={"seed": 10 + number}) for number in range(3)]
    ids = [video.id for video in client.videos.list(limit=2, order=order)]
    assert len(ids) == len(set(ids)) and {film.id, *(one.id for one in more)} <= set(ids)
    times = [video.created_at for video in client.videos.list(limit=2, order=order)]
    assert times == sorted(times, reverse=order == "desc")
    page = client.videos.list(limit=2, order=order)
    assert len(page.data) == 2 and page.has_more
    for one in more:
        client.videos.delete(one.id)


def test_what_is_deleted_is_gone(client: OpenAI) -> None:
    video = client.videos.create(prompt=PROMPT, extra_body={"seed": 5})
    assert client.videos.retrieve(video.id).id == video.id
    gone = client.videos.delete(video.id)
    assert (gone.id, gone.deleted, gone.object) == (video.id, True, "video.deleted")
    with pytest.raises(NotFoundError) as caught:
        client.videos.retrieve(video.id)
    assert caught.value.code == "video_not_found" and caught.value.request_id


# ------------------------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("fields", "code", "param"),
    [
        ({"prompt": ""}, "invalid_prompt", "prompt"),
        ({"size": "720x480"}, "invalid_size", "size"),
        ({"size": "large"}, None, "size"),
        ({"seconds": "12"}, "invalid_field", "seconds"),
        ({"extra_body": {"vidoe.num_frames": 3}}, "invalid_field", "vidoe.num_frames"),
        ({"extra_body": {"video.num_frames": "many"}}, "invalid_option", "video.num_frames"),
        ({"input_reference": ("a.png", b"not a picture")}, "invalid_image", "input_reference"),
    ],
)
def test_mistakes_are_told_by_field(fields: dict[str, Any], code: str | None, param: str, client: OpenAI) -> None:
    with pytest.raises(BadRequestError) as caught:
        client.videos.create(**{"prompt": PROMPT, **fields})
    error = caught.value
    assert error.status_code == 400 and error.type == "invalid_request_error" and error.param == param
    assert code is None or error.code == code
    assert str(error.body["message"]) and error.request_id  # type: ignore[index]


def test_an_unknown_model_is_not_found(client: OpenAI) -> None:
    with pytest.raises(NotFoundError) as caught:
        client.videos.create(prompt=PROMPT, model="sora-2")
    assert caught.value.code == "model_not_found" and caught.value.param == "model"


def test_a_wrong_key_opens_nothing(door: tuple[str, str]) -> None:
    with OpenAI(base_url=door[0], api_key="animatic_0_0") as stranger:
        for ask in (stranger.videos.list, stranger.models.list, lambda: stranger.videos.create(prompt=PROMPT)):
            with pytest.raises(AuthenticationError) as caught:
                ask()
            assert caught.value.code == "invalid_api_key"


def test_the_same_idempotency_key_gives_the_same_job(client: OpenAI) -> None:
    headers = {"Idempotency-Key": "once"}
    first = client.videos.create(prompt=PROMPT, extra_headers=headers, extra_body={"seed": 6})
    assert client.videos.create(prompt=PROMPT, extra_headers=headers, extra_body={"seed": 6}).id == first.id
    with pytest.raises(openai.ConflictError) as caught:
        client.videos.create(prompt=PROMPT, extra_headers=headers, extra_body={"seed": 7})
    assert caught.value.code == "idempotency_mismatch"
    client.videos.delete(first.id)


# ------------------------------------------------------------------------------------------------- models and pictures


def test_the_presets_are_models(client: OpenAI) -> None:
    assert "pocket" in [model.id for model in client.models.list()]
    assert client.models.retrieve("pocket").id == "pocket"
    with pytest.raises(NotFoundError):
        client.models.retrieve("none")


def test_a_picture_is_drawn_from_a_caption(client: OpenAI) -> None:
    drawn = client.images.generate(prompt=PROMPT, model="pocket", n=2, extra_body={"image.num_inference_steps": 2})
    assert drawn.data is not None and len(drawn.data) == 2
    pixels = [bitmap.read_png(io.BytesIO(base64.b64decode(one.b64_json or "")).read()) for one in drawn.data]
    assert all(one.ndim == 3 and one.shape[2] == 3 for one in pixels) and not (pixels[0] == pixels[1]).all()
    assert drawn.data[0].revised_prompt and drawn.data[0].revised_prompt != PROMPT
