"""Components and their bytes: by headers and in closed form the same; the parts of a transformer make it whole."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from animatic import catalog
from animatic.parts import component
from animatic.spec import DTYPES, MODULATED, Model

PRESETS = ("flux-cogvideox", "flux-cogvideox15", "open", "pocket")


def model(preset: str, stage: Any) -> Model:
    spec = catalog.preset(preset).models[stage]
    return Model(spec, catalog.locate(spec))


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("stage", ["image", "video"])
def test_modulation_and_rest_make_the_whole(preset: str, stage: Any) -> None:
    one = model(preset, stage)
    whole, rest, modulation = (component(one, MODULATED, subset) for subset in ("whole", "rest", "modulation"))
    assert rest.nbytes + modulation.nbytes == whole.nbytes and 0 < modulation.nbytes < whole.nbytes
    assert len(rest.blocks) == len(whole.blocks) > 0
    assert all(small < large for small, large in zip(rest.blocks, whole.blocks, strict=True))
    assert len({whole, rest, modulation}) == 3


@pytest.mark.parametrize("part", ["transformer", "text_encoder", "vae"])
def test_headers_and_the_closed_form_agree(part: str) -> None:
    here = model("pocket", "video")
    assert here.folder is not None
    config = catalog.configs(here.spec)
    unknown = {**here.spec.components, part: 0}
    absent = Model(replace(here.spec, repo="some/where", components=unknown, config=config), None)
    read, computed = component(here, part), component(absent, part)
    # What is in the files but is no parameter is in both; a tied tensor is stored once.
    assert computed.nbytes == pytest.approx(read.nbytes, rel=1e-6) and computed.blocks == read.blocks
    assert read.nbytes % DTYPES[here.spec.dtype] == 0


def test_a_component_that_holds_the_same_is_the_same() -> None:
    first = component(model("pocket", "image"), "text_encoder_2")
    second = component(model("pocket", "video"), "text_encoder")
    assert first == second and hash(first) == hash(second) and first.name != second.name
