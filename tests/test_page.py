"""The page as people meet it: in a browser, on the real server with pocket, from the sentence to the playing film."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from tests.services import FEW, Served, done, until

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

if not os.environ.get("CI"):  # There it is installed, and its lack is a fault.
    for module in ("playwright", "axe_playwright_python"):
        pytest.importorskip(module, reason=f"{module} is not installed: see the extra `test`")
    if CHROMIUM is None:
        pytest.skip("no chromium on the PATH: the page is tried in one", allow_module_level=True)

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page

pytestmark = pytest.mark.slow

SWITCHES = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--no-proxy-server",
]
LONG = {"image.num_inference_steps": 2, "video.num_inference_steps": 60}
"""Enough steps that something can happen in the middle."""
PATIENCE = 40_000
"""Milliseconds: of a step on a busy machine."""
ROCKET = "an orange rocket takes off into the night sky"


class Server(Served):
    """`animatic serve` with pocket, and what a test asks of it beside the page."""

    def key(self, holder: str) -> str:
        """A new key; from now on one is needed."""
        serve = [sys.executable, "-m", "animatic", "serve", "--data", str(self.folder / "data")]
        made = subprocess.run([*serve, "keys", "add", holder], capture_output=True, check=True, timeout=30, text=True)
        return made.stdout.strip()

    def post(self, path: str, fields: dict[str, Any]) -> dict[str, Any]:
        with self.client() as client:
            answer: dict[str, Any] = client.post(path, json=fields).json()
        return answer

    def make(self, prompt: str, **fields: Any) -> str:
        return str(self.post("/v1/videos", {"prompt": prompt, "model": "pocket", **FEW, **fields})["id"])

    def video(self, name: str) -> dict[str, Any]:
        with self.client() as client:
            video: dict[str, Any] = client.get(f"/v1/videos/{name}").json()
        return video


class Witness:
    """Notes what a page must not do: ask others than its server, or say that something is wrong."""

    def __init__(self, page: Page, origin: str) -> None:
        self.faults: list[str] = []
        self._origin = origin
        page.on("request", lambda request: self._request(request.url))
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.faults.append(str(error)))

    def _request(self, url: str) -> None:
        if not url.startswith((self._origin + "/", "data:", "blob:")):
            self.faults.append(f"asked for {url}")

    def _console(self, message: ConsoleMessage) -> None:
        # The preview of a step may be gone when it is asked for: its job is further, or done.
        if message.type in ("error", "warning") and "/preview?" not in message.location["url"]:
            self.faults.append(f"{message.text} {message.location['url']}")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("service"))
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=SWITCHES)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def film(server: Server) -> str:
    """A video that is made already."""
    name = server.make("a red boat sails")
    with server.client() as client:
        until(client, name, done)
    return name


@contextlib.contextmanager
def visit(browser: Browser, server: Server, path: str = "/", forgiven: str = "", **how: Any) -> Iterator[Page]:
    """A page of a new visitor; at the end nothing may have gone wrong, but for `forgiven` (a pattern)."""
    context: BrowserContext = browser.new_context(**how)
    context.set_default_timeout(PATIENCE)
    try:
        page = context.new_page()
        witness = Witness(page, server.url)
        page.goto(server.url + path)
        yield page
        faults = [fault for fault in witness.faults if not (forgiven and re.search(forgiven, fault))]
        assert not faults
    finally:
        context.close()


def here(page: Page) -> str:
    """The id of the video that is shown."""
    page.wait_for_url("**/videos/*")
    return page.url.rpartition("/")[2]


def plays(page: Page) -> None:
    """Wait until the film plays, and has picture."""
    page.wait_for_function(
        "() => { const film = document.querySelector('.box video');"
        " return film && !film.paused && film.currentTime > 0 && film.videoWidth > 0; }"
    )


def option(page: Page, name: str, value: int | str) -> None:
    """Set an option by its name, as a person does."""
    if not page.locator("details.more").evaluate("details => details.open"):
        page.get_by_text("More options").click()
    page.get_by_role("button", name="Add an option").click()
    page.get_by_label("Option", exact=True).last.fill(name)
    page.get_by_label("Value", exact=True).last.fill(str(value))


def quick(page: Page) -> None:
    for name, value in FEW.items():
        option(page, name, value)


def test_a_sentence_becomes_a_film_that_plays(browser: Browser, server: Server) -> None:
    with visit(browser, server) as page:
        page.get_by_label("One short sentence").fill(ROCKET)
        quick(page)
        page.get_by_text(re.compile(r"^about [\d.]+ s$")).wait_for()
        page.get_by_role("button", name="Make the video").click()
        name = here(page)
        page.get_by_role("heading", name=ROCKET).wait_for()
        plays(page)
        video = server.video(name)
        assert page.locator(".caption").text_content() == video["caption"]
        assert "shown" in str(page.locator(".screen-note").text_content())
        box = page.locator(".box video").bounding_box()
        assert box and box["width"] % 144 == 0 and box["height"] % 96 == 0
        answer = page.request.get(str(page.get_by_role("link", name="Download").get_attribute("href")))
        assert answer.headers["content-type"] == "video/mp4"
        page.get_by_text("How it was made").click()
        page.get_by_text("pocket:video").first.wait_for()
        assert video["options"]["video.num_inference_steps"] == 2


def test_who_pauses_between_an_option_and_its_value_is_not_scolded(browser: Browser, server: Server) -> None:
    with visit(browser, server) as page:
        page.get_by_label("One short sentence").fill(ROCKET)
        with page.expect_response("**/v1/videos/plan") as planned:
            option(page, "video.num_inference_steps", "")
        assert planned.value.status == 200
        with page.expect_response("**/v1/videos/plan") as planned:
            page.get_by_label("Value", exact=True).last.fill("2")
        assert planned.value.status == 200


def test_a_reload_in_the_middle_loses_nothing(browser: Browser, server: Server) -> None:
    name = server.make("a blue fish swims left in the sea", **LONG)
    with visit(browser, server, f"/videos/{name}") as page:
        page.get_by_text(re.compile(r"step [1-9]\d* of 60")).wait_for()
        page.reload()
        page.get_by_text(re.compile(r"step [1-9]\d* of 60")).wait_for()
        page.locator(".box img[src]").wait_for(state="attached")  # A preview, as soon as it is there.
        page.goto(server.url)
        page.locator(f".card a[href$='{name}']").click()  # In the gallery it is too.
        plays(page)


def test_a_killed_server_is_waited_for(browser: Browser, server: Server) -> None:
    name = server.make("a green bird flies over the city", **LONG)
    with visit(browser, server, f"/videos/{name}", forgiven="net::ERR_") as page:
        page.get_by_text(re.compile(r"step [1-9]\d* of 60")).wait_for()
        server.stop()
        try:
            page.get_by_text("Connection lost, trying again").wait_for()
        finally:
            server.start()
        page.get_by_text("Connection lost, trying again").wait_for(state="hidden")
        plays(page)
    with visit(browser, server) as page:
        page.locator(f".card a[href$='{name}']").wait_for()


def test_cancelling_and_trying_again(browser: Browser, server: Server) -> None:
    prompt = "a red <img src=x onerror=alert(1)> boat"
    name = server.make(prompt, seed=5, **LONG)
    with visit(browser, server, f"/videos/{name}") as page:
        page.get_by_role("button", name="Cancel").click()
        page.get_by_role("heading", name="Cancelled").wait_for()
        assert page.get_by_role("heading", level=1).text_content() == prompt
        assert server.video(name)["error"]["code"] == "cancelled"
        page.get_by_role("button", name="Try again").click()
        page.wait_for_url(lambda url: not url.endswith(name))
        page.get_by_role("button", name="Cancel").click()
        page.get_by_role("heading", name="Cancelled").wait_for()


def test_a_remix_keeps_all_but_the_sentence(browser: Browser, server: Server, film: str) -> None:
    with visit(browser, server, f"/videos/{film}") as page:
        page.get_by_role("button", name="Remix").click()
        page.get_by_label("Sentence").fill("a yellow boat sails")
        page.get_by_role("button", name="Make the remix").click()
        page.get_by_role("heading", name="a yellow boat sails").wait_for()
        name = here(page)
        plays(page)
        assert page.get_by_role("link", name="an earlier video").get_attribute("href") == f"{server.url}/videos/{film}"
        video = server.video(name)
        assert video["remixed_from_video_id"] == film
        assert video["options"]["video.num_inference_steps"] == 2


def test_one_of_two_stills_is_chosen_by_the_keyboard(browser: Browser, server: Server) -> None:
    with visit(browser, server) as page:
        page.get_by_label("One short sentence").fill("a white cat rests in the snow")
        quick(page)
        page.get_by_role("radio", name="2").check(force=True)
        page.get_by_label("One short sentence").press("Enter")
        name = here(page)
        page.get_by_role("heading", name="Which still shall be filmed?").wait_for()
        assert server.video(name)["waiting_for"] == "still"
        page.keyboard.press("1")
        assert page.get_by_role("radio", name="Still 1").is_checked()
        page.keyboard.press("ArrowRight")
        page.get_by_role("button", name="Film still 2").wait_for()
        page.keyboard.press("Enter")
        plays(page)
        assert server.video(name)["picked"] == 2


def test_the_paragraph_is_read_and_changed(browser: Browser, server: Server) -> None:
    mine = "A red boat sails on a calm sea. It moves slowly to the right. The camera is fixed."
    with visit(browser, server) as page:
        page.get_by_label("One short sentence").fill("a red boat sails")
        quick(page)
        page.get_by_label("Let me read the paragraph first").check()
        page.get_by_role("button", name="Make the video").click()
        name = here(page)
        page.get_by_role("button", name="Go on with this paragraph").wait_for()
        assert page.get_by_label("The paragraph").input_value() == server.video(name)["caption"]
        page.get_by_label("The paragraph").fill(mine)
        page.get_by_role("button", name="Go on with this paragraph").click()
        plays(page)
        assert page.locator(".caption").text_content() == server.video(name)["caption"] == mine


def test_the_paragraph_is_changed_while_the_film_is_made(browser: Browser, server: Server) -> None:
    name = server.make("a blue fish swims left in the sea", seed=2, **LONG)
    mine = "A blue fish swims in the deep sea. It rests in the centre. The camera is fixed."
    with visit(browser, server, f"/videos/{name}") as page:
        page.get_by_text(re.compile(r"step [1-9]\d* of 60")).wait_for()
        page.get_by_role("button", name="Edit").click()
        page.get_by_label("The paragraph").fill(mine)
        page.get_by_role("button", name="Make it from this paragraph").click()
        page.locator(".caption", has_text=mine).wait_for()
        page.get_by_role("button", name="Cancel").click()
        page.get_by_role("heading", name="Cancelled").wait_for()
        assert server.video(name)["caption"] == mine


def test_what_is_wrong_is_said_before_anything_is_queued(browser: Browser, server: Server) -> None:
    with visit(browser, server, forgiven="400") as page:
        page.get_by_label("One short sentence").fill(ROCKET)
        option(page, "video.guidance", 4)
        page.get_by_role("alert").get_by_text("video.guidance").wait_for()
        page.get_by_role("button", name="Make the video").click()
        page.get_by_role("alert").get_by_text("video.guidance").wait_for()
        assert page.url == f"{server.url}/"


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_axe_finds_no_serious_fault(browser: Browser, server: Server, film: str, scheme: str) -> None:
    from axe_playwright_python.sync_playwright import Axe

    with visit(browser, server, color_scheme=scheme, reduced_motion="reduce") as page:
        page.get_by_label("One short sentence").fill("a penguin")
        page.get_by_text("More options").click()
        page.get_by_role("button", name="Add an option").click()
        page.locator(".plan summary").click()
        page.locator(".card.completed img").first.wait_for()
        _flawless(Axe().run(page).response)
        page.goto(f"{server.url}/videos/{film}")
        page.get_by_role("button", name="Remix").click()
        page.get_by_text("How it was made").click()
        page.get_by_text("All of it, as JSON").click()
        _flawless(Axe().run(page).response)


def _flawless(found: dict[str, Any]) -> None:
    serious = [fault for fault in found["violations"] if fault["impact"] in ("serious", "critical")]
    assert not [(fault["id"], [node["target"] for node in fault["nodes"]]) for fault in serious]


def test_a_narrow_phone_and_the_other_colours(browser: Browser, server: Server, film: str) -> None:
    with visit(browser, server, viewport={"width": 360, "height": 740}, color_scheme="dark") as page:
        page.get_by_label("One short sentence").fill(ROCKET)
        page.locator(".card").first.wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        page.get_by_role("button", name="Light colours").click()
        page.goto(f"{server.url}/videos/{film}")
        page.get_by_role("button", name="Dark colours").wait_for()
        plays(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        box = page.locator(".box video").bounding_box()
        assert box and box["width"] == 288


def test_a_key_is_asked_for_where_one_is_needed(browser: Browser, tmp_path: Path) -> None:
    server = Server(tmp_path)
    key = server.key("somebody")
    server.start()
    try:
        with visit(browser, server, forgiven="401") as page:
            page.get_by_label("Key").fill("a guess")
            page.get_by_role("button", name="Sign in").click()
            page.locator("#key-error", has_text="key").wait_for()
            page.get_by_label("Key").fill(key)
            page.get_by_label("Key").press("Enter")
            page.get_by_label("One short sentence").wait_for()
            page.reload()
            page.get_by_role("button", name="Sign out").click()
            page.get_by_label("Key").wait_for()
            page.reload()
            page.get_by_label("Key").wait_for()
    finally:
        server.stop()


def test_a_picture_is_where_it_begins(browser: Browser, server: Server, tmp_path: Path) -> None:
    Image.new("RGB", (144, 96), (40, 90, 160)).save(tmp_path / "mine.png")
    with visit(browser, server) as page:
        page.get_by_label("One short sentence").fill("a blue fish swims left in the sea")
        page.get_by_label("Begin with a picture").set_input_files(tmp_path / "mine.png")
        page.get_by_text("mine.png becomes the still").wait_for()
        quick(page)
        page.get_by_role("button", name="Make the video").click()
        name = here(page)
        plays(page)
        still = page.request.get(f"{server.url}/v1/videos/{name}/content?variant=still").body()
        assert Image.open(io.BytesIO(still)).convert("RGB").getpixel((70, 50)) == (40, 90, 160)


def test_a_deleted_video_is_gone(browser: Browser, server: Server) -> None:
    name = server.make("a red boat sails", seed=9)
    server.post(f"/v1/videos/{name}/cancel", {})
    with visit(browser, server, f"/videos/{name}", forgiven="404") as page:
        page.get_by_role("button", name="Delete").click()
        page.get_by_role("button", name="Delete it").click()
        page.get_by_role("heading", name="One sentence becomes a film").wait_for()
        assert server.video(name)["error"]["code"] == "video_not_found"
        page.goto(f"{server.url}/videos/{name}")
        page.get_by_role("heading", name="There is no such video").wait_for()
