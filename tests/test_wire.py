"""What goes over the wire: fields become the commissions they mean, and refusals have stable codes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from animatic import catalog, wire
from animatic.commission import Commission, loads
from animatic.errors import AnimaticError, GeometryError, OptionError
from animatic.wire import ImageFields, VideoFields, WireError


def asked(kind: Any = VideoFields, **fields: Any) -> Commission:
    return wire.commission(wire.checked(kind, {"prompt": "a red boat", **fields}), catalog.preset("pocket"))


def test_flat_dotted_and_openai_names_mean_the_same_options() -> None:
    flat = asked(num_inference_steps="7", fps="12", negative_prompt="fog", words=40, size="144x96")
    dotted = asked(**{"video.num_inference_steps": "7", "file.fps": "12", "video.negative_prompt": "fog",
                      "refine.words": 40, "video.width": 144, "video.height": 96})  # fmt: skip
    assert {k: str(v) for k, v in flat.options.items()} == {k: str(v) for k, v in dotted.options.items()}


def test_all_values_may_be_text_as_forms_have_it() -> None:
    one = asked(seed="5", stills="3", pick="2", review="caption", seconds="2")
    assert (one.seed, one.stills, one.pick, one.review, one.options["video.num_frames"]) == (5, 3, 2, True, 17)
    assert asked(pick="best").pick == "best"


def test_what_is_next_follows_from_what_was_asked() -> None:
    assert asked().goal == "file"
    assert asked(review="caption").goal == "refine"
    assert asked(review="caption", caption="A boat.").goal == "file"
    assert asked(stills=2).goal == "image"
    assert asked(stills=2, pick=1).goal == asked(stills=2, pick="best").goal == "file"
    assert asked(ImageFields, n=3).goal == "image"


@pytest.mark.parametrize(
    ("fields", "code", "param"),
    [
        ({"prompt": ""}, "invalid_prompt", "prompt"),
        ({"sed": 1}, "invalid_field", "sed"),
        ({"seed": -1}, "invalid_field", "seed"),
        ({"seed": "x"}, "invalid_field", "seed"),
        ({"pick": "worst"}, "invalid_field", "pick"),
        ({"review": "still"}, "invalid_field", "review"),
        ({"seconds": "12"}, "invalid_field", "seconds"),
        ({"seconds": "nan"}, "invalid_field", "seconds"),
        ({"refine.system_prompt": "/etc/passwd"}, "invalid_option", "refine.system_prompt"),
        ({"refine.system_prompt": "../cinematic"}, "invalid_option", "refine.system_prompt"),
        ({"refine.system_prompt": {"image_url": "x"}}, "invalid_option", "refine.system_prompt"),
        ({"refine.system_prompt": "LICENSE"}, "invalid_option", "refine.system_prompt"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_field(fields: dict[str, Any], code: str, param: str) -> None:
    with pytest.raises(WireError) as caught:
        asked(**fields)
    assert (caught.value.status, caught.value.code, caught.value.param) == (400, code, param)


def test_a_misspelt_field_gets_its_neighbour() -> None:
    with pytest.raises(WireError, match="did you mean 'seed'"):
        asked(sed=1)


def test_our_errors_are_told_without_the_command_lines_dashes() -> None:
    size = wire.translated(GeometryError("m cannot make 1x1: the nearest it can is --size 720x480"))
    assert (size.code, size.param, str(size)) == (
        "invalid_size", "size", "m cannot make 1x1: the nearest it can is size 720x480")  # fmt: skip
    option = wire.translated(OptionError("video.fps = 0: too small: add --set video.fps=8 or --frames 9"))
    assert (option.code, option.param) == ("invalid_option", "video.fps")
    assert "--" not in str(option) and "num_frames 9" in str(option)


@given(st.dictionaries(st.text(max_size=8), st.one_of(st.none(), st.integers(), st.text(max_size=8), st.booleans())))
def test_any_fields_give_a_commission_or_one_clear_refusal(fields: dict[str, Any]) -> None:
    try:
        one = asked(**{name: value for name, value in fields.items() if name != "kind"})
    except AnimaticError as error:
        assert 400 <= wire.translated(error).status < 500
    else:
        assert loads(one.dumps()) == one


def test_a_model_says_what_it_makes() -> None:
    shown = wire.model(catalog.preset("pocket"), ready=True)
    assert (shown["id"], shown["size"], shown["seconds"]) == ("pocket", "144x96", "2.125")
