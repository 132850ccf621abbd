"""Where clips are kept: a folder and fsspec's file systems keep the same promises."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest

from animatic.errors import OutputError
from animatic.storage import Storage, storage


@pytest.fixture(params=["folder", "memory", "file"])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    urls = {"folder": None, "memory": f"memory://{uuid.uuid4()}", "file": f"file://{tmp_path}/elsewhere"}
    return storage(urls[request.param], tmp_path)


def read(kept: Storage, name: str) -> bytes | None:
    if (there := kept.open(name)) is None:
        return None
    with there[0] as file:
        data = file.read()
    assert len(data) == there[1]
    return data


def test_what_is_put_is_there_until_it_is_removed(kept: Storage, tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(b"film")
    kept.put("video_1/video.mp4", tmp_path / "one")
    kept.put("video_2/video.mp4", tmp_path / "one")
    assert read(kept, "video_1/video.mp4") == b"film"
    (tmp_path / "one").write_bytes(b"another")
    kept.put("video_1/video.mp4", tmp_path / "one")
    assert read(kept, "video_1/video.mp4") == b"another"
    kept.remove("video_1")
    assert read(kept, "video_1/video.mp4") is None
    assert read(kept, "video_2/video.mp4") == b"film"
    kept.remove("video_1")  # Again, and nothing happens.


def test_what_is_not_there_is_told_so(kept: Storage) -> None:
    assert kept.open("video_9/video.mp4") is None and kept.local("video_9/video.mp4") is None


def test_an_unknown_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="--storage nowhere://x"):
        storage("nowhere://x", tmp_path)


def test_what_cannot_be_removed_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = storage(None, tmp_path)
    (tmp_path / "one").write_bytes(b"film")
    kept.put("video_1/video.mp4", tmp_path / "one")

    def failing(*_: object, **__: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("os.unlink", failing)
    with pytest.raises(OutputError, match="disk failed"):
        kept.remove("video_1")
    assert read(kept, "video_1/video.mp4") == b"film"
