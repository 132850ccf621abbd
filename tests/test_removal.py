"""What a removed job had kept is gone in the end, whoever dies between its row and its files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from animatic import removal
from animatic.commission import Commission
from animatic.errors import OutputError
from animatic.jobs import Jobs
from animatic.storage import Folder, storage


@pytest.fixture
def jobs(tmp_path: Path) -> Jobs:
    return Jobs(tmp_path)


def drawn(jobs: Jobs, folder: Path) -> tuple[str, Path]:
    """A job that a worker is about to film, and its still."""
    job = jobs.add("ann", Commission("a red boat", "pocket"), {})
    jobs.claim("cpu", {})
    still = folder / "videos" / job.id / "still-1.png"
    still.parent.mkdir(parents=True)
    still.write_bytes(b"png")
    return job.id, still


def test_a_worker_that_dies_before_it_removes_leaves_no_file(jobs: Jobs, tmp_path: Path) -> None:
    name, still = drawn(jobs, tmp_path)
    assert jobs.remove(name) is False, "the worker is asked to"
    jobs.release("cpu")
    assert jobs.get(name) is None and still.exists()
    removal.clear(later := Jobs(tmp_path), storage(None, tmp_path), *later.removed())
    assert not still.parent.exists() and jobs.removed() == []


def test_a_storage_that_is_away_is_asked_again(jobs: Jobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name, still = drawn(jobs, tmp_path)
    jobs.release("cpu")
    assert jobs.remove(name) is True

    def away(*_: Any) -> None:
        raise OutputError("cannot reach the storage")

    with monkeypatch.context() as patched:
        patched.setattr(Folder, "remove", away)
        removal.clear(jobs, storage(None, tmp_path), name)
    assert still.exists() and jobs.removed() == [name]
    removal.clear(jobs, storage(None, tmp_path), *jobs.removed())
    assert not still.exists() and jobs.removed() == []
