"""Digests of weights: the same for the same tensors however they are sharded, and never made twice."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from animatic import digest
from animatic.errors import WeightsError

Arrays = dict[str, np.ndarray]


def one(folder: Path, arrays: Arrays) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    safetensors.numpy.save_file(arrays, folder / "model.safetensors")
    return folder


def sharded(folder: Path, *shards: Arrays) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    where = {}
    for number, arrays in enumerate(shards, 1):
        file = f"model-{number:05}-of-{len(shards):05}.safetensors"
        safetensors.numpy.save_file(arrays, folder / file)
        where |= dict.fromkeys(arrays, file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": where}))
    return folder


def arrays(seed: int = 0) -> Arrays:
    rng = np.random.default_rng(seed)
    return {
        "a": rng.normal(size=(3, 5)).astype(np.float32),
        "b": rng.normal(size=7).astype(np.float16),
        "c": np.zeros((0, 4), np.float32),
        "d": rng.integers(0, 9, 2),
    }


def sha(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def spoil(path: Path, byte: int = -1) -> None:
    """Another byte, and nothing else about the file: not even its time."""
    status = path.stat()
    data = bytearray(path.read_bytes())
    data[byte] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def test_the_digest_of_one_file_is_its_sha256(tmp_path: Path) -> None:
    assert digest.digest(one(tmp_path, arrays())) == sha(tmp_path / "model.safetensors")


def test_the_digest_of_shards_depends_on_each(tmp_path: Path) -> None:
    folder = sharded(tmp_path, {"a": np.zeros(3)}, {"b": np.zeros(5)})
    before = digest.digest(folder)
    assert digest.digest(sharded(tmp_path, {"a": np.zeros(3)}, {"b": np.ones(5)})) != before


def test_a_file_is_read_once_until_it_changes(tmp_path: Path) -> None:
    path = one(tmp_path, arrays()) / "model.safetensors"
    first, tensors = digest.digest(tmp_path), digest.tensor_digests(tmp_path)
    spoil(path)  # Only who reads it again would see.
    assert digest.digest(tmp_path) == first
    assert digest.tensor_digests(tmp_path) == tensors
    os.utime(path, ns=(0, 0))
    assert digest.digest(tmp_path) == sha(path) != first
    assert digest.tensor_digests(tmp_path) != tensors


def test_a_broken_or_unwritable_cache_only_costs_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = one(tmp_path / "model", arrays()) / "model.safetensors"
    expected = digest.tensor_digests(path.parent)
    monkeypatch.setattr(digest, "_cache_folder", lambda: tmp_path / "cache")
    (tmp_path / "cache").mkdir()
    for text in ("{", "[]", json.dumps({digest._identity(path): {"a": "short of the others"}})):
        (tmp_path / "cache" / digest.TENSORS).write_text(text)
        assert digest.tensor_digests(path.parent) == expected
    for text in ("{", "[]"):
        (tmp_path / "cache" / digest.FILES).write_text(text)
        assert digest.digest(path.parent) == sha(path)
    monkeypatch.setattr(digest, "_cache_folder", lambda: path / "inside/a")
    assert digest.digest(path.parent) == sha(path)
    assert digest.tensor_digests(path.parent) == expected


def hub_cache(folder: Path, arrays: Arrays) -> Path:
    """A snapshot as the Hub's cache keeps it: a link to a file named by its SHA-256."""
    blobs, snapshot = folder / "blobs", folder / "snapshot"
    one(blobs, arrays)
    snapshot.mkdir()
    blob = (blobs / "model.safetensors").rename(blobs / sha(blobs / "model.safetensors"))
    (snapshot / "model.safetensors").symlink_to(blob)
    return snapshot


