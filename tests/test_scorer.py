"""Scorers of stills: spoilt copies lose, strangers' scorers are found, CLIP's scores are transformers' own."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from PIL import Image, ImageFilter

import animatic
from animatic import scorer
from animatic.errors import OptionError, WeightsError
from animatic.metrics import LUMA

POCKET = Path(animatic.__file__).parent / "pocket"
Pixels = scorer.Pixels


def still(seed: int, height: int = 96, width: int = 144) -> Pixels:
    """A picture as they should be: a sky, things with edges before it, a little grain, nothing lost."""
    draw = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    picture = np.stack([60 + 100 * y / height + draw.integers(0, 30) for _ in range(3)], -1)
    for _ in range(6):
        at, side = draw.integers(0, (height, width)), draw.integers(5, 20)
        picture[(y - at[0]) ** 2 + (x - at[1]) ** 2 < side**2] = draw.integers(20, 235, 3)
    return (picture + draw.normal(0, 2, picture.shape)).clip(0, 255).astype(np.uint8)


def blurred(picture: Pixels, strength: float) -> Pixels:
    """By a Gaussian of 0.6 to 8 pixels."""
    return np.asarray(Image.fromarray(picture).filter(ImageFilter.GaussianBlur(0.6 + 7.4 * strength)))


def dark(picture: Pixels, strength: float) -> Pixels:
    """From half the light to none."""
    return (picture * (0.5 - 0.5 * strength)).astype(np.uint8)


def blown_out(picture: Pixels, strength: float) -> Pixels:
    """Multiplied, until at least a sixth of the picture is white."""
    return (picture * (1.5 + 20 * strength)).clip(0, 255).astype(np.uint8)


def washed_out(picture: Pixels, strength: float) -> Pixels:
    """Lifted by 100 levels and more."""
    return (picture + (100 + 155 * strength)).clip(0, 255).astype(np.uint8)


def crushed(picture: Pixels, strength: float) -> Pixels:
    return (picture - (100 + 155 * strength)).clip(0, 255).astype(np.uint8)


def grainy(picture: Pixels, strength: float) -> Pixels:
    noise = np.random.default_rng(0).normal(0, 30 + 90 * strength, picture.shape)
    return (picture + noise).clip(0, 255).astype(np.uint8)


def grey(picture: Pixels, strength: float) -> Pixels:
    """Faded towards one tone."""
    return (picture * (0.6 - 0.6 * strength) + 128 * (0.4 + 0.6 * strength)).astype(np.uint8)


def lost(picture: Pixels) -> float:
    luma = picture.astype(np.float32) @ LUMA
    return float(((luma <= scorer.BLACK) | (luma >= scorer.WHITE)).mean())


spoilers = st.sampled_from([blurred, dark, blown_out, washed_out, crushed, grainy, grey])


@given(st.integers(0, 1000), spoilers, st.floats(0, 1), st.booleans())
def test_a_spoilt_copy_loses(seed: int, spoil: Any, strength: float, first: bool) -> None:
    good = still(seed)
    bad = spoil(good, strength)
    assume(spoil is not blown_out or lost(bad) > 1 / 6)
    winner, scores = scorer.best([bad, good] if first else [good, bad], "a picture")
    assert winner == (1 if first else 0), f"{spoil.__name__}: {scores}"


@pytest.mark.parametrize("level", [0, 128, 255])
def test_one_tone_scores_nothing(level: int) -> None:
    flat = np.full((32, 48, 3), level, np.uint8)
    assert scorer.best([flat, still(1)], "")[0] == 1
    assert scorer.plain([flat], "") == [0.0]


@given(st.integers(1, 4), st.integers(1, 4), st.integers(0, 99))
def test_scores_are_numbers_from_0_to_1_at_any_size(height: int, width: int, seed: int) -> None:
    picture = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    assert all(0 <= score <= 1 for score in scorer.plain([picture, still(seed)], ""))


def test_light_does_not_make_a_picture_sharper() -> None:
    picture = still(3)
    dimmed = (picture * 0.9).astype(np.uint8)
    assert scorer.plain([dimmed], "")[0] == pytest.approx(scorer.plain([picture], "")[0], rel=0.08)


def test_of_equal_stills_the_first_is_taken() -> None:
    assert scorer.best([still(4)] * 3, "")[0] == 0


def test_no_stills_are_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="no stills"):
        scorer.best([], "")


# --------------------------------------------------------------------------------------------------------- names


class Brightest:
    """A plug-in's scorer with an argument: how near the mean is to a level."""

    def __init__(self, level: str) -> None:
        self.level = float(level)

    def __call__(self, stills: Sequence[Pixels], caption: str) -> list[float]:
        del caption
        return [-abs(float(picture.mean()) - self.level) for picture in stills]


