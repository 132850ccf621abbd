"""Artifacts are found again by what they were made from, and by nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from animatic.core import Phase, Shot
from animatic.store import Store

SHOT = Shot("a red boat", 0, "pocket", {})


def phases(words: int = 100, steps: int = 20) -> tuple[Phase, Phase, Phase]:
    caption = Phase("refine.generate", "caption", SHOT, {"words": words})
    encode = Phase("image.encode", "embeddings", SHOT, {}, inputs=(caption,))
    return caption, encode, Phase("image.denoise", "latents", SHOT, {"steps": steps}, inputs=(encode,))


def test_what_was_put_is_got_by_another_store(tmp_path: Path) -> None:
    caption, *_ = phases()
    store = Store(tmp_path)
    key = store.key(caption)
    assert key
    store.put(key, b"text", ".json", {"seconds": 1.5})
    again = Store(tmp_path).get(key)
    assert again and again.read() == b"text" and again.record == {"seconds": 1.5}


def test_missing_walks_as_far_as_keys_are_known(tmp_path: Path) -> None:
    caption, encode, denoise = phases()
    store = Store(tmp_path)
    assert store.missing([caption, encode, denoise]) == [caption, encode, denoise]
    assert store.key(encode) is None, "it reads a caption that is not there"
    store.put(store.key(caption) or "", b"text", ".json", {})
    assert store.missing([caption, encode, denoise]) == [encode, denoise]
    assert store.key(denoise) is not None, "latents are named by recipe alone"


def test_equal_captions_share_what_follows(tmp_path: Path) -> None:
    short, long = phases(words=50), phases(words=100)
    store = Store(tmp_path)
    for caption in (short[0], long[0]):
        store.put(store.key(caption) or "", b'{"text": "a boat"}', ".json", {}, identity=b"a boat")
    assert store.key(short[0]) != store.key(long[0])
    assert store.key(short[2]) == store.key(long[2])


def test_an_edited_caption_changes_what_follows(tmp_path: Path) -> None:
    caption, _, denoise = phases()
    first, second = Store(tmp_path / "a"), Store(tmp_path / "b")
    for store, text in ((first, b"a boat"), (second, b"a ship")):
        store.folder.mkdir()
        store.put(store.key(caption) or "", text, ".json", {})
    assert first.key(denoise) != second.key(denoise)


def test_other_options_are_another_artifact(tmp_path: Path) -> None:
    store = Store(tmp_path)
    caption, *_ = phases()
    store.put(store.key(caption) or "", b"text", ".json", {})
    assert store.key(phases(steps=20)[2]) != store.key(phases(steps=21)[2])


def test_an_unfinished_put_is_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path)
    key = store.key(phases()[0]) or ""

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("os.fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        store.put(key, b"text", ".json", {})
    assert list(tmp_path.iterdir()) == [] and Store(tmp_path).get(key) is None
