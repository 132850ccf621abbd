"""What chat models take: as transformers computes Llama, Qwen and GLM."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from animatic.cost.base import Config, Configs, Cost, Options, Phase, Size, integer, linear

TOKENS_A_WORD = 1.4
"""Of English prose, with the tokenizers of chat models."""

PROMPT_TOKENS = 320
"""A system prompt, the user's sentence, and what the chat template adds: more than the packaged prompts take."""

SAMPLING = 30
"""Bytes for each word of the vocabulary while a token is drawn: float32 scores, sorted ones, their places, sums."""


def size(c: Config) -> Size:
    d, layers, vocabulary, kind = c["hidden_size"], c["num_hidden_layers"], c["vocab_size"], c.get("model_type")
    inner, kv, head = _heads(c)
    bias = c.get("attention_bias", kind in ("glm", "glm4")) or kind == "qwen2"
    attention = linear(d, inner, bias) + 2 * linear(d, kv, bias)
    attention += linear(inner, d, bias and kind not in ("glm", "glm4", "qwen2"))
    attention += 2 * head if kind == "qwen3" else 0  # norms of queries and keys
    feed = 3 * d * c["intermediate_size"]
    feed += 2 * c["intermediate_size"] + d if c.get("mlp_bias") else 0
    block = attention + feed + (4 if kind == "glm4" else 2) * d  # GLM-4-0414 also norms what it adds
    embeddings = vocabulary * d * (1 if c.get("tie_word_embeddings") else 2)
    return Size(layers * block + embeddings + d, blocks=(block,) * layers, modulated=(0,) * layers)


def _heads(c: Config) -> tuple[int, int, int]:
    """Widths of queries, of keys, and of one head."""
    heads = c["num_attention_heads"]
    head = c.get("head_dim") or c["hidden_size"] // heads
    return heads * head, (c.get("num_key_value_heads") or heads) * head, head


def _generate(parts: Configs, options: Options, item: int) -> Cost:
    most = integer(options, "refine.max_new_tokens")
    tokens = max(1, min(most, round(integer(options, "refine.words") * TOKENS_A_WORD)))
    return generate(parts["llm"], PROMPT_TOKENS, tokens, most, item)


def generate(config: Mapping[str, Any], prompt: int, tokens: int, most: int, itemsize: int) -> Cost:
    """Of answering a prompt of so many tokens. Time is that of `tokens`, memory that of the `most` there can be."""
    c = Config("llm", config)
    d, layers, vocabulary = c["hidden_size"], c["num_hidden_layers"], c["vocab_size"]
    inner, kv, _ = _heads(c)
    ff = c["intermediate_size"]
    products = 2 * layers * (2 * d * inner + 2 * d * kv + 3 * d * ff)
    pairs = prompt**2 + sum(range(prompt + 1, prompt + tokens))  # Causal attention is counted in full.
    flops = (prompt + tokens - 1) * products + 4 * layers * inner * pairs + 2 * tokens * d * vocabulary
    cache = 2 * layers * kv * itemsize  # of one token
    # Reading the prompt: its embeddings, a block's input, the sum with attention and its norm; gate, up and product
    # (GLM: gate and up are one, which stays).
    fused = c.get("model_type") in ("glm", "glm4")
    reading = prompt * (cache + itemsize * (4 * d + (4 if fused else 3) * ff))
    # Writing: a layer's keys are copied when one is added; sampling sorts, sums and scatters the vocabulary.
    writing = (prompt + most) * (cache + kv * itemsize) + vocabulary * SAMPLING
    weights = size(c).parameters - (0 if c.get("tie_word_embeddings") else vocabulary * d)
    held = (prompt + most) * cache + d * itemsize
    return Cost(flops, max(reading, writing), tokens, held, tokens * weights * itemsize)


SIZES = {"llm": size}
PHASES: Mapping[str, Phase] = {"generate": _generate}
