"""Makes pocket's three tokenizers from the language of the toy world, in the formats of the full-size models.

    python -m training.pocket.train_tokenizers

Knows: the formats (T5: Unigram with Metaspace; CLIP: byte-level BPE with word ends; chat: byte-level BPE with a chat
template in the form of Llama 3). Must not know: models. Takes seconds; no randomness but the seed.
"""

from __future__ import annotations

import argparse
import json
import math
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tokenizers import Regex, Tokenizer, decoders, pre_tokenizers, trainers
from tokenizers.models import BPE
from transformers import CLIPTokenizer, PreTrainedTokenizerFast, T5Tokenizer

from training.pocket.common import POCKET, ROOT
from training.pocket.scenario import sample
from training.pocket.text import paragraph, prompt, strange_prompt

SPELT = -16.0  # score of a single character: less than that of any word
T5_TOKENS, CLIP_TOKENS = 64, 77
T5_PIECES, CLIP_MERGES, CHAT_TOKENS = 2600, 1200, 2560  # at most so many in the vocabularies
BEGIN, HEAD, HEAD_END, TURN_END = "<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{{ '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' + message['content'] | trim + '<|eot_id|>' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)
WORDS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s+"


def corpus(seed: int, count: int) -> Iterator[str]:
    """`count` rounds of a paragraph, two prompts and a prompt from outside the world."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        yield paragraph(sample(rng), rng, int(rng.integers(20, 121)))
        yield prompt(rng)[0]
        yield prompt(rng)[0]
        yield strange_prompt(rng)[0]


def t5_tokenizer(texts: Iterator[str], most: int) -> T5Tokenizer:
    """Every word of the world as one piece, and every printable ASCII character for all that is spelt out.

    The pieces are counted rather than found by the Unigram trainer, which breaks a language as small as this into letters.
    """
    counts: Counter[str] = Counter()
    for text in texts:
        for chunk in text.split():
            counts.update(re.findall("▁?[a-zA-Z]+", "▁" + chunk))
    total = sum(counts.values())
    words = [(word, math.log(n / total)) for word, n in counts.most_common(most) if len(word) > 2]
    letters = [(chr(code), SPELT) for code in range(33, 127)]
    pieces = {"<pad>": 0.0, "</s>": 0.0, "<unk>": 0.0, "▁": SPELT / 2, **dict(letters), **dict(words)}
    pieces |= {"▁" + letter: SPELT + 1 for letter in ("a", "A")}
    return T5Tokenizer(vocab=list(pieces.items()), extra_ids=0, model_max_length=512)


def clip_tokenizer(texts: Iterator[str], count: int) -> CLIPTokenizer:
    """All 512 byte symbols, then the merges, then start and end as the last two ids, as in the original."""
    empty = CLIPTokenizer()
    trained = Tokenizer(BPE(end_of_word_suffix="</w>"))
    trained.normalizer = empty.backend_tokenizer.normalizer
    trained.pre_tokenizer = empty.backend_tokenizer.pre_tokenizer
    trainer = trainers.BpeTrainer(vocab_size=512 + count, end_of_word_suffix="</w>", show_progress=False)
    trained.train_from_iterator(texts, trainer)
    merges = [tuple(pair) for pair in json.loads(trained.to_str())["model"]["merges"]][:count]
    symbols = sorted(pre_tokenizers.ByteLevel.alphabet())
    names = [*symbols, *(s + "</w>" for s in symbols), *(a + b for a, b in merges), "<|startoftext|>", "<|endoftext|>"]
    vocab = {name: n for n, name in enumerate(dict.fromkeys(names))}
    return CLIPTokenizer(vocab=vocab, merges=merges, model_max_length=CLIP_TOKENS)


def chat_tokenizer(texts: Iterator[str], size: int) -> PreTrainedTokenizerFast:
    trained = Tokenizer(BPE())
    trained.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(WORDS), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    trained.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=[BEGIN, TURN_END, HEAD, HEAD_END], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )  # fmt: skip
    trained.train_from_iterator(texts, trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=trained, bos_token=BEGIN, eos_token=TURN_END, pad_token=TURN_END, model_max_length=512,
        padding_side="left", additional_special_tokens=[HEAD, HEAD_END],
    )  # fmt: skip
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=POCKET)
    parser.add_argument("--texts", type=int, default=20000, help="rounds of four texts")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    system = (ROOT / "src/animatic/prompts/pocket.txt").read_text(encoding="utf-8").strip()
    lines = (system.replace("{words}", str(n)) for n in range(20, 121) for _ in range(50))
    roles = ["system", "user", "assistant", "\n\n"] * 2000
    t5 = t5_tokenizer(corpus(args.seed, args.texts), T5_PIECES)
    t5.save_pretrained(args.out / "image/tokenizer_2")
    t5.save_pretrained(args.out / "video/tokenizer")
    clip = clip_tokenizer(corpus(args.seed, args.texts), CLIP_MERGES)
    clip.save_pretrained(args.out / "image/tokenizer")
    clip.backend_tokenizer.model.save(str(args.out / "image/tokenizer"))
    chat = chat_tokenizer(iter([*corpus(args.seed, args.texts), *lines, *roles]), CHAT_TOKENS)
    chat.save_pretrained(args.out / "chat")
    config = args.out / "chat/tokenizer_config.json"  # the class name that other versions of transformers know too
    config.write_text(config.read_text().replace('"TokenizersBackend"', '"PreTrainedTokenizerFast"'))
    print(f"t5 {len(t5)}, clip {len(clip)}, chat {len(chat)} tokens")


if __name__ == "__main__":
    main()
