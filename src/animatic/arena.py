"""Weights in main memory that the workers of one machine share: filled by whoever comes first, read-only to all.

A piece is a file in tmpfs, mapped by everyone who uses it. It has to be named, for processes started one by one to find
it; and in tmpfs, because a file on a disk would be written there (24 GB for nothing), could be thrown out of memory
again, and must not be locked for a GPU for long, which the kernel refuses for file systems that write back. tmpfs is
counted as this service's memory, and grows only as far as it was told: that there is room is seen beforehand.

The state of a piece is its file's: not writable means whole. Whoever fills it holds the exclusive lock, whoever maps it
a shared one, and the kernel frees both when a process dies. So what nobody has locked, nobody uses, and who sees that
may remove it: the last user, or `sweep`. Knows no tensor, no model and no plan.
"""

from __future__ import annotations

import contextlib
import hashlib
import mmap
import os
import stat
import weakref
from collections.abc import Callable
from pathlib import Path
from threading import Event

from animatic.reader import Cancelled

try:
    import fcntl
except ImportError:  # Windows: `home` finds no tmpfs there, and nothing is shared.
    fcntl = None  # type: ignore[assignment]

TMPFS = Path("/dev/shm")
POLL = 0.02
"""Seconds between two looks at a piece that another process is filling."""


class Arenas:
    """Pieces of memory by name, as files in `folder`, which lies in this user's `home`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def piece(self, name: str, nbytes: int, fill: Callable[[mmap.mmap], None], cancelled: Event) -> mmap.mmap | None:
        """`nbytes` bytes that all who ask for this name have in common. Writing to them ends the process.

        They are given back when nothing refers to them any more, in no process. None: there is no room for them.

        fill  writes all of them; it is called only if they are not there, and by one process at a time

        Raises Cancelled, also while another process fills them, and what `fill` raises: then they are not there.
        """
        path = self.folder / name
        while not cancelled.is_set():
            try:
                descriptor = self._open(path)
            except OSError:
                return None
            try:
                if _whole(descriptor):
                    if _locked(descriptor, exclusive=False):
                        return _lent(descriptor, path, nbytes)
                elif _locked(descriptor, exclusive=True) and not _whole(descriptor):
                    if not _filled(path, nbytes, fill):
                        return None
                    continue
            finally:
                os.close(descriptor)
            cancelled.wait(POLL)
        raise Cancelled

    def _open(self, path: Path) -> int:
        while True:
            self.folder.mkdir(mode=0o700, exist_ok=True)
            with contextlib.suppress(FileNotFoundError):  # The folder was empty, and swept away since.
                return os.open(path, os.O_RDONLY | os.O_CREAT, 0o600)


def home() -> Path | None:
    """Where the folders of this user's services lie. None: there are none, or another user took the name."""
    if fcntl is None:
        return None
    folder = _home()
    try:
        status = folder.lstat()
    except OSError:
        return None
    # Anybody may write to tmpfs, and what lies here is computed with.
    ours = stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() and not status.st_mode & 0o077
    return folder if ours else None


def folder_of(data: Path) -> Path | None:
    """Where the service of a data folder has its pieces: its own, so that one service's grant is not another's.

    None: this system has no tmpfs, or another user took the name.
    """
    if fcntl is None:
        return None
    with contextlib.suppress(OSError):
        _home().mkdir(mode=0o700, exist_ok=True)
    there = home()
    return there and there / hashlib.sha256(os.fsencode(data.resolve())).hexdigest()[:16]


def sweep(home: Path) -> int:
    """Remove what killed processes left, of all services: nobody has it locked. Returns how many pieces that were."""
    removed = 0
    for path in home.glob("*/*"):
        with contextlib.suppress(OSError):
            removed += _leave(os.open(path, os.O_RDONLY), path)
    for folder in home.glob("*"):
        with contextlib.suppress(OSError):  # Not empty: somebody's.
            folder.rmdir()
    return removed


def _home() -> Path:
    return TMPFS / f"animatic-{os.getuid()}"


def _whole(descriptor: int) -> bool:
    return not os.fstat(descriptor).st_mode & stat.S_IWUSR


def _locked(descriptor: int, exclusive: bool) -> bool:
    """Lock a piece without waiting, and see that it still has its name: what has none is about to go."""
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return os.fstat(descriptor).st_nlink > 0


def _filled(path: Path, nbytes: int, fill: Callable[[mmap.mmap], None]) -> bool:
    """Fill a piece, whose exclusive lock is held. False: there is no room."""
    whole = False
    try:
        with path.open("r+b") as file:
            try:
                # Now, because where there is no room then, writing to the map would end the process.
                os.posix_fallocate(file.fileno(), 0, nbytes)
                memory = mmap.mmap(file.fileno(), nbytes)
            except OSError:
                return False
            fill(memory)
            os.fchmod(file.fileno(), 0o400)
            whole = True
    finally:
        if not whole:
            path.unlink(missing_ok=True)
    return whole


def _lent(descriptor: int, path: Path, nbytes: int) -> mmap.mmap | None:
    """A piece that is whole, mapped. Its shared lock is held until nothing refers to the map any more."""
    own = os.dup(descriptor)  # The lock is that of both.
    try:
        # Read-only by its descriptor, too: it cannot be made writable.
        memory = mmap.mmap(own, nbytes, prot=mmap.PROT_READ)
    except OSError:
        os.close(own)
        return None
    weakref.finalize(memory, _leave, own, path)
    return memory


def _leave(descriptor: int, path: Path) -> bool:
    """Unlock a piece, and remove it if nobody else uses it: whether that was so."""
    try:
        # Of two who leave at once, one gets this: each gives its shared lock up before it asks for the exclusive one.
        last = _locked(descriptor, exclusive=True)
        if last:
            path.unlink(missing_ok=True)
        return last
    finally:
        os.close(descriptor)
