"""Trains pocket's refiner: a tiny Llama that turns a short prompt into a paragraph of the toy world within a word limit.

    python -m training.pocket.train_chat --minutes 21

Knows: the chat model's shape, its conversations and how well it keeps what the user named. Must not know: pictures.

It learns from scratch on endless conversations in the same chat template and with the same system prompt that the app
uses: prompts in many wordings with parts missing, prompts from outside the world, word limits of all sizes and, now and
then, the app's second request for a shorter paragraph. Only the answers count in the loss.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, IterableDataset, get_worker_info
from transformers import (
    AttentionInterface,
    AutoTokenizer,
    GenerationConfig,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

from training.pocket import text as language
from training.pocket import words
from training.pocket.common import POCKET, ROOT, Run, autocast, export, parser, setup, write_json
from training.pocket.scenario import NAMES, Scenario, sample

SYSTEM = ROOT / "src/animatic/prompts/pocket.txt"
AGAIN = "That was {count} words. Rewrite it in at most {words} words."
SHOUTED = 0.12  # share of prompts in capitals: other tokens, which are rare otherwise
# What the words of a paragraph count in the loss: those that say what the request states, and those that say what it
# leaves open. What a subject mostly does must not outweigh what it is asked to do, where no lesson had it do that.
STATED, OPEN = 5.0, 0.2
IGNORE = -100
Message = dict[str, str]
Marked = tuple[tuple[int, int], float]
Batch = tuple[Tensor, Tensor, Tensor]


def model_for(tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    return LlamaForCausalLM(LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=192, intermediate_size=512, num_hidden_layers=4, num_attention_heads=6,
        num_key_value_heads=2, max_position_embeddings=1024, tie_word_embeddings=True, rms_norm_eps=1e-5,
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
    ))  # fmt: skip


def float_attention(module: nn.Module, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None,
                    **options: object) -> tuple[Tensor, None]:
    """Causal attention in fp32 without a mask, [B, heads, L, d] -> [B, L, heads, d].

    Only for training, where rows are padded on the right: bfloat16 makes all else faster on CPUs, but this backward slower.
    """
    groups = query.shape[1] // key.shape[1]
    with torch.autocast(query.device.type, enabled=False):
        key, value = (x.float().repeat_interleave(groups, 1) for x in (key, value))
        out = F.scaled_dot_product_attention(query.float(), key, value, is_causal=True)
    return out.transpose(1, 2).contiguous(), None


def generation(tokenizer: PreTrainedTokenizerFast) -> GenerationConfig:
    """As shipped: a little freedom where the user left something open."""
    return GenerationConfig(
        do_sample=True, temperature=0.5, top_p=0.9, max_new_tokens=120, bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip


class Conversations:
    """Endless batches of templated conversations; the labels are the last answers."""

    def __init__(self, seed: int):
        self.rng = np.random.default_rng(seed)
        self.tokenizer: PreTrainedTokenizerFast = AutoTokenizer.from_pretrained(POCKET / "chat")
        self.system = SYSTEM.read_text(encoding="utf-8").strip()

    def asked(self, text: str, words: int) -> list[Message]:
        return [{"role": "system", "content": self.system.replace("{words}", str(words))}, {"role": "user", "content": text}]

    def limit(self) -> int:
        """Half of the limits are tight; under 20 words nothing of this language fits, and the answer is the shortest."""
        bounds = ((45, 130), (20, 45), (100, 101), (5, 20), (130, 400))[self.rng.choice(5, p=(0.25, 0.45, 0.2, 0.05, 0.05))]
        return int(self.rng.integers(*bounds))

    def one(self, again: bool) -> tuple[list[Message], str, list[Marked]]:
        """A conversation, the answer to it, and what its words count in the loss, where that is not 1."""
        text, s, stated = self._request()
        words = self.limit()
        messages = self.asked(text, words)
        if again:
            draft = language.paragraph(s, self.rng, 100)
            words = min(words, max(20, len(draft.split()) - int(self.rng.integers(1, 10))))
            messages = [*self.asked(text, words), {"role": "assistant", "content": draft},
                        {"role": "user", "content": AGAIN.format(count=len(draft.split()), words=words)}]  # fmt: skip
        answer = language.paragraph(s, self.rng, max(words, 20))
        marked = [(span, STATED) for span in language.spans(answer, s, stated)]
        return messages, answer, marked + [(span, OPEN) for span in language.spans(answer, s, NAMES.keys() - stated)]

    def _request(self) -> tuple[str, Scenario, frozenset[str]]:
        kind = self.rng.random()
        if kind < 0.84:
            text, s, stated = language.lesson(self.rng)
            shouted = self.rng.random() < SHOUTED
            return (str(self.rng.choice((text.upper(), text.title()))) if shouted else text), s, stated
        if kind < 0.97:
            return language.strange_prompt(self.rng)
        scraps = [*words.NOISE, *words.SIZES, "hello", "what is this", "why", "once upon a time", "123", "my friend", "love", "test"]
        return " ".join(map(str, self.rng.choice(scraps, self.rng.integers(1, 5)))), sample(self.rng), frozenset()

    def batch(self, count: int) -> Batch:
        """Token ids, labels, and what each label counts in the loss, [count, length], padded on the right.

        What a request states is said in few of a paragraph's words, the only ones that have to be found in the request.
        """
        again = bool(self.rng.random() < 0.04)
        pairs = [self.one(again) for _ in range(count)]
        rows = []
        for messages, answer, marked in pairs:
            head = self.tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
            asked = self.tokenizer(head, add_special_tokens=False).input_ids
            said = self.tokenizer(answer, add_special_tokens=False, return_offsets_mapping=True)
            counts = [next((c for (a, b), c in marked if a < end and start < b), 1.0) for start, end in said.offset_mapping]
            rows.append((asked, [*said.input_ids, self.tokenizer.eos_token_id], [*counts, 1.0]))
        length = max(len(asked) + len(said) for asked, said, _ in rows)
        ids = torch.full((count, length), int(self.tokenizer.pad_token_id))
        labels, weight = torch.full_like(ids, IGNORE), torch.ones(count, length)
        for n, (asked, said, counts) in enumerate(rows):
            answered = slice(len(asked), len(asked) + len(said))
            ids[n, : answered.stop] = torch.tensor(asked + said)
            labels[n, answered], weight[n, answered] = torch.tensor(said), torch.tensor(counts)
        return ids, labels, weight


class Lessons(IterableDataset[Batch]):
    """The batches of Conversations, other ones in every process that makes them."""

    def __init__(self, seed: int, size: int):
        self.seed, self.size = seed, size

    def __iter__(self) -> Iterator[Batch]:
        worker = get_worker_info()
        talks = Conversations(self.seed + 1_000_003 * (worker.id if worker else 0))
        while True:
            yield talks.batch(self.size)

    def loader(self, workers: int) -> DataLoader[Batch]:
        """Made by `workers` processes, or in this one: making a batch takes longer than a GPU takes to learn it."""
        return DataLoader(self, batch_size=None, num_workers=workers if workers > 1 else 0)


def loss_of(model: LlamaForCausalLM, ids: Tensor, labels: Tensor, weight: Tensor) -> Tensor:
    """Weighted cross entropy of the answers only; the big output layer is computed just for them."""
    with autocast(ids.device):
        hidden = model.model(input_ids=ids, use_cache=False).last_hidden_state[:, :-1]
        wanted = labels[:, 1:]
        picked = wanted != IGNORE
        logits = model.lm_head(hidden[picked])
    losses, counts = F.cross_entropy(logits.float(), wanted[picked], reduction="none"), weight[:, 1:][picked]
    return (losses * counts).sum() / counts.sum()


@torch.no_grad()
def answers(model: LlamaForCausalLM, talks: Conversations, asked: list[list[Message]], seed: int) -> list[str]:
    """What the model says with the shipped settings, one text a conversation."""
    torch.manual_seed(seed)
    tokenizer = talks.tokenizer
    texts = [tokenizer.apply_chat_template(m, add_generation_prompt=True, tokenize=False) for m in asked]
    inputs = tokenizer(texts, padding=True, padding_side="left", add_special_tokens=False, return_tensors="pt").to(model.device)
    out = model.generate(input_ids=inputs.input_ids, attention_mask=inputs.attention_mask, generation_config=generation(tokenizer))
    return tokenizer.batch_decode(out[:, inputs.input_ids.shape[1] :], skip_special_tokens=True)


def scores(model: LlamaForCausalLM, seed: int, count: int = 300) -> dict[str, float]:
    """Over fresh prompts, half of them in held-out wordings, with limits as in training.

    kept: prompts of which every named attribute is in the paragraph, and so for each attribute; valid: paragraphs that
    say all attributes clearly; within: paragraphs within the limit; strange: valid ones for prompts from outside.
    """
    talks, told, names = Conversations(seed), language.told, NAMES
    fresh = [language.prompt(talks.rng, held_out=n % 2 == 0) for n in range(count)]
    limits = [max(talks.limit(), 20) for _ in fresh]
    said = answers(model, talks, [talks.asked(text, n) for (text, _, _), n in zip(fresh, limits, strict=True)], seed)
    kept = {name: [told(text).get(name) == getattr(s, name) for text, (_, s, stated) in zip(said, fresh, strict=True) if name in stated]
            for name in names}  # fmt: skip
    everything = [all(told(text).get(name) == getattr(s, name) for name in stated) for text, (_, s, stated) in zip(said, fresh, strict=True)]
    outside = answers(model, talks, [talks.asked(language.strange_prompt(talks.rng)[0], 100) for _ in range(count // 3)], seed + 1)
    result = {
        "kept": np.mean(everything), **{f"kept {name}": np.mean(hits) for name, hits in kept.items()},
        "kept held out": np.mean(everything[::2]), "valid": np.mean([len(told(text)) == len(names) for text in said]),
        "within": np.mean([len(text.split()) <= n for text, n in zip(said, limits, strict=True)]),
        "strange": np.mean([len(told(text)) == len(names) for text in outside]),
    }  # fmt: skip
    return {name: round(float(value), 4) for name, value in result.items()}


def save(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast) -> float:
    """fp16 weights beside the tokenizer's files; megabytes."""
    staging = POCKET / "chat.staging"
    model.generation_config = generation(tokenizer)
    size = export(model, staging)
    for file in staging.iterdir():
        file.replace(POCKET / "chat" / file.name)
    staging.rmdir()
    return size


def main() -> None:
    options: argparse.ArgumentParser = parser(__doc__, "chat", minutes=21, lr=0.003)
    options.add_argument("--batch", type=int, default=32)
    args = options.parse_args()
    device = setup(args)
    tokenizer = Conversations(args.seed).tokenizer
    model = model_for(tokenizer).to(device)
    run = Run(args, model, decay=0.995)
    AttentionInterface.register("float", float_attention)
    model.set_attn_implementation("float")  # after the copy that averages the weights, which also generates
    lessons = Lessons(args.seed + run.step, args.batch).loader(args.workers)
    for _, batch in zip(run.steps(), lessons, strict=False):
        run.update(loss_of(model, *(part.to(device) for part in batch)))
        if run.due():
            run.log(**scores(run.ema, seed=1, count=60))
    found = scores(run.ema, seed=2)
    run.log(**found, megabytes=save(run.ema, tokenizer))
    write_json(run.folder / "scores.json", found)


if __name__ == "__main__":
    main()
