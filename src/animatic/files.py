"""Files that are whole or not there: atomic writes, and writes that never replace anything.

A write goes to a unique name beside its destination, is flushed to the disk, and only then gets its final name, so an
interrupted run leaves no half file. Knows nothing of what the files hold.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from animatic.errors import OutputError

try:
    import fcntl
except ImportError:  # Windows: unfinished files of killed processes stay.
    fcntl = None  # type: ignore[assignment]

_REASONS = {
    errno.ENOSPC: "the disk is full: free some space, or",
    errno.EDQUOT: "the disk quota is used up: free some space, or",
    errno.EIO: "the disk failed: check it, or",
    errno.EROFS: "the file system is read-only:",
    errno.EACCES: "no permission to write there:",
    errno.EPERM: "no permission to write there:",
    errno.ENOTDIR: "a part of that path is a file, not a folder:",
    errno.EEXIST: "that path is a file, not a folder:",
    errno.ENAMETOOLONG: "the name is too long for this file system:",
}
PART = ".animatic-"
"""How the names of unfinished files begin."""


def write(path: Path, data: bytes | Path | Iterable[bytes], option: str = "--out", flush: bool = True) -> None:
    """Write `data`, its parts or a file's bytes to `path`, atomically; what was there is replaced. Raises OutputError.

    option  what an error advises to choose another folder with
    flush   whether to wait until the disk has it
    """
    with reported(path, option), _part(path, data, flush) as part:
        part.replace(path)


def write_new(contents: Mapping[Path, bytes | Path], option: str = "--out") -> bool:
    """Write all of `contents`, or nothing and return False when one of the names is already taken. Raises OutputError.

    A path stands for that file's bytes: they are copied, sharing its blocks where the file system can do that. It is
    never a hard link: changing the one file must not change the other.

    Names are taken by hard link, which never replaces a file, also not one that another process makes just now.

    option  what an error advises to choose another folder with
    """
    taken: list[Path] = []
    with reported(next(iter(contents)), option), contextlib.ExitStack() as undo:
        parts = [undo.enter_context(_part(path, data)) for path, data in contents.items()]
        try:
            for path, part in zip(contents, parts, strict=True):
                _link(part, path)
                taken.append(path)
        except OSError as error:
            for path in taken:
                path.unlink(missing_ok=True)
            if isinstance(error, FileExistsError):
                return False
            raise
    return True


def sweep(folder: Path) -> int:
    """Remove the unfinished files of processes that were killed. Returns how many that were."""
    removed = 0
    for path in folder.glob(f"{PART}*"):
        with contextlib.suppress(OSError), path.open("rb") as file:
            if _locked(file, wait=False):
                path.unlink(missing_ok=True)
                removed += 1
    return removed


@contextlib.contextmanager
def reported(path: Path, option: str = "--out") -> Iterator[None]:
    """What the system says against writing `path` becomes an OutputError."""
    try:
        yield
    except OSError as error:
        raise _output_error(path, error, option) from error


def check_writable(folder: Path, need: int, option: str = "--out") -> None:
    """Make `folder` if it is not there, and see that `need` bytes can be written. Raises OutputError, with numbers."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _part(folder / "probe", b""):
            pass
        status = os.statvfs(folder)
    except OSError as error:
        raise _output_error(folder, error, option) from error
    if (free := status.f_bavail * status.f_frsize) < need:
        raise OutputError(
            f"{folder} has {free / 1e6:.1f} MB free and the results need about {need / 1e6:.0f} MB: "
            f"free some space, or choose another folder with {option}"
        )


@contextlib.contextmanager
def _part(path: Path, data: bytes | Path | Iterable[bytes], flush: bool = True) -> Iterator[Path]:
    """The bytes under a unique name beside `path`, until the block ends. Locked, by which `sweep` knows it is alive."""
    prefix = PART + path.name.encode()[:64].decode("utf-8", "ignore") + "-"
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=prefix, suffix=".part")
    try:
        with os.fdopen(descriptor, "wb") as file:
            if not _locked(file, wait=True):
                raise FileNotFoundError(errno.ENOENT, "swept away while it was made", name)
            if isinstance(data, Path):
                _clone(data, file)
            else:
                file.writelines([data] if isinstance(data, bytes) else data)
            file.flush()
            if flush:
                os.fsync(file.fileno())
            os.chmod(name, 0o666 & ~_umask())
            yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


def _locked(file: BinaryIO, wait: bool) -> bool:
    """Lock an open file, and see that it still has a name. Where files cannot be locked: as if someone else had it."""
    if fcntl is None:
        return wait
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        return wait
    return os.fstat(file.fileno()).st_nlink > 0


def _clone(source: Path, sink: BinaryIO) -> None:
    """Copy a file within the kernel, which shares its blocks where it can; what is left, through memory."""
    with source.open("rb") as file:
        with contextlib.suppress(AttributeError, OSError):  # Not every system and pair of file systems can.
            while os.copy_file_range(file.fileno(), sink.fileno(), 1 << 30):
                pass
        shutil.copyfileobj(file, sink)


def _link(part: Path, path: Path) -> None:
    try:
        os.link(part, path)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK):
            raise
        # A file system without hard links (FAT, some network shares): an exclusive create takes the name instead.
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        part.replace(path)


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def _output_error(path: Path, error: OSError, option: str = "--out") -> OutputError:
    reason = _REASONS.get(error.errno or 0, f"{error.strerror or error}:")
    return OutputError(f"cannot write {path}: {reason} choose another folder with {option}")