def test_the_hugging_face_cache_names_files_by_their_digest(tmp_path: Path) -> None:
    snapshot = hub_cache(tmp_path, arrays())
    named = (snapshot / "model.safetensors").resolve().name
    spoil(snapshot / "model.safetensors")  # It is taken at its word, until someone asks to verify it.
    assert digest.digest(snapshot) == named
    with pytest.raises(WeightsError, match=rf"is damaged: its SHA-256 is .*, but should be {named}"):
        digest.verify(snapshot)


@given(st.lists(st.sampled_from("xyz"), min_size=4, max_size=4), st.integers(0, 3), st.integers(0, 2**16))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
def test_sharding_makes_no_difference_but_a_byte_does(
    tmp_path_factory: pytest.TempPathFactory, shard_of: list[str], which: int, seed: int
) -> None:
    tmp_path = tmp_path_factory.mktemp("case")
    whole = arrays(seed)
    shards = [{n: whole[n] for n, s in zip(whole, shard_of, strict=True) if s == letter} for letter in "xyz"]
    a = one(tmp_path / "a", whole)
    b = sharded(tmp_path / "b", *(shard for shard in shards if shard))
    assert digest.tensor_digests(a) == digest.tensor_digests(b)
    assert digest.component_digest(a, "bfloat16") == digest.component_digest(b, "bfloat16")
    name = "abcd"[which]
    other = {**whole, name: whole[name] + 1} if whole[name].size else {**whole, name: np.zeros((4, 0), np.float32)}
    c = one(tmp_path / "c", other)
    assert digest.component_digest(c, "bfloat16") != digest.component_digest(a, "bfloat16")
    rest = set("abcd") - {name}
    assert digest.component_digest(c, "float32", rest) == digest.component_digest(a, "float32", rest)


def test_what_it_is_cast_to_counts(tmp_path: Path) -> None:
    folder = one(tmp_path, arrays())
    assert digest.component_digest(folder, "float32") != digest.component_digest(folder, "bfloat16")


def test_equality_is_proven_or_not_claimed(tmp_path: Path) -> None:
    a, b, c = one(tmp_path / "a", arrays()), sharded(tmp_path / "b", arrays()), one(tmp_path / "c", arrays(1))
    assert not digest.proven_equal(a, b)
    assert digest.proven_equal(a, b, compute=True)
    assert digest.proven_equal(a, b)  # by now it is known
    assert not digest.proven_equal(a, c, compute=True)
    d = one(tmp_path / "d", {**arrays(), "e": np.zeros(1)})
    assert not digest.proven_equal(a, d, compute=True)
    assert not digest.is_known(d)  # its header was enough


def test_equal_names_in_the_hub_cache_are_a_proof(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    assert digest.proven_equal(hub_cache(tmp_path / "a", arrays()), hub_cache(tmp_path / "b", arrays()))


def test_verify_makes_all_digests_and_says_how_far_it_is(tmp_path: Path) -> None:
    folder = sharded(tmp_path, {"a": np.zeros(3)}, {"b": np.zeros(5)})
    read: list[int] = []
    found = digest.verify(folder, read.append)
    paths = sorted(folder.glob("*.safetensors"))
    assert found.files == {path.name: sha(path) for path in paths}
    assert sum(read) == found.nbytes == sum(path.stat().st_size for path in paths)
    assert digest.is_known(folder)
    assert found.tensors == digest.tensor_digests(folder)


def test_verify_sees_what_a_file_lost_without_being_written(tmp_path: Path) -> None:
    path = one(tmp_path, arrays()) / "model.safetensors"
    before = digest.verify(tmp_path).files["model.safetensors"]
    spoil(path)
    with pytest.raises(WeightsError, match=rf"model\.safetensors is damaged: .* should be {before}; download it again"):
        digest.verify(tmp_path)


def test_a_file_that_changes_while_it_is_read_has_no_digest(tmp_path: Path) -> None:
    path = one(tmp_path, arrays()) / "model.safetensors"
    with pytest.raises(WeightsError, match="changed while it was read"):
        digest.verify(tmp_path, lambda _: os.utime(path, ns=(1, 1)))
    assert not digest.is_known(tmp_path)
