"""Which blocks of a streamed component stay in device memory, and the bytes that follow from it.

Pure arithmetic, shared by those who plan a placement and those who carry it out.
"""

from __future__ import annotations

from collections.abc import Sequence


def resident_blocks(count: int, k: int) -> tuple[int, ...]:
    """The numbers of `k` of `count` blocks, evenly spaced, the first among them."""
    k = max(0, min(k, count))
    return tuple(i * count // k for i in range(k))


def streamed_blocks(count: int, k: int) -> tuple[int, ...]:
    """The numbers of the others: they pass through the slots."""
    resident = set(resident_blocks(count, k))
    return tuple(i for i in range(count) if i not in resident)


def slot_bytes(blocks: Sequence[int], k: int) -> tuple[int, int]:
    """How many slots there are, and the bytes of each: two, as large as the largest block that passes through them."""
    passing = [blocks[i] for i in streamed_blocks(len(blocks), k)]
    return min(2, len(passing)), max(passing, default=0)


def streamed_bytes(nbytes: int, blocks: Sequence[int], k: int) -> int:
    """Bytes of device memory that a component of `nbytes` takes when all its blocks but `k` are streamed."""
    slots, largest = slot_bytes(blocks, k)
    return nbytes - passed_bytes(blocks, k) + slots * largest


def passed_bytes(blocks: Sequence[int], k: int) -> int:
    """Bytes that go through the slots whenever all blocks run once; a host copy of them takes as many."""
    return sum(blocks[i] for i in streamed_blocks(len(blocks), k))


def block_of(tensor: str, lists: Sequence[str]) -> tuple[int, int] | None:
    """The block a tensor is of: the number of its module list, and its number there; None: it is of none."""
    for number, prefix in enumerate(lists):
        if tensor.startswith(f"{prefix}."):
            index = tensor[len(prefix) + 1 :].partition(".")[0]
            return (number, int(index)) if index.isdecimal() else None
    return None
