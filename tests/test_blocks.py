"""Which blocks stay: evenly spaced, and the bytes add up."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from animatic.blocks import block_of, passed_bytes, resident_blocks, slot_bytes, streamed_blocks, streamed_bytes

sizes = st.lists(st.integers(0, 1000), max_size=60)


@given(st.integers(0, 100), st.integers(0, 120))
def test_resident_blocks_are_evenly_spaced(count: int, k: int) -> None:
    stay, pass_through = resident_blocks(count, k), streamed_blocks(count, k)
    assert len(stay) == min(k, count) and sorted((*stay, *pass_through)) == list(range(count))
    gaps = [b - a for a, b in zip(stay, (*stay[1:], *(count + first for first in stay[:1])), strict=True)]
    assert not gaps or max(gaps) - min(gaps) <= 1


@given(sizes, st.integers(0, 60), st.integers(0, 1000))
def test_bytes_add_up(blocks: list[int], k: int, outside: int) -> None:
    nbytes = outside + sum(blocks)
    slots, largest = slot_bytes(blocks, k)
    stay = sum(blocks[i] for i in resident_blocks(len(blocks), k))
    assert streamed_bytes(nbytes, blocks, k) == outside + stay + slots * largest
    assert passed_bytes(blocks, k) + stay == sum(blocks)
    assert streamed_bytes(nbytes, blocks, len(blocks)) == nbytes


def test_blocks_by_the_names_of_their_tensors() -> None:
    lists = ("transformer_blocks", "single_transformer_blocks")
    assert block_of("single_transformer_blocks.12.norm.weight", lists) == (1, 12)
    assert block_of("transformer_blocks.3.attn.to_q.bias", lists) == (0, 3)
    assert block_of("x_embedder.weight", lists) is None
    assert block_of("transformer_blocks.weight", lists) is None
