"""Trains pocket's two text encoders (T5 for tokens, CLIP for the pooled vector) and freezes them for image and video.

    python -m training.pocket.train_text --minutes 6

Knows: the encoders' shapes and what they must tell apart. Must not know: pictures.

Both read paragraphs, prompts and shuffled paragraphs and must tell every attribute by a linear layer
from T5's end token, from the mean of all T5 outputs (padding too) and from CLIP's pooled output; hidden T5 tokens must be
guessed, so that every token keeps its own meaning. Texts are padded without an attention mask, as the stock pipelines do it. The research notes trained the
encoders jointly with the image transformer; here they come first and stay fixed, so that image and video train at once.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer, T5Config, T5EncoderModel, T5TokenizerFast

from training.pocket.adam import Adam
from training.pocket.common import POCKET, Run, export, parser, setup, write_json
from training.pocket.scenario import NAMES, sample
from training.pocket.text import paragraph, sentence

WIDTH, LENGTHS, END, UNKNOWN, IGNORE = 128, (48, 56, 64), 1, 2, -100
HEADS = ("end", "mean", "clip")


class Encoders(nn.Module):
    """Both encoders and the heads that only training needs."""

    def __init__(self, t5_vocab: int, clip: CLIPTokenizer, names: Mapping[str, Sequence[str]]):
        super().__init__()
        self.t5 = T5EncoderModel(T5Config(
            vocab_size=t5_vocab, d_model=WIDTH, d_kv=32, d_ff=384, num_layers=4, num_heads=4, dropout_rate=0.0,
            feed_forward_proj="gated-gelu", relative_attention_num_buckets=32, relative_attention_max_distance=64,
            is_encoder_decoder=False, use_cache=False, tie_word_embeddings=False,
        ))  # fmt: skip
        self.clip = CLIPTextModel(CLIPTextConfig(
            vocab_size=len(clip), hidden_size=WIDTH, intermediate_size=384, num_hidden_layers=3, num_attention_heads=4,
            max_position_embeddings=77, bos_token_id=clip.bos_token_id, eos_token_id=clip.eos_token_id,
            pad_token_id=clip.pad_token_id, projection_dim=WIDTH,
        ))  # fmt: skip
        self.heads = nn.ModuleDict(
            {f"{part}_{name}": nn.Linear(WIDTH, len(known)) for part in HEADS for name, known in names.items()}
        )
        self.guess = nn.Linear(WIDTH, t5_vocab)
        for encoder in (self.t5, self.clip):
            encoder.set_attn_implementation("eager")  # the faster one on CPUs for texts as short as these

        self._look_around()

    @torch.no_grad()
    def _look_around(self) -> None:
        """Let three of T5's heads begin with the word before, the two before that, and the two after.

        The positions' biases begin near nought and grow slowly; without this it takes very long to learn which "left" in
        "starts on the right and moves to the left" is the movement. (16 and up are the buckets of what comes after.)
        """
        bias = self.t5.encoder.block[0].layer[0].SelfAttention.relative_attention_bias.weight
        for head, buckets in enumerate(((1,), (2, 3), (17, 18))):
            bias[list(buckets), head] += 4.0

    def forward(self, t5_ids: Tensor, clip_ids: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """T5's outputs [B, L, WIDTH], and the logits of every head."""
        tokens = self.t5(t5_ids)[0]
        end = tokens[torch.arange(len(t5_ids), device=t5_ids.device), (t5_ids == END).int().argmax(1)]
        pooled = {"end": end, "mean": tokens.mean(1), "clip": self.clip(clip_ids).pooler_output}
        return tokens, {name: head(pooled[name.split("_")[0]]) for name, head in self.heads.items()}


