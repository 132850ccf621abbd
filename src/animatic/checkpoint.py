"""Where a denoising stands, on the disk, so that a crash costs steps and not minutes.

Saved so seldom that it takes at most a hundredth of the time. A state is used only if it is whole and was made in the
same environment: one that was begun elsewhere would end in other bits than either. Knows no tensors: a state is bytes.
"""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Callable
from pathlib import Path

from animatic import files
from animatic.errors import OutputError

SHARE = 0.01
"""Of the time, at most this much is spent on saving."""
FIRST = 0.01
"""Seconds that saving is taken to last until it was seen."""
_DIGEST = 64


class Checkpoint:
    """The last state of one phase of one shot, in `file`. `environment`: what a state's bits depend on besides."""

    def __init__(self, file: Path, environment: str = "") -> None:
        self._file = file
        self._environment = environment.encode()
        self._cost = FIRST
        self._since = time.monotonic()

    def offer(self, state: Callable[[], bytes]) -> None:
        """Save what `state` gives, if it is time to. Where it cannot be saved, the phase goes on without."""
        begun = time.monotonic()
        if begun - self._since < self._cost / SHARE:
            return
        with contextlib.suppress(OutputError):
            data = state()
            # Not flushed: a process that dies loses nothing by it, and a power cut no more than there was at risk.
            files.write(self._file, self._sum(data) + data, flush=False)
        self._since = time.monotonic()
        self._cost = self._since - begun

    def load(self) -> bytes | None:
        """The last state; None: there is none that can be used."""
        try:
            saved = self._file.read_bytes()
        except OSError:
            return None
        data = saved[_DIGEST:]
        return data if saved[:_DIGEST] == self._sum(data) else None

    def drop(self) -> None:
        with contextlib.suppress(OSError):
            self._file.unlink(missing_ok=True)

    def _sum(self, data: bytes) -> bytes:
        return hashlib.sha256(self._environment + data).hexdigest().encode()
