"""Options: defaults below presets below the user's; wrong names and values are refused with a way out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from animatic.errors import OptionError
from animatic.options import NAMES, parse, resolve


def test_every_option_has_a_default() -> None:
    assert list(resolve()) == list(NAMES)


def test_later_layers_win() -> None:
    options = resolve({"video.num_frames": 17, "file.fps": 16}, {"video.num_frames": 49})
    assert (options["video.num_frames"], options["file.fps"]) == (49, 16)


def test_text_becomes_the_option_s_type() -> None:
    options = resolve({"video.num_frames": "49", "video.guidance_scale": "6", "video.use_dynamic_cfg": "false"})
    assert options["video.num_frames"] == 49 and type(options["video.num_frames"]) is int
    assert options["video.guidance_scale"] == 6.0
    assert options["video.use_dynamic_cfg"] is False


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("video.num_frame", "video.num_frames"),
        ("file.fsp", "file.fps"),
        ("image.guidance", "image.guidance_scale"),
    ],
)
def test_an_unknown_option_suggests_the_nearest(name: str, nearest: str) -> None:
    with pytest.raises(OptionError, match=f"unknown option '{name}': did you mean '{nearest}'"):
        resolve({name: 1})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("file.crf", 52), ("file.crf", -1), ("refine.words", 0), ("refine.temperature", float("nan")),
        ("video.guidance_scale", "inf"), ("video.fit", "stretch"), ("video.num_frames", "many"),
        ("video.scheduler", "euler"), ("image.num_inference_steps", 1.5),
        ("video.negative_prompt", "x" * 2001),
    ],
)  # fmt: skip
def test_a_wrong_value_is_named(name: str, value: object) -> None:
    with pytest.raises(OptionError, match=f"^{name} = "):
        resolve({name: value})


@given(st.sampled_from(NAMES), st.text(max_size=20).filter(lambda s: s == s.strip()))
def test_an_assignment_is_read_as_written(name: str, value: str) -> None:
    assert parse(f"{name}={value}") == (name, value)


def test_an_assignment_needs_a_value() -> None:
    with pytest.raises(OptionError, match=r"--set stage\.option=value"):
        parse("video.num_frames")
