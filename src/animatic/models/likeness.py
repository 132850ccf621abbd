"""How well stills show what a caption says, by a CLIP model (Radford et al. 2021, arXiv 2103.00020) of the user's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from transformers import AutoTokenizer, CLIPImageProcessorPil, CLIPModel

from animatic.errors import WeightsError
from animatic.media import Pixels


@torch.no_grad()
def scores(folder: Path, stills: Sequence[Pixels], caption: str) -> list[float]:
    """CLIP's logit of each still, uint8 [height, width, 3], for the caption, of which it reads the first 77 tokens.

    Runs on the CPU. Raises WeightsError.
    """
    try:
        model = CLIPModel.from_pretrained(folder, use_safetensors=True, local_files_only=True, dtype=torch.float32)
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        processor = CLIPImageProcessorPil.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError) as error:
        first = next(iter(str(error).splitlines()), "")
        raise WeightsError(f"{folder} holds no whole CLIP model ({first[:120]}): download it again") from error
    length = model.config.text_config.max_position_embeddings
    text = tokenizer(caption, truncation=True, max_length=length, return_tensors="pt")
    pixels = processor(list(stills), return_tensors="pt")
    return [float(logit) for logit in model(**text, **pixels).logits_per_text[0]]
