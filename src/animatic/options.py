"""The options of each stage: names, types, ranges, defaults; and how dotted options are resolved.

They bear diffusers' names. A preset overrides the defaults, the user overrides the preset; unknown names are refused.
Knows no model: what sizes and frame counts a model can make is `geometry.py`'s.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from animatic.core import STAGES, Value
from animatic.errors import OptionError, nearest


class _Options(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Refine(_Options):
    """The chat model's paragraph.

    system_prompt  a packaged prompt's name, or the path of a text file
    device         where the chat model runs: with the others, or on the CPU, which is slow but needs no GPU memory;
                   another device rounds otherwise, so that the paragraph may differ
    """

    words: int = Field(100, ge=10, le=400)
    system_prompt: str = "cinematic"
    max_new_tokens: int = Field(512, ge=16, le=8192)
    temperature: float = Field(0.7, ge=0, le=2)
    top_p: float = Field(0.9, gt=0, le=1)
    device: Literal["same", "cpu"] = "same"


class Image(_Options):
    """The still. Without a width and a height it takes the clip's.

    guidance_scale   the strength of guidance that the model has learnt to imitate (FLUX.1-dev), at no cost
    true_cfg_scale   over 1, classifier-free guidance away from `negative_prompt`, for twice the time
    candidate        which of several tries of the still alone
    """

    width: int | None = Field(None, ge=16, le=4096)
    height: int | None = Field(None, ge=16, le=4096)
    num_inference_steps: int = Field(28, ge=1, le=1000)
    guidance_scale: float = Field(3.5, ge=0, le=100)
    true_cfg_scale: float = Field(1.0, ge=0, le=100)
    negative_prompt: str = Field("", max_length=2000)
    max_sequence_length: int = Field(512, ge=8, le=512)
    candidate: int = Field(1, ge=1, le=1_000_000)


class Video(_Options):
    """The clip. `fit`: how a still of another shape becomes the first frame; it is never distorted."""

    width: int = Field(720, ge=16, le=4096)
    height: int = Field(480, ge=16, le=4096)
    num_frames: int = Field(49, ge=1, le=1000)
    num_inference_steps: int = Field(50, ge=1, le=1000)
    guidance_scale: float = Field(6.0, ge=0, le=100)
    negative_prompt: str = Field("", max_length=2000)
    use_dynamic_cfg: bool = True
    scheduler: Literal["dpm", "ddim"] = "dpm"
    timestep_spacing: Literal["trailing", "leading", "linspace"] = "trailing"
    max_sequence_length: int = Field(226, ge=8, le=512)
    fit: Literal["crop", "pad"] = "crop"
    vae_tiling: Literal["auto", "on", "off"] = "auto"


class File(_Options):
    """The encode. `crf`: x264's constant rate factor, 0 to 51, lower is better."""

    fps: int = Field(8, ge=1, le=120)
    crf: int = Field(18, ge=0, le=51)


OPTIONS: dict[str, type[_Options]] = dict(zip(STAGES, (Refine, Image, Video, File), strict=True))
NAMES: tuple[str, ...] = tuple(f"{stage}.{name}" for stage, model in OPTIONS.items() for name in model.model_fields)


def resolve(*layers: Mapping[str, Any]) -> dict[str, Value]:
    """Every option by its dotted name: the defaults, overridden by each layer in turn.

    Raises OptionError for an unknown name (with the nearest), or a value of a wrong type or out of range.
    """
    given = {name: value for layer in layers for name, value in layer.items()}
    for name in given:
        if name not in NAMES:
            raise OptionError(f"unknown option {name!r}: {nearest(name, NAMES)}")
    return {f"{s}.{name}": value for s in STAGES for name, value in _stage(s, given).items()}


def parse(assignment: str) -> tuple[str, str]:
    """`stage.option=value` as the command line spells it. Values stay text: the option's own type reads them."""
    name, equals, value = assignment.partition("=")
    if not equals:
        raise OptionError(f"--set {assignment!r} has no value: write --set stage.option=value")
    return name.strip(), value.strip()


def _stage(stage: str, given: Mapping[str, Any]) -> dict[str, Value]:
    prefix = f"{stage}."
    mine = {name.removeprefix(prefix): value for name, value in given.items() if name.startswith(prefix)}
    try:
        return OPTIONS[stage](**mine).model_dump()
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = f"{prefix}{first['loc'][0]}"
        raise OptionError(f"{name} = {first['input']!r}: {first['msg'][:1].lower()}{first['msg'][1:]}") from None