def darkest(stills: Sequence[Pixels], caption: str) -> list[float]:
    del caption
    return [-float(picture.mean()) for picture in stills]


def odd(stills: Sequence[Pixels], caption: str) -> list[float]:
    del stills, caption
    return [float("nan"), 1.0, 2.0]


@pytest.fixture
def plugged(monkeypatch: pytest.MonkeyPatch) -> None:
    values = {"darkest": "darkest", "level": "Brightest", "odd": "odd", "gone": "gone", "plain": "darkest"}
    points = [EntryPoint(name, f"{__name__}:{value}", scorer.ENTRY_POINTS) for name, value in values.items()]
    points.append(EntryPoint("nowhere", "no_such_package:scorer", scorer.ENTRY_POINTS))
    monkeypatch.setattr(scorer, "entry_points", lambda group: points if group == scorer.ENTRY_POINTS else [])


@pytest.mark.usefixtures("plugged")
def test_a_strangers_scorer_is_found_by_its_name() -> None:
    stills = [np.full((4, 4, 3), level, np.uint8) for level in (90, 40, 200)]
    assert scorer.best(stills, "", "darkest") == (1, (-90.0, -40.0, -200.0))
    assert scorer.best(stills, "", "level:180") == (2, (-90.0, -140.0, -20.0))


@pytest.mark.usefixtures("plugged")
def test_no_stranger_takes_a_built_in_name() -> None:
    assert scorer.scorer("plain") is scorer.plain


@pytest.mark.usefixtures("plugged")
def test_what_is_not_a_number_never_wins() -> None:
    assert scorer.best([still(1)] * 3, "", "odd")[0] == 2


@pytest.mark.usefixtures("plugged")
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("plian", "unknown scorer 'plian': did you mean 'plain'"),
        ("darkets:3", "did you mean 'darkest'"),
        ("", "known: "),
        ("plain:sharp", "takes nothing after a colon, but was given 'sharp'"),
        ("plain:", "takes nothing after a colon"),
        ("clip", "clip:FOLDER"),
        ("clip:", "clip:FOLDER"),
        ("gone", "cannot be imported"),
        ("nowhere", "no_such_package:scorer"),
    ],
)
def test_names_that_lead_nowhere_are_refused_in_a_line(name: str, said: str) -> None:
    with pytest.raises(OptionError) as caught:
        scorer.scorer(name)
    assert said in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.usefixtures("plugged")
def test_a_scorer_that_miscounts_is_refused() -> None:
    with pytest.raises(OptionError, match="gave 3 scores for 2 stills"):
        scorer.best([still(1), still(2)], "", "odd")


