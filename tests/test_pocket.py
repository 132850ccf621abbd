"""Pocket, as it ships: a new user's first command, from a cold start, through the whole cascade."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

import animatic
from animatic import bitmap, media
from animatic.events import Captioned, Clip, Loaded, Notice
from training.pocket.oracle import judge, judge_still
from training.pocket.text import told

POCKET = Path(animatic.__file__).parent / "pocket"
SENTENCE = "an orange rocket takes off into the night sky"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("outputs")


@pytest.fixture(scope="module")
def record(folder: Path) -> dict[str, object]:
    """What the README's first command does."""
    done = subprocess.run(
        [sys.executable, "-m", "animatic", "make", SENTENCE, "--out", str(folder)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "toy" in done.stdout, "it says that it is a toy model"
    (sidecar,) = folder.glob("*.json")
    return json.loads(sidecar.read_text())  # type: ignore[no-any-return]


@pytest.mark.usefixtures("record")
def test_the_first_clip_shows_what_was_asked(folder: Path) -> None:
    stem = "an-orange-rocket-takes-off-into-the-night-sky-s0"
    assert {path.name for path in folder.iterdir()} == {
        f"{stem}.mp4", f"{stem}.png", f"{stem}.txt", f"{stem}.json", f"{stem}-card.png",
    }  # fmt: skip
    caption = (folder / f"{stem}.txt").read_text()
    wanted = {"subject": "rocket", "colour": "orange", "movement": "up", "time": "night"}
    assert told(caption).items() >= wanted.items()
    still = judge_still(bitmap.read_image(folder / f"{stem}.png"))
    assert (still.time, still.colour, still.subject) == ("night", "orange", "rocket")
    clip = judge(media.frames_of(folder / f"{stem}.mp4"))
    assert (clip.time, clip.subject, clip.movement) == ("night", "rocket", "up") and all(clip.present)


def test_the_record_tells_models_seeds_versions_times_and_peaks(record: dict[str, object]) -> None:
    models: dict[str, dict[str, object]] = record["models"]  # type: ignore[assignment]
    assert set(models) == {"refine", "image", "video"}
    assert all(len(digest) == 64 for model in models.values() for digest in model["sha256"].values())  # type: ignore[attr-defined]
    phases: dict[str, dict[str, float]] = record["phases"]  # type: ignore[assignment]
    assert {"refine.generate", "image.denoise", "video.denoise", "video.decode"} <= set(phases)
    assert all(phase["seconds"] > 0 and phase["peak_bytes"] > 10**8 for phase in phases.values())
    assert record["seed"] == 0 and record["preset"] == "pocket" and record["environment"]["torch"]  # type: ignore[index]


@pytest.mark.usefixtures("record")
def test_the_same_seed_is_the_same_film_in_another_company(folder: Path, tmp_path: Path) -> None:
    first = next(folder.glob("*.mp4"))
    clips = animatic.make(SENTENCE, preset="pocket", seed=0, takes=2, out=tmp_path)
    assert clips[0].path.read_bytes() == first.read_bytes()
    assert clips[1].path.read_bytes() != first.read_bytes()


@pytest.mark.usefixtures("record")
def test_own_words_and_own_still_load_neither_chat_nor_image_model(folder: Path, tmp_path: Path) -> None:
    still = next(path for path in folder.glob("*.png") if not path.stem.endswith("-card"))
    caption = "A red boat moves to the left over the sea at night."
    events = list(animatic.stream(SENTENCE, preset="pocket", caption=caption, image=still, out=tmp_path))
    loaded = {event.component for event in events if isinstance(event, Loaded)}
    assert loaded and all(name.startswith("video.") for name in loaded)
    (clip,) = [event for event in events if isinstance(event, Clip)]
    assert clip.caption == caption and clip.record["caption_source"] == "user"
    assert (bitmap.read_image(clip.still) == bitmap.read_image(still)).all()


def test_a_caption_too_long_for_the_text_encoder_is_cut_aloud(tmp_path: Path) -> None:
    caption = "A red boat moves to the right over the sea. " * 12
    for event in animatic.stream(SENTENCE, preset="pocket", caption=caption, out=tmp_path):
        if isinstance(event, Notice) and "your caption was cut" in event.text:
            break
        assert not isinstance(event, Clip), "the cut was not said"
    else:
        pytest.fail("the cut was not said")


def test_a_sentence_of_no_toy_world_still_makes_a_clip_and_says_so(tmp_path: Path) -> None:
    events = list(animatic.stream("two dragons play chess", preset="pocket", out=tmp_path))
    assert isinstance(events[0], Notice) and "knows" in events[0].text and "rocket" in events[0].text
    assert any(isinstance(event, Clip) for event in events)
    assert any(isinstance(event, Captioned) for event in events)


def test_pocket_is_small_and_shares_one_text_encoder() -> None:
    weights = list(POCKET.rglob("*.safetensors"))
    assert sum(file.stat().st_size for file in POCKET.rglob("*") if file.is_file()) <= 40_000_000
    assert not [file for file in POCKET.rglob("*") if file.suffix in {".bin", ".pt", ".ckpt"}]
    digests = {hashlib.sha256((POCKET / p).read_bytes()).hexdigest()
               for p in ("image/text_encoder_2/model.safetensors", "video/text_encoder/model.safetensors")}  # fmt: skip
    assert len(weights) == 8 and len(digests) == 1
    for model in ("chat", "image", "video"):
        card = (POCKET / model / "README.md").read_text()
        assert all(word in card for word in ("Data", "Recipe", "Time", "Scores", "Limits"))
