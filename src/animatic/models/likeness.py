"""How like a caption stills are, by CLIP: the scorer `clip:FOLDER` or `clip:REPOSITORY`. Source: transformers.

It is no stage of the cascade and no plan knows its memory: it runs on the CPU, in float32, and goes with its scorer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoTokenizer, CLIPModel
from transformers.utils import cached_file, logging

from animatic.errors import WeightsError
from animatic.skeleton import skeleton

try:
    from transformers import CLIPImageProcessorPil as PictureReader
except ImportError:  # Before transformers told it from the one by torchvision.
    from transformers import CLIPImageProcessor as PictureReader


class Likeness:
    """Scores are CLIP's `logits_per_image`: the cosine of picture and caption, times the model's own scale.

    CLIP reads the caption's first 77 tokens, about 60 words; what follows them plays no part.
    Raises WeightsError when no whole CLIP model in safetensors is there. Downloads nothing.
    """

    def __init__(self, place: str) -> None:
        folder = _folder(place)
        # From the headers alone: what is pickled, damaged or of another model is refused before anything is read.
        skeleton(CLIPModel, folder, torch.float32)
        self._tokenizer = _tokenizer(folder)
        self._reader = _loaded(PictureReader, folder)
        self._model = _loaded(CLIPModel, folder, dtype=torch.float32, use_safetensors=True).eval()
        words, known = len(self._tokenizer), self._model.config.text_config.vocab_size
        if words > known:
            raise WeightsError(f"{folder}: its tokenizer has {words:,} words, its model {known:,}: not of one model")

    def __call__(self, stills: Sequence[NDArray[np.uint8]], caption: str) -> list[float]:
        """A score for each still, uint8 [height, width, 3]."""
        length = self._model.config.text_config.max_position_embeddings
        words = self._tokenizer(caption, truncation=True, max_length=length, return_tensors="pt")
        pictures = self._reader(list(stills), input_data_format="channels_last", return_tensors="pt")
        with torch.no_grad():
            made = self._model(
                input_ids=words["input_ids"],
                attention_mask=words["attention_mask"],
                pixel_values=pictures["pixel_values"],
            )
        return [float(score) for score in made.logits_per_image[:, 0]]


def _folder(place: str) -> Path:
    """A folder as it is, else the repository's snapshot in the Hugging Face cache."""
    if Path(place).is_dir():
        return Path(place)
    try:
        config = cached_file(place, "config.json", local_files_only=True)
    except (OSError, ValueError):
        way_out = f"name a folder, or download it first: hf download {place}"
        raise WeightsError(f"no CLIP model {place!r} on this machine: {way_out}") from None
    return Path(str(config)).parent


def _tokenizer(folder: Path) -> Any:
    # Without its files transformers makes one that knows no word, and says nothing.
    if not any((folder / name).is_file() for name in ("tokenizer.json", "vocab.json")):
        raise WeightsError(f"{folder} is no whole CLIP model: tokenizer.json or vocab.json is missing")
    return _loaded(AutoTokenizer, folder)


def _loaded(cls: Any, folder: Path, **how: Any) -> Any:
    return _quietly(lambda: _from_pretrained(cls, folder, how))


def _from_pretrained(cls: Any, folder: Path, how: dict[str, Any]) -> Any:
    try:
        return cls.from_pretrained(folder, local_files_only=True, **how)
    except (OSError, ValueError, TypeError, KeyError) as error:
        first = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise WeightsError(f"{folder} is no whole CLIP model: {first}") from error


def _quietly(do: Callable[[], Any]) -> Any:
    """Without a bar of a library's own among those of the terminal."""
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        return do()
    finally:
        if shown:
            logging.enable_progress_bar()