def test_scoring_plainly_never_imports_torch() -> None:
    code = (
        "import sys, numpy\nfrom animatic import scorer\n"
        "scorer.best([numpy.zeros((8, 8, 3), numpy.uint8)], 'x')\n"
        "assert not {'torch', 'transformers'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


# ---------------------------------------------------------------------------------------------------------- CLIP


@pytest.fixture(scope="module")
def tiny_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CLIP model of random weights, in the files of a real one."""
    import torch
    from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel

    folder = tmp_path_factory.mktemp("clip")
    for file in (POCKET / "image" / "tokenizer").iterdir():
        shutil.copy(file, folder)
    size = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    vocabulary = len(json.loads((folder / "vocab.json").read_text("utf-8")))
    text = {**size, "vocab_size": vocabulary, "max_position_embeddings": 77, "bos_token_id": vocabulary - 2}
    config = CLIPConfig(
        text_config={**text, "eos_token_id": vocabulary - 1, "pad_token_id": vocabulary - 1},
        vision_config={**size, "image_size": 32, "patch_size": 8},
        projection_dim=16,
    )
    torch.manual_seed(0)
    CLIPModel(config).save_pretrained(folder)
    CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("caption", ["a red boat sails under a night sky", "a red boat sails. " * 60, ""])
def test_clip_scores_are_transformers_own(tiny_clip: Path, caption: str) -> None:
    import torch
    from transformers import AutoTokenizer, CLIPImageProcessorPil, CLIPModel, CLIPProcessor

    stills = [still(seed, 40 + 8 * seed, 64) for seed in range(5)]
    processor = CLIPProcessor(
        CLIPImageProcessorPil.from_pretrained(tiny_clip), AutoTokenizer.from_pretrained(tiny_clip)
    )
    inputs = processor(
        text=[caption], images=[Image.fromarray(picture) for picture in stills], return_tensors="pt", truncation=True
    )
    with torch.no_grad():
        theirs = CLIPModel.from_pretrained(tiny_clip).eval()(**inputs).logits_per_image[:, 0]
    winner, scores = scorer.best(stills, caption, f"clip:{tiny_clip}")
    assert scores == pytest.approx(theirs.tolist(), rel=1e-6)
    assert winner == int(theirs.argmax()) and len(set(scores)) == 5
    assert np.argsort(scores).tolist() == np.argsort(theirs.numpy()).tolist()


def test_clip_is_found_in_the_cache_by_its_name(
    tiny_clip: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from huggingface_hub import constants

    home = tmp_path / "models--maker--tiny-clip"
    (home / "refs").mkdir(parents=True)
    (home / "refs" / "main").write_text("0" * 40)
    shutil.copytree(tiny_clip, home / "snapshots" / ("0" * 40))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    here = scorer.scorer(f"clip:{tiny_clip}")([still(1)], "a boat")
    assert scorer.scorer("clip:maker/tiny-clip")([still(1)], "a boat") == here


@pytest.mark.parametrize("place", ["maker/no-such-clip", "/no/such/folder", "not a name", "a/b/c"])
def test_a_clip_model_that_is_not_there_is_refused_in_a_line(place: str) -> None:
    with pytest.raises(WeightsError) as caught:
        scorer.scorer(f"clip:{place}")
    assert place in str(caught.value) and "hf download" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda f: (f / "model.safetensors").rename(f / "pytorch_model.bin"), "pickled"),
        (lambda f: (f / "model.safetensors").write_bytes((f / "model.safetensors").read_bytes()[:5000]), "truncated"),
        (lambda f: (f / "config.json").unlink(), "configuration"),
        (lambda f: (f / "preprocessor_config.json").unlink(), "no whole CLIP model"),
        (lambda f: [file.unlink() for file in f.glob("*") if file.name[:5] in ("token", "vocab", "merge")], "no whole"),
    ],
    ids=["pickled", "truncated", "no configuration", "no picture reader", "no tokenizer"],
)
def test_a_damaged_clip_model_is_refused_in_a_line(tiny_clip: Path, tmp_path: Path, spoil: Any, said: str) -> None:
    folder = Path(shutil.copytree(tiny_clip, tmp_path / "clip"))
    spoil(folder)
    with pytest.raises(WeightsError) as caught:
        scorer.scorer(f"clip:{folder}")
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_a_tokenizer_of_another_model_is_refused(tiny_clip: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_clip, tmp_path / "clip"))
    shutil.copy(POCKET / "chat" / "tokenizer.json", folder)
    tokens = json.loads((folder / "tokenizer.json").read_text("utf-8"))
    tokens["added_tokens"].append({**tokens["added_tokens"][0], "id": 10**5, "content": "<far>"})
    (folder / "tokenizer.json").write_text(json.dumps(tokens))
    with pytest.raises(WeightsError, match="not of one model"):
        scorer.scorer(f"clip:{folder}")


def test_another_model_is_no_clip() -> None:
    with pytest.raises(WeightsError) as caught:
        scorer.scorer(f"clip:{POCKET / 'image' / 'text_encoder'}")
    assert "\n" not in str(caught.value)