class Texts:
    """Endless batches of texts with the attributes that each states."""

    def __init__(self, seed: int, device: torch.device):
        self.device = device
        self.rng, self.names = np.random.default_rng(seed), NAMES
        self.t5 = T5TokenizerFast.from_pretrained(POCKET / "image/tokenizer_2")
        self.clip = CLIPTokenizer.from_pretrained(POCKET / "image/tokenizer")

    def batch(self, count: int, kind: str | None = None) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """T5 ids [count, L], CLIP ids [count, <= 77], and per attribute the class or IGNORE, [count]."""
        texts, classes = zip(*(self._one(kind or str(self.rng.choice(["paragraph", "sentence", "shuffled"]))) for _ in range(count)),
                             strict=True)  # fmt: skip
        length = int(self.rng.choice(LENGTHS))
        t5 = self.t5(list(texts), padding="max_length", max_length=length, truncation=True, return_tensors="pt")
        # CLIP is causal: what is padded after the end cannot change the pooled output.
        clip = self.clip(list(texts), padding=True, max_length=77, truncation=True, return_tensors="pt")
        wanted = {name: torch.tensor([c[name] for c in classes], device=self.device) for name in self.names}
        return t5.input_ids.to(self.device), clip.input_ids.to(self.device), wanted

    def _one(self, kind: str) -> tuple[str, dict[str, int]]:
        s = sample(self.rng)
        text, stated = self._text(s, kind)
        return text, {
            name: known.index(getattr(s, name)) if name in stated else IGNORE for name, known in self.names.items()
        }

    def _text(self, s: Any, kind: str) -> tuple[str, frozenset[str]]:
        if kind in ("sentence", "held out"):
            return sentence(s, self.rng, held_out=kind == "held out")
        text = paragraph(s, self.rng, int(self.rng.choice([20, 24, 30, 45, 100])))
        if kind == "shuffled":
            parts = text.rstrip(".").split(". ")
            text = ". ".join(parts[n] for n in self.rng.permutation(len(parts))) + "."
        return text, frozenset(self.names)


def losses(model: Encoders, t5_ids: Tensor, clip_ids: Tensor, wanted: dict[str, Tensor]) -> dict[str, Tensor]:
    """The last quarter of the rows has hidden tokens: there T5 guesses them, and its attributes do not count.

    CLIP, which learns far faster, gets only the first half of the rows.
    """
    clean, half = len(t5_ids) * 3 // 4, len(t5_ids) // 2
    hidden = (torch.rand(t5_ids.shape, device=t5_ids.device) < 0.15) & (t5_ids > UNKNOWN)
    hidden[:clean] = False
    tokens, logits = model(t5_ids.masked_fill(hidden, UNKNOWN), clip_ids[:half])
    total = {"guess": 0.3 * F.cross_entropy(model.guess(tokens[hidden]), t5_ids[hidden])}
    for part, rows in (("end", clean), ("mean", clean), ("clip", half)):
        total[part] = sum(
            (F.cross_entropy(logits[f"{part}_{name}"][:rows], wanted[name][:rows], ignore_index=IGNORE) for name in wanted),
            torch.zeros((), device=t5_ids.device),
        )
    return total


@torch.no_grad()
def scores(model: Encoders, seed: int, count: int = 512) -> dict[str, float]:
    """Share of stated attributes told right, per encoder, kind of text and attribute (the worst one is listed last)."""
    texts, result = Texts(seed, model.guess.weight.device), dict[str, float]()
    for kind in ("paragraph", "shuffled", "sentence", "held out"):
        t5_ids, clip_ids, wanted = texts.batch(count, kind)
        _, logits = model(t5_ids, clip_ids)
        for key, values in logits.items():
            truth = wanted[key.split("_")[1]]
            right = (values.argmax(-1) == truth)[truth != IGNORE].float().mean()
            result[f"{key}/{kind}"] = round(float(right), 4)
    return result


def save(model: Encoders) -> dict[str, float]:
    """Both encoders as fp16, the same T5 for image and video; megabytes of each."""
    sizes = {"t5": export(model.t5, POCKET / "image/text_encoder_2"), "clip": export(model.clip, POCKET / "image/text_encoder")}
    shutil.copytree(POCKET / "image/text_encoder_2", POCKET / "video/text_encoder", dirs_exist_ok=True)
    return sizes


def main() -> None:
    options: argparse.ArgumentParser = parser(__doc__, "text", minutes=6, lr=1e-3)
    options.add_argument("--batch", type=int, default=64)
    args = options.parse_args()
    device = setup(args)
    texts = Texts(args.seed, device)
    model = Encoders(len(texts.t5), texts.clip, texts.names).to(device)
    run = Run(args, model, decay=0.995, optimiser=Adam)
    texts.rng = np.random.default_rng(args.seed + run.step)
    for step in run.steps():
        parts = losses(model, *texts.batch(args.batch))
        run.update(sum(parts.values(), torch.zeros((), device=device)), **parts)
        if step % 200 == 199:
            found = scores(run.ema, seed=1, count=256)
            run.log(mean=sum(found.values()) / len(found), worst=min(found.items(), key=lambda pair: pair[1]))
    found = scores(run.ema, seed=2, count=2000)
    sizes = save(run.ema)
    run.log(**found, **sizes)
    write_json(run.folder / "scores.json", found | {f"{name} MB": size for name, size in sizes.items()})


if __name__ == "__main__":
    main()
