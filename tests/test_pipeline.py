"""What a clip follows from: what changes its name, and what does not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from animatic import bitmap, pipeline, prompts
from animatic.core import Shot
from animatic.errors import OptionError
from animatic.prepare import Wish, prepare
from animatic.spec import Models


def asked(**wish: Any) -> tuple[Shot, Models]:
    prepared = prepare([Wish("a red boat", "pocket", **wish)])
    return prepared.shots[0], prepared.models


def names(shot: Shot, models: Models) -> tuple[str, Any]:
    """What the clip is known by in its folder, and all that its film depends on beside its inputs."""
    return pipeline.signature(shot, models), pipeline.cascade(shot, models).clip.recipe


def test_an_edited_system_prompt_is_another_clip(tmp_path: Path) -> None:
    file = tmp_path / "system.txt"
    file.write_text("Write {words} words.")
    shot, models = asked(options={"refine.system_prompt": str(file)})
    before = pipeline.signature(shot, models)
    assert pipeline.signature(shot, models) == before
    file.write_text("Write {words} merry words.")
    assert pipeline.signature(shot, models) != before


def test_a_system_prompt_that_nobody_reads_makes_no_difference(tmp_path: Path) -> None:
    file = tmp_path / "system.txt"
    file.write_text("Write {words} words.")
    shot, models = asked(options={"refine.system_prompt": str(file)}, caption="A red boat.")
    before = pipeline.signature(shot, models)
    file.write_text("Write {words} merry words.")
    assert pipeline.signature(shot, models) == before


@pytest.mark.parametrize("text", ["You are a poet. " * 40, "nowhere.txt", "../prompts/pocket", "a\0b", "."])
def test_what_names_no_system_prompt_is_refused(text: str) -> None:
    with pytest.raises(OptionError, match="neither a packaged prompt nor a text file"):
        prompts.system_prompt(text, 10)


@pytest.mark.parametrize("stage", ["refine", "image"])
def test_what_is_known_of_a_model_without_a_part_in_the_clip_makes_no_difference(tmp_path: Path, stage: Any) -> None:
    still = tmp_path / "still.png"
    still.write_bytes(bitmap.png_bytes(np.zeros((96, 144, 3), np.uint8)))
    shot, models = asked(**{"caption": "A red boat."} if stage == "refine" else {"image": still})
    known = {**models, stage: replace(models[stage], digests={"llm": "0"}, settings={"llm": "1"})}
    absent = {**models, stage: replace(models[stage], folder=None)}
    assert names(shot, known) == names(shot, models) == names(shot, absent)
    own, _ = asked()
    assert names(own, known) != names(own, models)
