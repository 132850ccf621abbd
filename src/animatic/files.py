"""Files that are whole or not there: atomic writes, and writes that never replace anything.

A write goes to a unique name beside its destination, is flushed to the disk, and only then gets its final name, so an
interrupted run leaves no half file. Knows nothing of what the files hold.
"""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from animatic.errors import OutputError

_REASONS = {
    errno.ENOSPC: "the disk is full: free some space, or choose another folder with --out",
    errno.EDQUOT: "the disk quota is used up: free some space, or choose another folder with --out",
    errno.EROFS: "the file system is read-only: choose another folder with --out",
    errno.EACCES: "no permission to write there: choose another folder with --out",
    errno.EPERM: "no permission to write there: choose another folder with --out",
    errno.ENOTDIR: "a part of that path is a file, not a folder: choose another folder with --out",
    errno.EEXIST: "that path is a file, not a folder: choose another folder with --out",
    errno.ENAMETOOLONG: "the name is too long for this file system: choose another folder with --out",
}


def write(path: Path, data: bytes) -> None:
    """Write `data` to `path`, atomically; what was there is replaced. Raises OutputError."""
    try:
        part = _part(path.parent, data)
        try:
            part.replace(path)
        except OSError:
            part.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise _output_error(path, error) from error


def write_new(contents: Mapping[Path, bytes]) -> bool:
    """Write all of `contents`, or nothing and return False when one of the names is already taken. Raises OutputError.

    Names are taken by hard link, which never replaces a file, also not one that another process makes just now.
    """
    parts: list[Path] = []
    taken: list[Path] = []
    try:
        for path, data in contents.items():
            parts.append(_part(path.parent, data))
        for path, part in zip(contents, parts, strict=True):
            _link(part, path)
            taken.append(path)
    except FileExistsError:
        _unlink(taken)
        return False
    except OSError as error:
        _unlink(taken)
        raise _output_error(next(iter(contents)), error) from error
    finally:
        _unlink(parts)
    return True


def check_writable(folder: Path, need: int) -> None:
    """Make `folder` if it is not there, and see that `need` bytes can be written. Raises OutputError, with numbers."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _part(folder, b"").unlink()
        status = os.statvfs(folder)
    except OSError as error:
        raise _output_error(folder, error) from error
    if (free := status.f_bavail * status.f_frsize) < need:
        raise OutputError(
            f"{folder} has {free / 1e6:.1f} MB free and the results need about {need / 1e6:.0f} MB: "
            "free some space, or choose another folder with --out"
        )


def _part(folder: Path, data: bytes) -> Path:
    descriptor, name = tempfile.mkstemp(dir=folder, prefix=".animatic-", suffix=".part")
    with contextlib.ExitStack() as undo:
        undo.callback(os.unlink, name)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o666 & ~_umask())
        undo.pop_all()
    return Path(name)


def _link(part: Path, path: Path) -> None:
    try:
        os.link(part, path)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK):
            raise
        # A file system without hard links (FAT, some network shares): an exclusive create takes the name instead.
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        part.replace(path)


def _unlink(paths: list[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def _output_error(path: Path, error: OSError) -> OutputError:
    reason = _REASONS.get(error.errno or 0, f"{error.strerror or error}: choose another folder with --out")
    return OutputError(f"cannot write {path}: {reason}")
