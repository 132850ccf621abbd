"""Files are whole or not there, and nothing is written over."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from animatic import files
from animatic.errors import OutputError


def test_write_replaces_and_leaves_nothing_else(tmp_path: Path) -> None:
    files.write(tmp_path / "a", b"1")
    files.write(tmp_path / "a", b"22")
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == {"a": b"22"}


def test_write_new_is_all_or_nothing(tmp_path: Path) -> None:
    (tmp_path / "b").write_bytes(b"mine")
    assert not files.write_new({tmp_path / "a": b"1", tmp_path / "b": b"2"})
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == {"b": b"mine"}
    assert files.write_new({tmp_path / "c": b"3", tmp_path / "d": b"4"})
    assert (tmp_path / "c").read_bytes() == b"3"


def test_write_new_where_there_are_no_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(*_: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    assert files.write_new({tmp_path / "a": b"1"})
    assert not files.write_new({tmp_path / "a": b"2"})
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == {"a": b"1"}


def test_new_files_have_the_users_usual_permissions(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        files.write(tmp_path / "a", b"1")
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640


def test_a_full_disk_is_one_line_with_a_way_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match=r"the disk is full.*--out"):
        files.write_new({tmp_path / "a": b"1"})
    assert list(tmp_path.iterdir()) == []


def test_too_little_space_is_told_in_numbers_beforehand(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"MB free and the results need about 1000000000000 MB"):
        files.check_writable(tmp_path, need=10**18)


def test_a_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(OutputError, match="is a file, not a folder"):
        files.check_writable(tmp_path / "out", need=0)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    with pytest.raises(OutputError, match="no permission"):
        files.check_writable(tmp_path, need=0)


def test_a_read_only_file_system_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read_only(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr("tempfile.mkstemp", read_only)
    with pytest.raises(OutputError, match=r"read-only: choose another folder with --out"):
        files.check_writable(tmp_path, need=0)
