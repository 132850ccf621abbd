"""Claims on keys, across processes: who makes an artifact that is not there yet.

A claim is a lock on a file, which the kernel frees when its process ends, also by SIGKILL. Knows nothing of what is
made.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from animatic import files

SUFFIX = ".lock"


class Claim:
    """A key that is this process's to make, until `release`."""

    def __init__(self, lock: FileLock) -> None:
        self._lock = lock

    def release(self) -> None:
        # Removed while it is held: whoever opened it meanwhile sees that it is nobody's file any more, and tries again.
        with contextlib.suppress(OSError):
            Path(self._lock.lock_file).unlink()
        self._lock.release()


class Claims:
    """The claims on the keys of one store, as files in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def take(self, key: str, wait: float = 0.0) -> Claim | None:
        """Claim a key. None: another process, or another part of this one, has it, also after `wait` seconds."""
        lock = FileLock(self.folder / f"{key}{SUFFIX}", thread_local=False)
        with files.reported(self.folder, "--store"):
            try:
                lock.acquire(timeout=wait)
            except Timeout:
                return None
        return Claim(lock)

    @contextlib.contextmanager
    def held(self, key: str) -> Iterator[None]:
        """Wait for a key for as long as it takes, and hold it meanwhile."""
        claim = None
        while claim is None:
            claim = self.take(key, wait=1.0)
        try:
            yield
        finally:
            claim.release()

    def sweep(self) -> int:
        """Remove what killed processes left. Returns how many files that were."""
        removed = 0
        for file in self.folder.glob(f"*{SUFFIX}"):
            if (claim := self.take(file.name.removesuffix(SUFFIX))) is not None:
                claim.release()
                removed += 1
        return removed
