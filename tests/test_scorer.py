"""The best of several stills is the one a person would keep: not the blurred, the black or the blown-out one."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageEnhance, ImageFilter
from transformers import (
    AutoTokenizer,
    CLIPConfig,
    CLIPImageProcessorPil,
    CLIPModel,
    CLIPTextConfig,
    CLIPVisionConfig,
)

from animatic import scorer
from animatic.errors import OptionError, WeightsError
from animatic.media import Pixels
from tests import tiny


def scene(seed: int) -> Pixels:
    """Blocks of colour at all scales, as a drawn still has them."""
    random = np.random.default_rng(seed)
    picture = np.full((96, 144, 3), random.integers(60, 200, 3), np.uint8)
    for _ in range(40):
        y, x, h, w = random.integers(0, 90), random.integers(0, 140), random.integers(3, 40), random.integers(3, 40)
        picture[y : y + h, x : x + w] = random.integers(20, 235, 3)
    return picture


def worsened(picture: Pixels, how: str, much: float) -> Pixels:
    image = Image.fromarray(picture)
    if how == "blurred":
        return np.asarray(image.filter(ImageFilter.GaussianBlur(0.7 + 3 * much)))
    if how == "darkened":
        return np.asarray(ImageEnhance.Brightness(image).enhance(0.5 * (1 - much)))
    blown = picture.astype(np.float32) * (1.8 + 2 * much) + 40
    return blown.clip(0, 255).astype(np.uint8)


@given(st.integers(0, 99), st.sampled_from(["blurred", "darkened", "blown out"]), st.floats(0, 1))
def test_a_worsened_copy_loses(seed: int, how: str, much: float) -> None:
    good = scene(seed)
    one, other = scorer.scorer("plain")([worsened(good, how, much), good], "")
    assert one < other


def test_a_black_picture_scores_nothing_and_equals_tie() -> None:
    black = np.zeros((96, 144, 3), np.uint8)
    scores = scorer.scorer("plain")([black, scene(1), scene(1)], "")
    assert scores[0] == 0 < scores[1] == scores[2]


def test_a_strangers_scorer_is_found_by_its_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    reddest = SimpleNamespace(name="reddest", load=lambda: lambda stills, _: [s[..., 0].mean() for s in stills])
    monkeypatch.setattr(scorer, "entry_points", lambda group: [reddest] if group == "animatic.scorers" else [])
    red, blue = np.zeros((2, 2, 3), np.uint8), np.zeros((2, 2, 3), np.uint8)
    red[..., 0], blue[..., 2] = 255, 255
    assert list(scorer.scorer("reddest")([blue, red], "")) == [0, 255]
    with pytest.raises(OptionError, match="did you mean 'reddest'"):
        scorer.scorer("redest")


def test_a_clip_model_that_is_not_there_is_said_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="holds no CLIP model: name the folder"):
        scorer.scorer(f"clip:{tmp_path}")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(WeightsError, match="download it again"):
        scorer.scorer(f"clip:{tmp_path}")([scene(1)], "a boat")


def test_clip_scores_as_transformers_does(tmp_path: Path) -> None:
    torch.manual_seed(1)
    tokenizer = AutoTokenizer.from_pretrained(tiny.POCKET / "image/tokenizer")
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    text = CLIPTextConfig(
        vocab_size=2000, max_position_embeddings=77, bos_token_id=0, eos_token_id=1, pad_token_id=1, **sizes
    )
    vision = CLIPVisionConfig(image_size=32, patch_size=8, **sizes)
    model = CLIPModel(CLIPConfig(text_config=text.to_dict(), vision_config=vision.to_dict(), projection_dim=32)).eval()
    processor = CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    for part in (model, tokenizer, processor):
        part.save_pretrained(tmp_path)
    stills = [scene(n) for n in range(4)]
    with torch.no_grad():
        read = tokenizer("a red boat", return_tensors="pt")
        seen = processor([Image.fromarray(still) for still in stills], return_tensors="pt")
        expected = model(**read, **seen).logits_per_image[:, 0].tolist()
    assert scorer.scorer(f"clip:{tmp_path}")(stills, "a red boat") == pytest.approx(expected)
    assert len(scorer.scorer(f"clip:{tmp_path}")(stills[:1], "a red boat " * 99)) == 1, "a long caption is cut"
