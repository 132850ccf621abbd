"""The front door: bad input is one clear line before anything loads; good input resolves as a user expects."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import animatic
from animatic import api, bitmap, budget, machine, prepare
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
from animatic.history import History


@pytest.fixture
def still(tmp_path: Path) -> Path:
    file = tmp_path / "still.png"
    file.write_bytes(bitmap.png_bytes(np.full((96, 144, 3), 90, np.uint8)))
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


GIB = 2**30


def card(gib: float) -> machine.Machine:
    nbytes = int(gib * GIB)
    return machine.Machine(2, 64 * GIB, 60 * GIB, "NVIDIA L4", nbytes, "580.1", 0, nbytes)


@pytest.mark.parametrize(
    ("here", "advice"),
    [
        (card(24), "animatic models pull flux-cogvideox"),
        (card(6), "animatic models pull flux-cogvideox"),
        (card(3), "more memory"),
        (machine.Machine(2, 24 * GIB, 20 * GIB), "a GPU is needed"),
    ],
)
def test_the_advice_suits_the_machine(here: machine.Machine, advice: str, tmp_path: Path) -> None:
    history = History(tmp_path / "none.json")
    assert advice in prepare._advice(budget.of_machine(here, None, None, history), history)


def test_a_sentence_out_of_pockets_world_is_told_its_words(tmp_path: Path) -> None:
    notice = next(iter(api.stream("quarterly revenue forecast", preset="pocket", out=tmp_path)))
    assert "toy world" in notice.text and "boat" in notice.text and "mountains" in notice.text  # type: ignore[attr-defined]


@pytest.mark.parametrize("prompt", ["the night sky", "A Boat", "two cats!"])
def test_a_sentence_of_pockets_world_is_not_lectured(prompt: str) -> None:
    assert prepare.prepare([api.Wish(prompt, preset="pocket")]).notices == ()


def test_what_cannot_fit_is_refused_with_the_numbers(tmp_path: Path) -> None:
    with pytest.raises(CapacityError, match=r"video.decode needs 108 MiB .* budget is 100 MiB: .*grant --memory"):
        api.stream("a red boat", preset="pocket", memory=budget.LIBRARIES + (100 << 20), out=tmp_path)


@pytest.mark.parametrize(
    ("limits", "says"),
    [
        ({"memory": 1 << 50}, r"--memory 1048576\.0 GiB is more than the .* that are there"),
        ({"memory": 1 << 20}, r"--memory 0\.0 GiB is less than the 0\.7 GiB that Python"),
        ({"host_memory": 1 << 50}, "--host-memory"),
    ],
)
def test_a_budget_that_makes_no_sense_is_refused(limits: dict[str, int], says: str, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=says):
        api.stream("a red boat", preset="pocket", out=tmp_path, **limits)


def test_takes_count_the_seed_up() -> None:
    shots = prepare.prepare([api.Wish("a red boat", preset="pocket", seed=7, takes=3)]).shots
    assert [shot.seed for shot in shots] == [7, 8, 9] and len({shot.id for shot in shots}) == 3


@pytest.mark.parametrize(("gib", "tiled"), [(24, "off"), (12, "on"), (6, "on")])
def test_the_vae_is_tiled_where_it_would_not_fit_and_never_by_what_is_free(gib: int, tiled: str) -> None:
    def resolved(**limits: Any) -> Any:
        wish = api.Wish("a boat", preset="flux-cogvideox", **limits)
        return prepare.prepare([wish], "RTX 4090").shots[0].option("video.vae_tiling")

    assert resolved(memory=gib * GIB) == tiled
    assert resolved() == "off"


def test_plans_say_what_would_fit_on_a_card_that_is_not_at_hand() -> None:
    foretold = api.plan("a boat", preset="flux-cogvideox", gpu="RTX 4070", shots=2)
    assert foretold.plan.forecast.peak_device <= foretold.memory < 12 * GIB
    assert foretold.shots == 2 and foretold.seconds > 60
    quick = api.plan("a boat", preset="flux-cogvideox", gpu="H200")
    assert quick.seconds < foretold.seconds / 2


def test_wrong_arguments_are_python_errors() -> None:
    with pytest.raises(TypeError, match="sed"):
        animatic.stream("a red boat", sed=3)


def test_importing_animatic_imports_nothing_heavy() -> None:
    code = "import sys, animatic, animatic.api; assert not {'torch', 'diffusers', 'transformers'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
