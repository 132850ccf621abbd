"""What text encoders take: T5 and CLIP."""

from __future__ import annotations

from animatic.cost.base import Config, Cost, Size, linear

CLIP_TOKENS = 77


def t5_size(c: Config) -> Size:
    d, inner = c["d_model"], c["num_heads"] * c["d_kv"]
    block = 4 * d * inner + _t5_products(c) * d * c["d_ff"] + 2 * d
    bias = c["relative_attention_num_buckets"] * c["num_heads"]  # The first block's, for all.
    blocks = (block + bias, *(block,) * (c["num_layers"] - 1))
    return Size(sum(blocks) + c["vocab_size"] * d + d, blocks=blocks, modulated=(0,) * c["num_layers"])


def _t5_products(c: Config) -> int:
    return 3 if c.get("is_gated_act", str(c["feed_forward_proj"]).startswith("gated")) else 2


def clip_size(c: Config) -> Size:
    d, ff = c["hidden_size"], c["intermediate_size"]
    block = 4 * linear(d, d) + linear(d, ff) + linear(ff, d) + 4 * d
    return Size(c["num_hidden_layers"] * block + (c["vocab_size"] + c["max_position_embeddings"]) * d + 2 * d)


def t5(c: Config, tokens: int, prompts: int, item: int) -> Cost:
    """Prompts are encoded one after another, each padded to `tokens`."""
    d, inner, ff = c["d_model"], c["num_heads"] * c["d_kv"], c["d_ff"]
    products = 2 * tokens * (4 * d * inner + _t5_products(c) * d * ff)
    flops = prompts * c["num_layers"] * (products + 4 * tokens**2 * inner)
    # The position bias and the embeddings live through all blocks. In attention beside them: the block's input, its
    # norm, queries, keys, values, the result, and a copy of the bias, which the kernel gets; in the feed-forward:
    # the block's input, the sum with attention, its norm, the wide product and three temporaries of its GELU.
    bias = c["num_heads"] * tokens**2 * item
    attention = bias + item * tokens * (3 * d + 4 * inner)
    feed = item * tokens * (4 * d + 4 * ff)
    held = bias + item * tokens * d
    traffic = prompts * t5_size(c).parameters * item
    return Cost(flops, bias + max(attention, feed), prompts, held, traffic)


def clip(c: Config, prompts: int, item: int) -> Cost:
    """Prompts are encoded one after another."""
    n, d, ff = CLIP_TOKENS, c["hidden_size"], c["intermediate_size"]
    flops = prompts * c["num_hidden_layers"] * (2 * n * (4 * d * d + 2 * d * ff) + 4 * n * n * d)
    workspace = n * item * (3 * d + 3 * ff)  # the feed-forward and its quick GELU
    return Cost(flops, workspace, prompts, 0, prompts * clip_size(c).parameters * item)
