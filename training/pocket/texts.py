"""What the two transformers are told: paragraphs of scenarios, embedded by pocket's frozen text encoders.

Knows: the text encoders' folders and how the stock pipelines call them. Must not know: pictures.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from transformers import AutoTokenizer, CLIPTextModel, T5EncoderModel

from training.pocket import text as language
from training.pocket.common import POCKET
from training.pocket.scenario import Scenario

CHUNK = 256  # texts embedded at once
LENGTH = 56  # T5 tokens of both stages; the longest paragraph has 53


class Texts:
    """Paragraphs in, embeddings out, as FluxPipeline and CogVideoXImageToVideoPipeline compute them."""

    def __init__(self, seed: int, device: torch.device):
        image = POCKET / "image"
        self.rng, self.device = np.random.default_rng(seed), device
        self.clip = AutoTokenizer.from_pretrained(image / "tokenizer")
        self.t5 = AutoTokenizer.from_pretrained(image / "tokenizer_2")
        self.clip_model = CLIPTextModel.from_pretrained(image / "text_encoder", torch_dtype=torch.float32).to(device).eval()
        self.t5_model = T5EncoderModel.from_pretrained(image / "text_encoder_2", torch_dtype=torch.float32).to(device).eval()

    def paragraphs(self, scenarios: Sequence[Scenario]) -> list[str]:
        """One fresh wording for each, at most 20 words to as many as the language's longest paragraph has."""
        most = language.LONGEST + 1
        return [language.paragraph(s, self.rng, int(self.rng.integers(20, most))) for s in scenarios]

    def wordings(self, scenarios: Sequence[Scenario]) -> list[str]:
        """As `paragraphs`, but a share SHORT of the language is worded as a short prompt, which leaves parts open."""
        return [
            language.sentence(s, self.rng)[0] if self.rng.random() < language.SHORT else whole
            for s, whole in zip(scenarios, self.paragraphs(scenarios), strict=True)
        ]

    def told(self, scenarios: Sequence[Scenario], wordings: int) -> tuple[Tensor, Tensor]:
        """So many wordings of each, embedded: T5 states, half [n, wordings, 56, d], and CLIP's pooled output [n, wordings, d].

        Embedded beforehand, a training's step need not wait for words, nor read the same ones twice.
        """
        said = [text for _ in range(wordings) for text in self.wordings(scenarios)]
        parts = [said[n : n + CHUNK] for n in range(0, len(said), CHUNK)]
        tokens, pooled = (torch.cat([embed(part).half() for part in parts]) for embed in (self.tokens, self.pooled))
        return tuple(kind.unflatten(0, (wordings, -1)).transpose(0, 1) for kind in (tokens, pooled))  # type: ignore[return-value]

    @torch.no_grad()
    def tokens(self, texts: Sequence[str]) -> Tensor:
        """T5 states, float [n, 56, d]."""
        ids = self.t5(list(texts), padding="max_length", max_length=LENGTH, truncation=True, return_tensors="pt").input_ids
        return self.t5_model(ids.to(self.device))[0]

    @torch.no_grad()
    def pooled(self, texts: Sequence[str]) -> Tensor:
        """CLIP's pooled output, float [n, d]."""
        ids = self.clip(list(texts), padding="max_length", max_length=77, truncation=True, return_tensors="pt").input_ids
        return self.clip_model(ids.to(self.device)).pooler_output
