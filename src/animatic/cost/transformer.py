"""What the diffusion transformers of all families have in common."""

from __future__ import annotations

from animatic.cost.base import FLOAT, Config, Cost, Size


def token_width(c: Config) -> int:
    """Elements of a token between two blocks."""
    return int(c["num_attention_heads"] * c["attention_head_dim"])


def modulate(whole: Size, steps: int, copies: int, table: int, item: int) -> Cost:
    """A row of `table` bytes for every step; all of them are kept, and the last is there twice for each copy (every
    norm's own, and put together), and once more."""
    traffic = steps * whole.modulation * item
    products = whole.modulation - table // item  # without the norms' biases, one for each element of a row
    return Cost(2 * steps * copies * products, (steps + 2 * copies) * table, steps, 0, traffic)


def turned(item: int) -> int:
    """Bytes an element of `apply_rotary_emb`: the swapped halves, then three in float32 (four, if it is the dtype)."""
    return item + 3 * FLOAT
