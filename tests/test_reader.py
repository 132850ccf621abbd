"""The reader of weights: every byte is in its place, and whatever goes wrong, no thread and no file stays behind."""

from __future__ import annotations

import gc
import json
import os
import resource
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from animatic import digest, reader, weights
from animatic.errors import CapacityError, WeightsError
from animatic.reader import Arena, Cancelled, Reader
from animatic.weights import Tensor

DTYPES = ("BOOL", "U8", "F16", "F32", "I64", "C64", "F4", "F6_E2M3")
ELEMENTS = st.one_of(st.integers(0, 60), st.integers(500, 3000)).map(lambda n: n * 8)
CASES = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.fixture(autouse=True)
def nothing_stays_behind() -> Iterator[None]:
    gc.collect()
    threads, before = set(threading.enumerate()), descriptors()
    yield
    gc.collect()
    assert not set(threading.enumerate()) - threads and descriptors() == before


def write(path: Path, sizes: list[tuple[str, int]], seed: int = 0) -> list[Tensor]:
    """A file of tensors of any of the format's dtypes, with random bytes, neighbours as the format wants them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    entries, end = {}, 0
    for number, (dtype, elements) in enumerate(sizes):
        nbytes = elements * weights.BITS[dtype] // 8
        entries[f"{path.stem}.{number}"] = {"dtype": dtype, "shape": [elements], "data_offsets": [end, end + nbytes]}
        end += nbytes
    header = json.dumps(entries).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + np.random.default_rng(seed).bytes(end))
    return list(weights.read_header(path))


def stored(tensor: Tensor) -> bytes:
    return tensor.file.read_bytes()[tensor.offset :][: tensor.nbytes]


def filled(tensors: list[Tensor], **options: int) -> tuple[tuple[reader.Place, ...], Arena]:
    places, total = reader.layout(tensors)
    arena = Arena(total)
    Reader(**options).fill(places, arena.view())
    return places, arena


# ----------------------------------------------------------------------------------------------------- memory


@pytest.mark.parametrize("nbytes", [0, 1, 4096, 5000, 3 << 20])
def test_an_arena_is_writable_memory_of_the_very_size(nbytes: int) -> None:
    arena = Arena(nbytes)
    assert arena.nbytes == arena.view().nbytes == nbytes
    assert not arena.view().readonly
    arena.view()[nbytes // 2 :] = b"x" * (nbytes - nbytes // 2)
    assert bytes(arena.view(nbytes // 2)) == b"x" * (nbytes - nbytes // 2)
    with pytest.raises(ValueError, match="not within"):
        arena.view(1, nbytes)


def test_tensors_keep_the_memory_alive() -> None:
    arena = Arena(1 << 20)
    tensor = torch.frombuffer(arena.buffer, dtype=torch.float32, count=8, offset=256)
    arena.view(256, 4)[:] = np.float32(7).tobytes()
    assert tensor.data_ptr() % 256 == 0
    del arena
    gc.collect()
    assert tensor[0] == 7


def test_memory_that_is_not_there_is_a_capacity_error() -> None:
    with pytest.raises(CapacityError, match=r"GiB of main memory could not be had"):
        Arena(1 << 62)


def tensor(name: str, elements: int = 3, dtype: str = "F32") -> Tensor:
    return Tensor(name, dtype, (elements,), Path("x"), 0, elements * weights.BITS[dtype] // 8)


@given(st.lists(st.tuples(st.sampled_from(("F32", "F16")), st.integers(0, 500))), st.sampled_from([None, 2, 4]))
def test_places_are_aligned_in_order_and_apart(sizes: list[tuple[str, int]], itemsize: int | None) -> None:
    tensors = [tensor(str(i), n, dtype) for i, (dtype, n) in enumerate(sizes)]
    places, total = reader.layout(tensors, None if itemsize is None else lambda _: itemsize)
    assert [place.tensor for place in places] == tensors
    end = 0
    for place in places:
        assert place.offset % 256 == 0
        assert end <= place.offset < end + 256
        assert place.nbytes == (place.tensor.elements * itemsize if itemsize else place.tensor.nbytes)
        end = place.offset + place.nbytes
    assert total == end


# ---------------------------------------------------------------------------------------------------- reading


@given(
    st.lists(st.lists(st.tuples(st.sampled_from(DTYPES), ELEMENTS), max_size=9), min_size=1, max_size=3),
    st.randoms(use_true_random=False),
    st.integers(1, 4),
    st.sampled_from([1, 7, 64, 1000, 4096, 8 << 20]),
)
@CASES
@pytest.mark.slow
def test_filling_puts_every_byte_in_its_place(tmp_path: Path, files, random, threads: int, chunk: int) -> None:  # type: ignore[no-untyped-def]
    if chunk < 64:
        files = [[(dtype, n % 50 * 8) for dtype, n in file] for file in files]
    tensors = [t for i, sizes in enumerate(files) for t in write(tmp_path / f"{i}.safetensors", sizes, i)]
    random.shuffle(tensors)
    tensors = tensors[: random.randint(0, len(tensors))]
    places, arena = filled(tensors, threads=threads, chunk=chunk)
    before = 0
    for place in places:
        assert bytes(arena.view(place.offset, place.nbytes)) == stored(place.tensor)
        assert not any(arena.view(before, place.offset - before))  # what is between them was left alone
        before = place.offset + place.nbytes


@given(
    st.lists(st.tuples(st.sampled_from(DTYPES), ELEMENTS), max_size=12),
    st.randoms(use_true_random=False),
    st.integers(1, 4),
    st.lists(st.sampled_from([64, 100, 1000, 4096]), min_size=1, max_size=5),
)
@CASES
@pytest.mark.slow
def test_chunks_are_all_bytes_in_order_between_elements(tmp_path: Path, sizes, random, threads, ring) -> None:  # type: ignore[no-untyped-def]
    tensors = write(tmp_path / "x.safetensors", sizes)
    random.shuffle(tensors)
    read = dict.fromkeys(tensors, b"")
    order = []
    for tensor, offset, data in Reader(threads).chunks(tensors, ring=[bytearray(n) for n in ring]):
        assert offset == len(read[tensor])
        bits = weights.BITS[tensor.dtype]
        assert offset * 8 % bits == len(data) * 8 % bits == 0
        read[tensor] += data
        order.append(tensor)
    assert read == {t: stored(t) for t in tensors}
    assert list(dict.fromkeys(order)) == [t for t in tensors if t.nbytes]


def test_the_library_reads_the_same(tmp_path: Path) -> None:
    arrays = {f"t{i}": np.random.default_rng(i).normal(size=(i, 300)).astype(np.float32) for i in range(40)}
    safetensors.numpy.save_file(arrays, tmp_path / "model.safetensors")
    places, arena = filled(list(weights.inspect(tmp_path)), chunk=10_000)
    for place in places:
        found = np.frombuffer(arena.view(place.offset, place.nbytes), np.float32).reshape(place.tensor.shape)
        assert np.array_equal(found, arrays[place.tensor.name])


def test_the_reader_brings_its_own_ring(tmp_path: Path) -> None:
    (tensor,) = write(tmp_path / "x.safetensors", [("F32", 50_000)])
    pieces = [bytes(data) for _, _, data in Reader(chunk=1001).chunks([tensor])]
    assert b"".join(pieces) == stored(tensor)
    assert len(pieces) > reader.RING


def test_wrong_places_and_rings_are_refused(tmp_path: Path) -> None:
    tensors = write(tmp_path / "x.safetensors", [("F32", 8)])
    cast, total = reader.layout(tensors, lambda _: 2)
    with pytest.raises(ValueError, match="has 32 bytes, but a place of 16"):
        Reader().fill(cast, Arena(total).view())
    places, total = reader.layout(tensors)
    with pytest.raises(ValueError, match="not within the 31 bytes"):
        Reader().fill(places, Arena(31).view())
    with pytest.raises(ValueError, match="a ring needs buffers"):
        next(Reader().chunks(tensors, ring=[]))


# ------------------------------------------------------------------------------------------ what can go wrong


def both(tensors: list[Tensor], cancelled: threading.Event | None = None) -> Iterator[Callable[[], object]]:
    """Each of the two ways, to be run to its end."""
    places, total = reader.layout(tensors)
    yield lambda: Reader(chunk=4096).fill(places, Arena(total).view(), cancelled)
    yield lambda: list(Reader(chunk=4096).chunks(tensors, cancelled))


def test_a_file_cut_short_is_named(tmp_path: Path) -> None:
    tensors = write(tmp_path / "x.safetensors", [("F32", 10_000)] * 9)
    os.truncate(tmp_path / "x.safetensors", tensors[5].offset + 10)
    for read in both(tensors):
        with pytest.raises(WeightsError, match=r"x\.safetensors is truncated: it ends at byte .*; download it again"):
            read()


def test_a_file_that_went_away_is_named(tmp_path: Path) -> None:
    tensors = write(tmp_path / "x.safetensors", [("F32", 10)]) + write(tmp_path / "y.safetensors", [("F32", 10)])
    (tmp_path / "y.safetensors").unlink()
    for read in both(tensors):
        with pytest.raises(WeightsError, match=r"y\.safetensors cannot be read: No such file"):
            read()


def test_an_error_of_the_disk_is_named(tmp_path: Path) -> None:
    good = write(tmp_path / "x.safetensors", [("F32", 10_000)] * 9)
    bad = Tensor("bad", "F32", (4,), Path("/proc/self/mem"), 0, 16)  # Nothing is mapped there: the kernel says EIO.
    for read in both([*good, bad, *good]):
        with pytest.raises(WeightsError, match=r"/proc/self/mem cannot be read at byte 0: Input/output error"):
            read()


def test_no_more_files_is_an_error_not_a_leak(tmp_path: Path) -> None:
    tensors = [t for i in range(40) for t in write(tmp_path / f"{i}.safetensors", [("F32", 10)])]
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors() + 10, hard))
    try:
        for read in both(tensors):
            with pytest.raises(WeightsError, match="Too many open files"):
                read()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_reading_can_be_called_off(tmp_path: Path) -> None:
    tensors = write(tmp_path / "x.safetensors", [("F32", 10_000)] * 9)
    cancelled = threading.Event()
    cancelled.set()
    for read in both(tensors, cancelled):
        with pytest.raises(Cancelled):
            read()


def test_chunks_can_be_called_off_midway_or_just_left(tmp_path: Path) -> None:
    tensors = write(tmp_path / "x.safetensors", [("F32", 10_000)] * 9)
    cancelled = threading.Event()
    pieces = Reader(chunk=4096).chunks(tensors, cancelled)
    next(pieces)
    cancelled.set()
    with pytest.raises(Cancelled):
        next(pieces)
    left = Reader(chunk=4096).chunks(tensors)
    next(left)
    left.close()
    assert not [t for t in threading.enumerate() if t.name.startswith("reader")]


def test_what_was_read_is_compared_with_what_was_verified(tmp_path: Path) -> None:
    tensors = write(tmp_path / "model.safetensors", [("F32", 3000), ("U8", 0), ("F16", 5000)])
    known = digest.tensor_digests(tmp_path)
    places, total = reader.layout(tensors)
    Reader(chunk=4096).fill(places, Arena(total).view(), verify=known)
    data = bytearray(tensors[0].file.read_bytes())
    data[-1] ^= 1
    tensors[0].file.write_bytes(data)
    Reader(chunk=4096).fill(places, Arena(total).view())
    with pytest.raises(WeightsError, match=r"model\.safetensors: model\.2 is not what it was when it was verified"):
        Reader(chunk=4096).fill(places, Arena(total).view(), verify=known)
