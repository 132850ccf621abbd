"""The front door: bad input is one clear line before anything loads; good input resolves as a user expects."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import animatic
from animatic import api, machine, media
from animatic.errors import (
    AnimaticError,
    CapacityError,
    GeometryError,
    ImageError,
    OptionError,
    OutputError,
    PresetError,
    PromptError,
    WeightsError,
)


@pytest.fixture
def still(tmp_path: Path) -> Path:
    file = tmp_path / "still.png"
    file.write_bytes(media.png_bytes(np.full((96, 144, 3), 90, np.uint8)))
    return file


BAD: list[tuple[dict[str, Any], type[AnimaticError], str]] = [
    ({"prompt": ""}, PromptError, "the prompt is empty"),
    ({"prompt": " \n\t "}, PromptError, "the prompt is empty"),
    ({"prompt": "a boat " * 15_000}, PromptError, "105,000 characters and the limit is 2,000"),
    ({"prompt": "a boat\x1b[31m"}, PromptError, r"control character U\+001B"),
    ({"prompt": "a boat \ud800"}, PromptError, r"U\+D800"),
    ({"caption": "  "}, PromptError, "the caption is empty"),
    ({"preset": "pockett"}, PresetError, "did you mean 'pocket'"),
    ({"options": {"video.num_frame": 17}}, OptionError, "did you mean 'video.num_frames'"),
    ({"options": {"video.guidance_scale": "high"}}, OptionError, "video.guidance_scale = 'high'"),
    ({"options": {"video.guidance_scale": float("nan")}}, OptionError, "video.guidance_scale"),
    ({"options": {"refine.words": 3}}, OptionError, r"refine.words = 3.*10"),
    ({"options": {"refine.system_prompt": "cinematik"}}, OptionError, "did you mean 'cinematic'"),
    ({"options": {"video.width": 720, "video.height": 480}}, GeometryError, r"cannot make 720x480.*--size 144x96"),
    ({"options": {"video.num_frames": 49}}, GeometryError, r"cannot make 49 frames.*--frames 17"),
    ({"options": {"image.width": 640, "image.height": 480}}, GeometryError, "cannot make 640x480"),
    ({"seed": -1}, OptionError, "seed"),
    ({"takes": 0}, OptionError, "takes"),
    ({"image": "nowhere.png"}, ImageError, "nowhere.png"),
    ({"out": "/dev/null/x"}, OutputError, "is a file, not a folder"),
]


@pytest.mark.parametrize(("wish", "error", "says"), BAD, ids=[f"{e.__name__}-{i}" for i, (_, e, _) in enumerate(BAD)])
def test_bad_input_is_one_line_at_once(
    wish: dict[str, Any], error: type[AnimaticError], says: str, tmp_path: Path
) -> None:
    asked = {"prompt": "a red boat", "preset": "pocket", "out": tmp_path / "out", **wish}
    with pytest.raises(error, match=says) as caught:
        api.stream(asked.pop("prompt"), **asked)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


def test_an_unreadable_image_is_refused(tmp_path: Path) -> None:
    (tmp_path / "still.png").write_bytes(b"not a picture")
    with pytest.raises(ImageError, match=r"still.png"):
        api.stream("a red boat", preset="pocket", image=tmp_path / "still.png", out=tmp_path)


def test_models_that_are_not_here_are_named_with_the_way_to_get_them(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="animatic models pull flux-cogvideox"):
        api.stream("a red boat", preset="flux-cogvideox", out=tmp_path)


def test_the_size_of_the_real_model_is_checked_though_it_is_not_here(tmp_path: Path) -> None:
    with pytest.raises(GeometryError, match="--size 720x480"):
        api.stream("a boat", preset="flux-cogvideox", options={"video.width": 480, "video.height": 720}, out=tmp_path)


def test_without_a_preset_it_is_pocket_and_says_what_to_pull(tmp_path: Path) -> None:
    notice = next(iter(api.stream("a red boat on the sea", out=tmp_path)))
    assert "toy" in notice.text and "animatic models" in notice.text  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("gpu", "advice"), [(150, "animatic models pull flux-cogvideox"), (12, "more memory"), (None, "GPU")]
)
def test_the_advice_suits_the_machine(gpu: int | None, advice: str) -> None:
    memory = None if gpu is None else gpu * 10**9
    assert advice in api._advice(machine.Machine(cores=2, host_bytes=24 * 10**9, host_free=0, gpu_bytes=memory))


def test_a_sentence_out_of_pockets_world_is_told_its_words(tmp_path: Path) -> None:
    notice = next(iter(api.stream("quarterly revenue forecast", preset="pocket", out=tmp_path)))
    assert "toy world" in notice.text and "boat" in notice.text and "night sky" in notice.text  # type: ignore[attr-defined]


@pytest.mark.parametrize("prompt", ["the night sky", "A Boat", "two cats!"])
def test_a_sentence_of_pockets_world_is_not_lectured(prompt: str) -> None:
    preset, notices = api._preset(api.Wish(prompt, preset="pocket"))
    assert preset.name == "pocket" and notices == []


def test_what_cannot_fit_is_refused_with_the_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = machine.Machine(cores=2, host_bytes=30_000_000, host_free=0)
    monkeypatch.setattr(machine, "probe", lambda: small)
    with pytest.raises(CapacityError, match=r"of pocket needs 0\.\d GiB and this machine has 0\.0 GiB"):
        api.stream("a red boat", preset="pocket", out=tmp_path)


def test_takes_count_the_seed_up() -> None:
    wish = api.Wish("a red boat", preset="pocket", seed=7, takes=3)
    shots = api._shots(wish, api._preset(wish)[0])
    assert [shot.seed for shot in shots] == [7, 8, 9] and len({shot.id for shot in shots}) == 3


def test_wrong_arguments_are_python_errors() -> None:
    with pytest.raises(TypeError, match="sed"):
        animatic.stream("a red boat", sed=3)


def test_importing_animatic_imports_nothing_heavy() -> None:
    code = "import sys, animatic, animatic.api; assert not {'torch', 'diffusers', 'transformers'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
