"""The safetensors reader: what is whole is read as the library reads it, what is not is refused by name."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from animatic import weights
from animatic.errors import WeightsError


def write(path: Path, header: Any, data: bytes = b"", length: int | None = None) -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes((len(text) if length is None else length).to_bytes(8, "little") + text + data)
    return path


def f32(begin: int, end: int, shape: list[int] | None = None) -> dict[str, Any]:
    return {"dtype": "F32", "shape": shape or [(end - begin) // 4], "data_offsets": [begin, end]}


def save(path: Path, **arrays: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    safetensors.numpy.save_file({name: np.zeros(n, np.float32) for name, n in arrays.items()}, path)
    return path


def shards(folder: Path) -> Path:
    """Two shards and their index, as transformers writes them."""
    save(folder / "model-00001-of-00002.safetensors", a=3)
    save(folder / "model-00002-of-00002.safetensors", b=5)
    names = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": names}))
    return folder


DTYPES = {"F32": np.float32, "F16": np.float16, "I64": np.int64, "U8": np.uint8, "BOOL": np.bool_}
shapes = st.lists(st.integers(0, 5), max_size=4).map(tuple)
tensors = st.dictionaries(
    st.text(st.characters(codec="utf-8"), min_size=1, max_size=12).filter(lambda s: s != "__metadata__"),
    st.tuples(st.sampled_from(sorted(DTYPES)), shapes),
    max_size=6,
)


@given(tensors)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_headers_agree_with_the_library(tmp_path: Path, wanted: dict[str, tuple[str, tuple[int, ...]]]) -> None:
    rng = np.random.default_rng(0)
    arrays = {n: rng.integers(0, 2, shape).astype(DTYPES[kind]) for n, (kind, shape) in wanted.items()}
    path = tmp_path / "model.safetensors"
    safetensors.numpy.save_file(arrays, path, metadata={"format": "np"})
    found = {t.name: t for t in weights.read_header(path)}
    assert {n: (t.dtype, t.shape) for n, t in found.items()} == wanted
    raw = path.read_bytes()
    for name, array in arrays.items():
        assert raw[found[name].offset :][: found[name].nbytes] == array.tobytes()


@given(st.binary(max_size=200))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_noise_is_refused_and_nothing_else_happens(tmp_path: Path, noise: bytes) -> None:
    path = tmp_path / "noise.safetensors"
    path.write_bytes(noise)
    with pytest.raises(WeightsError, match=r"noise\.safetensors"):
        weights.read_header(path)


@pytest.mark.parametrize(
    ("header", "data", "says"),
    [
        ({"a": f32(0, 8), "b": f32(4, 12)}, bytes(12), "offsets of a and b overlap"),
        ({"a": f32(0, 8), "b": f32(0, 8)}, bytes(8), "overlap"),
        ({"a": f32(0, 8), "b": f32(12, 16)}, bytes(16), "a and b leave a hole"),
        ({"a": f32(4, 8)}, bytes(8), "the header and a leave a hole"),
        ({"a": f32(0, 8)}, bytes(7), "truncated: .* bytes are there; download it again"),
        ({"a": f32(0, 8)}, bytes(9), "1 bytes follow"),
        ({"a": f32(0, 8, [3])}, bytes(8), r"a is F32 \[3\], which takes 12 bytes, but has 8"),
        ({"a": {**f32(0, 8), "dtype": "Q7"}}, bytes(8), "unknown dtype 'Q7'"),
        ({"a": {**f32(0, 8), "shape": [-2]}}, bytes(8), "does not describe a"),
        ({"a": {**f32(0, 8), "shape": [True, 2]}}, bytes(8), "does not describe a"),
        ({"a": {**f32(0, 8), "data_offsets": [0]}}, bytes(8), "does not describe a"),
        ({"a": 7}, b"", "does not describe a"),
        ([1], b"", "no JSON object"),
        (b"{", b"", "no JSON"),
        (b"\xff\xfe", b"", "no JSON"),
        (b'{"a": 1, "a": 2}', b"", "twice"),
    ],
)
def test_damage_is_named(tmp_path: Path, header: Any, data: bytes, says: str) -> None:
    with pytest.raises(WeightsError, match=says):
        weights.read_header(write(tmp_path / "x.safetensors", header, data))


def test_missing_empty_truncated_and_oversized(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    with pytest.raises(WeightsError, match="is missing"):
        weights.read_header(path)
    for data, says in (
        (b"", "is empty"),
        (b"\x10\0\0", "truncated: 3 bytes"),
        ((100).to_bytes(8, "little") + b"{}", "truncated within its header"),
        ((100_000_001).to_bytes(8, "little") + b"{}", "100,000,001 bytes"),
    ):
        path.write_bytes(data)
        with pytest.raises(WeightsError, match=says):
            weights.read_header(path)
    with pytest.raises(WeightsError, match="cannot be read"):
        weights.read_header(tmp_path)


def test_a_git_lfs_pointer_says_how_to_get_the_weights(tmp_path: Path) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n"
    (tmp_path / "model.safetensors").write_text(pointer)
    with pytest.raises(WeightsError, match="git lfs pull"):
        weights.inspect(tmp_path)


def test_a_component_may_be_one_file_or_shards(tmp_path: Path) -> None:
    save(tmp_path / "one/diffusion_pytorch_model.safetensors", a=3, b=5)
    one, two = weights.inspect(tmp_path / "one"), weights.inspect(shards(tmp_path / "two"))
    assert {t.name for t in one} == {t.name for t in two} == {"a", "b"}
    assert weights.nbytes(one) == weights.nbytes(two) == 32
    assert weights.cast_nbytes(two, 2) == 16


def test_whole_numbers_are_not_cast(tmp_path: Path) -> None:
    safetensors.numpy.save_file({"ids": np.zeros(4, np.int64)}, tmp_path / "model.safetensors")
    assert weights.cast_nbytes(weights.inspect(tmp_path), 2) == 32


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    (shards(tmp_path) / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(WeightsError, match="1 of 2 shards are missing, first model-00002-of-00002"):
        weights.inspect(tmp_path)


def test_a_truncated_shard_is_named(tmp_path: Path) -> None:
    shard = shards(tmp_path) / "model-00002-of-00002.safetensors"
    shard.write_bytes(shard.read_bytes()[:-4])
    with pytest.raises(WeightsError, match=r"model-00002-of-00002\.safetensors is truncated"):
        weights.inspect(tmp_path)


@pytest.mark.parametrize(
    ("weight_map", "says"),
    [
        ({"a": "model-00001-of-00002.safetensors"}, None),
        ({"a": "model-00001-of-00002.safetensors", "c": "model-00002-of-00002.safetensors"}, "about b"),
        ({"a": "model-00002-of-00002.safetensors", "b": "model-00001-of-00002.safetensors"}, "about a"),
        ({"a": "../model-00001-of-00002.safetensors"}, "no safetensors file beside it"),
        ({"a": "model.bin"}, "no safetensors file beside it"),
        (["a"], "no index"),
    ],
)
def test_the_index_must_agree_with_the_shards(tmp_path: Path, weight_map: Any, says: str | None) -> None:
    index = shards(tmp_path) / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": weight_map}))
    if says is None:
        assert [t.name for t in weights.inspect(tmp_path)] == ["a"]
        return
    with pytest.raises(WeightsError, match=says):
        weights.inspect(tmp_path)


def test_pickles_are_refused(tmp_path: Path) -> None:
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    with pytest.raises(WeightsError, match=r"pickled weights \(pytorch_model.bin\): refused, .* safetensors"):
        weights.inspect(tmp_path)


def test_no_weights_and_no_folder(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"no weights: model\.safetensors or"):
        weights.inspect(tmp_path)
    with pytest.raises(WeightsError, match="nowhere is missing"):
        weights.inspect(tmp_path / "nowhere")
    save(tmp_path / "model-00001-of-00002.safetensors", a=1)
    with pytest.raises(WeightsError, match="no index names its shards"):
        weights.inspect(tmp_path)


@pytest.mark.parametrize("dtype", ["F8_E4M3", "U8", "I64"])
def test_what_cannot_be_cast_is_refused_by_name(tmp_path: Path, dtype: str) -> None:
    entry = {"dtype": dtype, "shape": [8], "data_offsets": [32, 32 + weights.BITS[dtype]]}
    write(tmp_path / "model.safetensors", {"a": f32(0, 32), "b.weight": entry}, bytes(32 + weights.BITS[dtype]))
    tensors = weights.inspect(tmp_path)
    with pytest.raises(WeightsError, match=rf"model\.safetensors: b\.weight is {dtype}, where BF16, .* is wanted"):
        weights.check_dtypes(tensors)
    weights.check_dtypes(tensors[:1])
    weights.check_dtypes(tensors, {"F32", dtype})


def test_torch_is_not_needed() -> None:
    code = (
        "import sys, animatic.weights, animatic.reader, animatic.digest\n"
        "import animatic.catalog, animatic.machine, animatic.pull\n"
        "sys.exit(bool({'torch', 'transformers', 'diffusers', 'huggingface_hub'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
