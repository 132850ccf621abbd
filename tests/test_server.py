"""The HTTP side by itself: shapes, refusals, doors. Nobody works on the jobs here; test_service.py has workers."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from animatic.jobs import Job
from animatic.keys import Keys
from animatic.options import NAMES
from animatic.service import Service
from animatic.storage import KEPT
from tests.services import desk_alone

Both = tuple[TestClient, Service]


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    folder = tmp_path_factory.mktemp("service")
    with desk_alone(folder, upload_pixels=100_000, body_bytes=1_000_000, webhooks=("hooks.example:8443",)) as both:
        yield both


@pytest.fixture
def client(both: Both) -> TestClient:
    return both[0]


@pytest.fixture
def service(both: Both) -> Service:
    return both[1]


def create(client: TestClient, **fields: Any) -> dict[str, Any]:
    answer = client.post("/v1/videos", json={"prompt": "a red boat", **fields})
    assert answer.status_code == 200, answer.text
    video: dict[str, Any] = answer.json()
    return video


def refused(answer: Any, status: int, code: str, param: str | None = None) -> None:
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert (error["code"], error["param"]) == (code, param)
    assert error["message"] and error["type"] and answer.headers["x-request-id"]


def picture(width: int = 144, height: int = 96, kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.full((height, width, 3), 90, np.uint8)).save(file, kind)
    return file.getvalue()


def finished(service: Service, video: dict[str, Any]) -> Job:
    """As a worker would leave it."""
    taken = service.jobs.claim("test", {"pocket/file": 64, "pocket/image": 64})
    for job in taken:
        service.jobs.settle("test", job.number, "completed", {**job.state, "progress": 100})
    folder = service.settings.data / "videos" / video["id"]
    folder.mkdir(parents=True)
    for name, _ in KEPT.values():
        (folder / name).write_bytes(b"0123456789")
    (folder / "record.json").write_text("{}")
    job = service.jobs.get(video["id"])
    assert job is not None
    return job


# ------------------------------------------------------------------------------------------------------------- making


def test_a_video_is_queued_with_all_that_is_known(client: TestClient) -> None:
    video = create(client, seed=4, **{"video.num_inference_steps": 3})
    assert video["status"] == "queued" and video["object"] == "video" and video["model"] == "pocket"
    assert (video["size"], video["seconds"], video["seed"]) == ("144x96", "2.125", 4)
    assert video["options"]["video.num_inference_steps"] == 3
    again = client.get(f"/v1/videos/{video['id']}")
    assert again.json()["id"] == video["id"] and int(again.headers["openai-poll-after-ms"]) >= 300


def test_forms_are_as_good_as_json(client: TestClient) -> None:
    answer = client.post("/v1/videos", data={"prompt": "a red boat", "seed": "7", "image.num_inference_steps": "2"},
                         files={"input_reference": ("../../x.png", picture(), "image/png")})  # fmt: skip
    assert answer.status_code == 200 and answer.json()["seed"] == 7
    assert client.post("/v1/videos", data={"prompt": "x"}).status_code == 200


def test_an_upload_is_encoded_anew_and_kept_under_our_name(client: TestClient, service: Service) -> None:
    sent = picture(160, 96, "JPEG")
    answer = client.post(
        "/v1/videos", data={"prompt": "a red boat"}, files={"input_reference": ("../../evil.sh", sent)}
    )
    job = service.jobs.get(answer.json()["id"])
    assert job is not None and job.commission.image is not None
    kept = service.settings.data / "uploads" / job.commission.image
    assert kept.suffix == ".png" and len(kept.stem) == 64
    with Image.open(kept) as image:
        assert (image.format, image.size) == ("PNG", (160, 96))


@pytest.mark.parametrize(
    ("fields", "status", "code", "param"),
    [
        ({"prompt": " "}, 400, "invalid_prompt", "prompt"),
        ({"prompt": "a\x00b"}, 400, "invalid_prompt", "prompt"),
        ({"size": "1280x720"}, 400, "invalid_size", "size"),
        ({"size": "big"}, 400, "invalid_size", "size"),
        ({"num_frames": 18}, 400, "invalid_size", "size"),
        ({"video.num_inference_steps": 0}, 400, "invalid_option", "video.num_inference_steps"),
        ({"video.num_inference_steps": 500}, 400, "over_limit", "video.num_inference_steps"),
        ({"stills": 17}, 400, "over_limit", "stills"),
        ({"model": "sora-2"}, 404, "model_not_found", "model"),
        ({"model": "flux-cogvideox"}, 404, "model_not_found", "model"),
        ({"webhook_url": "https://169.254.169.254/x"}, 400, "url_not_allowed", "webhook_url"),
        ({"webhook_url": "https://hooks.example:8443@evil.example/x"}, 400, "url_not_allowed", "webhook_url"),
        ({"webhook_url": "file:///hooks.example:8443"}, 400, "url_not_allowed", "webhook_url"),
        ({"input_reference": {"image_url": "https://example.org/a.png"}}, 400, "url_not_allowed", "input_reference"),
        ({"input_reference": {"file_id": "file_1"}}, 400, "invalid_field", "input_reference"),
        ({"input_reference": "data:image/png;base64,AAAA"}, 400, "invalid_image", "input_reference"),
    ],
)
def test_what_cannot_be_made_is_refused_before_it_is_queued(
    client: TestClient, service: Service, fields: dict[str, Any], status: int, code: str, param: str
) -> None:
    before = sum(service.jobs.counts().values())
    refused(client.post("/v1/videos", json={"prompt": "a red boat", **fields}), status, code, param)
    assert sum(service.jobs.counts().values()) == before


def test_a_picture_of_too_many_pixels_is_refused_by_its_header(client: TestClient) -> None:
    file = {"input_reference": ("x.png", picture(1000, 1000), "image/png")}
    refused(client.post("/v1/videos", data={"prompt": "x"}, files=file), 400, "invalid_image", "input_reference")


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{", b'{"prompt": "\\ud800"}', b"[" * 100_000, b'{"seed": NaN}', b"\xff"]
)
def test_what_is_no_body_is_told_so(client: TestClient, body: bytes) -> None:
    answer = client.post("/v1/videos", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 400, answer.text


def test_a_body_of_another_kind_and_one_too_large_are_refused(client: TestClient) -> None:
    refused(
        client.post("/v1/videos", content=b"x", headers={"content-type": "text/plain"}), 415, "unsupported_media_type"
    )
    refused(client.post("/v1/videos", json={"prompt": "x" * 1_100_000}), 413, "body_too_large")


def test_an_idempotency_key_makes_one_job(client: TestClient) -> None:
    headers = {"idempotency-key": "once"}
    first = client.post("/v1/videos", json={"prompt": "once"}, headers=headers).json()
    assert client.post("/v1/videos", json={"prompt": "once"}, headers=headers).json()["id"] == first["id"]
    remixes = [client.post(f"/v1/videos/{first['id']}/remix", json={"seed": 2}, headers={"idempotency-key": "again"})
               for _ in range(2)]  # fmt: skip
    assert remixes[0].json()["id"] == remixes[1].json()["id"] != first["id"]
    answer = client.post("/v1/videos", json={"prompt": "other"}, headers=headers)
    refused(answer, 409, "idempotency_mismatch")
    assert answer.headers["x-should-retry"] == "false"


def test_a_plan_is_told_and_nothing_queued(client: TestClient, service: Service) -> None:
    before = sum(service.jobs.counts().values())
    plan = client.post("/v1/videos/plan", json={"prompt": "a red boat"}).json()
    assert plan["preset"] == "pocket" and plan["seconds"] > 0 and plan["phases"]
    assert sum(service.jobs.counts().values()) == before


def test_a_full_queue_says_when_to_come_again(tmp_path: Path) -> None:
    with desk_alone(tmp_path, queue=1) as (client, _):
        create(client)
        answer = client.post("/v1/videos", json={"prompt": "another"})
        refused(answer, 429, "queue_full")
        assert int(answer.headers["retry-after"]) > 0


def test_a_server_about_to_end_takes_nothing_new_and_still_tells(tmp_path: Path) -> None:
    with desk_alone(tmp_path) as (client, service):
        video = create(client)
        service.draining = True
        refused(client.post("/v1/videos", json={"prompt": "another"}), 503, "draining")
        assert client.get(f"/v1/videos/{video['id']}").status_code == 200
        assert client.get("/readyz").status_code == 503


def test_presets_that_the_operator_does_not_list_are_not_used(tmp_path: Path) -> None:
    with desk_alone(tmp_path, presets=("open",)) as (client, _):
        assert client.get("/v1/models").json()["data"] == []
        refused(client.post("/v1/videos", json={"prompt": "x", "model": "pocket"}), 400, "model_not_allowed", "model")


# ------------------------------------------------------------------------------------------------------------ looking


def test_pages_go_through_all_videos_both_ways(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with desk_alone(tmp_path) as (client, _):
        ids = [create(client, seed=n)["id"] for n in range(5)]
        for order, expected in (("asc", ids), ("desc", ids[::-1])):
            seen: list[str] = []
            while True:
                asked = {"limit": "2", "order": order} | ({"after": seen[-1]} if seen else {})
                page = client.get("/v1/videos", params=asked).json()
                seen += [video["id"] for video in page["data"]]
                assert page["last_id"] == seen[-1] and page["first_id"] == page["data"][0]["id"]
                if not page["has_more"]:
                    break
            assert seen == expected
        monkeypatch.setattr("animatic.desk.TURNS", 0.0)
        assert [client.get(f"/v1/videos/{name}").json()["position"] for name in ids] == [1, 2, 3, 4, 5]


def test_files_are_there_when_the_video_is(client: TestClient, service: Service) -> None:
    video = create(client)
    refused(client.get(f"/v1/videos/{video['id']}/content"), 400, "not_ready")
    finished(service, video)
    for variant, (_, kind) in KEPT.items():
        if variant in ("caption", "record"):
            continue
        answer = client.get(f"/v1/videos/{video['id']}/content", params={"variant": variant})
        assert (answer.content, answer.headers["content-type"]) == (b"0123456789", kind)
    part = client.get(f"/v1/videos/{video['id']}/content", headers={"range": "bytes=2-4"})
    assert (part.status_code, part.content, part.headers["content-range"]) == (206, b"234", "bytes 2-4/10")
    assert client.get(f"/v1/videos/{video['id']}/record").json() == {}
    refused(client.get(f"/v1/videos/{video['id']}/content?variant=gif"), 400, "invalid_field", "variant")


@pytest.mark.parametrize(
    ("asked", "got"), [("bytes=2-4", b"234"), ("bytes=7-", b"789"), ("bytes=-2", b"89"), ("x", None)]
)
def test_files_elsewhere_have_ranges_too(tmp_path: Path, asked: str, got: bytes | None) -> None:
    with desk_alone(tmp_path, storage=f"file://{tmp_path}/data/videos") as (client, service):
        video = create(client)
        finished(service, video)
        answer = client.get(f"/v1/videos/{video['id']}/content", headers={"range": asked})
        assert answer.content == (got or b"0123456789") and answer.status_code == (206 if got else 200)


def test_a_deleted_video_is_gone_with_its_files(client: TestClient, service: Service) -> None:
    video = create(client)
    finished(service, video)
    answer = client.delete(f"/v1/videos/{video['id']}")
    assert answer.json() == {"id": video["id"], "object": "video.deleted", "deleted": True}
    refused(client.get(f"/v1/videos/{video['id']}"), 404, "video_not_found")
    assert not (service.settings.data / "videos" / video["id"]).exists()


def test_unknown_names_and_paths_have_the_same_shape(client: TestClient) -> None:
    refused(client.get("/v1/videos/video_none"), 404, "video_not_found")
    refused(client.get("/v1/nothing"), 404, "not_found")
    refused(client.put("/v1/videos"), 405, "method_not_allowed")
    refused(client.get("/v1/videos?limit=0"), 400, "invalid_field", "limit")
    refused(client.get("/v1/models/none"), 404, "model_not_found", "model")


def test_what_is_watched_is_told(client: TestClient, service: Service) -> None:
    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.get("/readyz").status_code == 503, "nobody works here"
    facts = {"state": "idle", "device_bytes": 5, "host_bytes": 3, "loaded_bytes": 7, "hits": 1, "clips": 2,
             "seconds": {"video.denoise": 1.5}, "phases": {"video.denoise": 3}}  # fmt: skip
    service.jobs.beat("cpu", 1, facts)
    assert client.get("/readyz").json()["status"] == "ready"
    text = client.get("/metrics").text
    assert 'animatic_phase_seconds_total{device="cpu",phase="video.denoise"} 1.5' in text
    assert 'animatic_jobs{status="queued"}' in text


def test_the_document_names_every_path_and_no_page_of_others(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    assert {"/v1/videos", "/v1/videos/{name}/remix", "/v1/videos/{name}/events"} <= set(document["paths"])
    body = document["paths"]["/v1/videos"]["post"]["requestBody"]["content"]
    assert set(body) == {"application/json", "multipart/form-data"}
    assert client.get("/docs").status_code == 404
    schema = body["application/json"]["schema"]
    assert {"prompt", "seed", "input_reference", *NAMES} <= set(schema["properties"])
    assert not schema["additionalProperties"] and "#/$defs" not in json.dumps(document)


# ----------------------------------------------------------------------------------------------------------- steering


def test_a_remix_is_the_same_shot_but_for_what_is_said(client: TestClient) -> None:
    first = create(client, seed=9, **{"video.guidance_scale": 4})
    second = client.post(f"/v1/videos/{first['id']}/remix", json={"prompt": "a blue boat"}).json()
    assert second["remixed_from_video_id"] == first["id"] and second["prompt"] == "a blue boat"
    assert second["seed"] == 9 and second["options"] == first["options"]
    third = client.post(f"/v1/videos/{first['id']}/remix", json={"prompt": "x", "seed": 1, "guidance_scale": 2}).json()
    assert third["seed"] == 1 and third["options"]["video.guidance_scale"] == 2


def test_a_waiting_video_is_cancelled(client: TestClient) -> None:
    video = create(client)
    answer = client.post(f"/v1/videos/{video['id']}/cancel").json()
    assert answer["status"] == "failed" and answer["error"]["code"] == "cancelled"
    refused(client.post(f"/v1/videos/{video['id']}/caption", json={"caption": "A boat."}), 400, "already_finished")


def test_a_still_is_chosen_only_when_one_is_asked_for(client: TestClient) -> None:
    video = create(client, stills=2)
    refused(client.post(f"/v1/videos/{video['id']}/still", json={"still": 1}), 400, "not_waiting", "still")
    refused(client.post(f"/v1/videos/{video['id']}/still", json={"still": "1"}), 400, "invalid_field", "still")


def test_a_paragraph_may_be_given_at_any_time(client: TestClient) -> None:
    video = create(client, stills=2)
    answer = client.post(f"/v1/videos/{video['id']}/caption", json={"caption": "A blue boat sails."}).json()
    assert answer["caption"] == "A blue boat sails." and answer["status"] == "queued"
    refused(client.post(f"/v1/videos/{video['id']}/caption", json={"caption": " "}), 400, "invalid_prompt", "prompt")


def test_the_paragraph_that_was_given_last_holds_whoever_has_read_it(tmp_path: Path) -> None:
    with desk_alone(tmp_path) as (client, service):
        address = f"/v1/videos/{create(client, stills=2)['id']}"

        def reach(caption: str) -> dict[str, Any]:
            """As a worker leaves it that has drawn the stills of a paragraph."""
            (job,) = service.jobs.claim("test", {})
            state = {**job.state, "caption": caption, "stills": 2, "preview": "image.denoise-7"}
            service.jobs.settle("test", job.number, "in_progress", state, waiting="still")
            found: dict[str, Any] = client.get(address).json()
            return found

        def say(caption: str) -> dict[str, Any]:
            found: dict[str, Any] = client.post(f"{address}/caption", json={"caption": caption}).json()
            return found

        before = reach("The model's own.")
        assert say("Mine.")["caption"] == "Mine." and client.get(address).json()["stills"] == []
        (job,) = service.jobs.claim("test", {})
        assert say("Another.")["caption"] == "Another." and say("Mine.")["caption"] == "Mine."
        assert service.jobs.settle("test", job.number, "queued", {**job.state, "caption": "Another."}) == "restart"
        assert client.get(address).json()["caption"] == "Mine."
        after = reach("Mine.")
        assert after["caption"] == "Mine." and len(after["stills"]) == len(before["stills"]) == 2
        old, new = ({*seen["stills"], seen["preview"]} for seen in (before, after))
        assert not old & new, "viewers keep what they saw at an address"


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example:8443:1/x",
        "http://hooks.example:https/x",
        "http://hooks.example:99999/x",
        "http://hooks.example:8443/a\nb",
        "http://hooks.example:8443/a b",
        "http://hooks.example:8443@elsewhere/",
        "ftp://hooks.example:8443/x",
        "http://elsewhere/x",
    ],
)
def test_a_webhook_that_could_not_be_told_is_refused(client: TestClient, url: str) -> None:
    answer = client.post("/v1/videos", json={"prompt": "a red boat", "webhook_url": url})
    refused(answer, 400, "url_not_allowed", "webhook_url")


def test_a_webhook_may_be_written_in_capitals(client: TestClient) -> None:
    create(client, webhook_url="https://Hooks.Example:8443/done")


def test_who_deletes_what_is_listed_goes_on_after_it(tmp_path: Path) -> None:
    with desk_alone(tmp_path) as (client, _):
        made = [create(client)["id"] for _ in range(5)]
        seen: list[str] = []
        page = {"has_more": True, "data": []}
        while page["has_more"]:
            after = {"after": seen[-1]} if seen else {}
            page = client.get("/v1/videos", params={"limit": 2, **after}).json()
            seen += [video["id"] for video in page["data"]]
            for video in page["data"]:
                client.delete(f"/v1/videos/{video['id']}")
        assert seen == made[::-1]
        refused(client.get("/v1/videos", params={"after": "video_never"}), 404, "video_not_found", "after")


def test_a_data_folder_is_its_owners_alone(tmp_path: Path) -> None:
    Keys(tmp_path / "data").add("ann")
    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700


# -------------------------------------------------------------------------------------------------------------- doors


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "", "[::1", "127.0.0.1.evil.example"])
def test_a_name_that_is_not_ours_gets_nothing(client: TestClient, host: str) -> None:
    refused(client.get("/v1/videos", headers={"host": host}), 403, "host_not_allowed")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:99", "[::1]:8420", "192.168.3.4"])
def test_addresses_and_our_own_names_are_let_in(client: TestClient, host: str) -> None:
    assert client.get("/v1/videos", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://localhost:1"},
        {"sec-fetch-site": "cross-site"},
    ],
)
def test_another_sites_page_cannot_ask_for_anything(client: TestClient, headers: dict[str, str]) -> None:
    refused(client.post("/v1/videos", json={"prompt": "x"}, headers=headers), 403, "origin_not_allowed")


def test_our_own_page_can(client: TestClient) -> None:
    headers = {"origin": "http://localhost", "sec-fetch-site": "same-origin"}
    assert client.post("/v1/videos", json={"prompt": "x"}, headers=headers).status_code == 200


def test_every_answer_forbids_what_a_page_need_not_do(client: TestClient) -> None:
    for path in ("/healthz", "/v1/videos", "/nothing"):
        headers = client.get(path).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"


def test_keys_open_what_is_their_own(tmp_path: Path) -> None:
    with desk_alone(tmp_path) as (client, service):
        (_, ann), (_, bob) = service.keys.add("Ann"), service.keys.add("Bob")
        refused(client.get("/v1/videos"), 401, "invalid_api_key")
        refused(client.get("/v1/videos", headers={"authorization": "Bearer animatic_x_y"}), 401, "invalid_api_key")
        mine = {"authorization": f"Bearer {ann}"}
        video = client.post("/v1/videos", json={"prompt": "x"}, headers=mine).json()
        assert client.get(f"/v1/videos/{video['id']}", headers=mine).status_code == 200
        theirs = {"authorization": f"Bearer {bob}"}
        refused(client.get(f"/v1/videos/{video['id']}", headers=theirs), 404, "video_not_found")
        assert client.get("/v1/videos", headers=theirs).json()["data"] == []
        refused(client.get("/metrics"), 401, "invalid_api_key")
        assert client.get("/healthz").status_code == client.get("/session").status_code == 200


def test_the_pages_cookie_stands_for_a_key(tmp_path: Path) -> None:
    with desk_alone(tmp_path) as (client, service):
        assert client.get("/session").json() == {"keys": False, "signed_in": True}
        _, ann = service.keys.add("Ann")
        assert client.get("/session").json() == {"keys": True, "signed_in": False}
        refused(client.post("/session", json={"key": "wrong"}), 401, "invalid_api_key")
        answer = client.post("/session", json={"key": ann})
        cookie = answer.headers["set-cookie"].lower()
        assert "httponly" in cookie and "samesite=strict" in cookie and ann.lower() not in cookie
        assert client.get("/v1/videos").status_code == 200
        client.delete("/session")
        assert client.get("/v1/videos").status_code == 401


def test_behind_a_proxy_without_keys_nobody_is_let_in(client: TestClient) -> None:
    refused(client.get("/v1/videos", headers={"x-forwarded-for": "203.0.113.9"}), 401, "invalid_api_key")


# --------------------------------------------------------------------------------------------------------------- page


@pytest.mark.parametrize("prefix", ["", "/studio"])
def test_the_page_finds_its_files_wherever_it_is(tmp_path: Path, prefix: str) -> None:
    with desk_alone(tmp_path, root_path=prefix) as (client, _):
        for path in ("/", "/videos/video_x"):
            text = client.get(prefix + path).text
            assert f'src="{prefix}/page/app.js"' in text and "../page" not in text
        script = client.get(prefix + "/page/app.js")
        assert "javascript" in script.headers["content-type"] and script.headers["cache-control"] == "no-cache"
        refused(client.get(prefix + "/page/../server.py"), 404, "not_found")
        refused(client.get(prefix + "/page/%2e%2e/server.py"), 404, "not_found")


def test_a_remix_of_the_same_sentence_keeps_ones_own_paragraph(client: TestClient) -> None:
    first = create(client, caption="My own paragraph.")
    for given, caption in (({"seed": 5}, "My own paragraph."), ({"prompt": "a cat"}, None)):
        second = client.post(f"/v1/videos/{first['id']}/remix", json=given).json()
        assert second["caption"] == caption


# --------------------------------------------------------------------------------------------- what nobody should meet


def test_no_prompt_is_read_from_where_the_server_runs(
    client: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "secret").write_text("what nobody should read")
    answer = client.post("/v1/videos", json={"prompt": "x", "refine.system_prompt": "secret"})
    refused(answer, 400, "invalid_option", "refine.system_prompt")
    assert client.post("/v1/videos", json={"prompt": "x", "refine.system_prompt": "cinematic"}).status_code == 200


def test_a_fault_of_ours_has_the_same_shape_and_is_logged(
    client: TestClient, service: Service, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> None:
        raise RuntimeError("something that nobody foresaw")

    monkeypatch.setattr(service.desk, "presets", broken)
    answer = client.get("/v1/models")
    refused(answer, 500, "internal_error")
    assert "nobody foresaw" not in answer.text and "nobody foresaw" in caplog.text


@pytest.mark.parametrize("wanted", [True, False])
def test_prompts_are_logged_only_where_the_operator_wants_that(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, wanted: bool
) -> None:
    caplog.set_level("INFO", "animatic.serve")
    with desk_alone(tmp_path, log_prompts=wanted) as (client, _):
        name = create(client)["id"]
    (line,) = [record.fields for record in caplog.records if getattr(record, "fields", {}).get("job") == name]
    assert ("prompt" in line) is wanted
