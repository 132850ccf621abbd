"""Keeps one worker process a device alive. One that dies is started again; its jobs are in the queue."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from animatic import arena, machine
from animatic.errors import OptionError
from animatic.settings import Settings
from animatic.worker import Config

FIRST, LONGEST = 0.5, 30.0
"""Seconds before a worker that died is started again: more each time, unless it lived for a while."""
LIVED = 60.0
LAST = 20.0
"""Seconds that a worker gets for its last step before it is killed."""

log = logging.getLogger("animatic.serve")


@dataclass(frozen=True)
class Seat:
    """A device, and what its worker sees of CUDA's: `visible` is CUDA_VISIBLE_DEVICES; None: as it is here."""

    name: str
    visible: str | None = None


def seats(devices: Sequence[str], gpus: Sequence[str]) -> list[Seat]:
    """The devices that are named by "all", "cpu" or the numbers of `gpus`, as CUDA_VISIBLE_DEVICES lists them.

    Raises OptionError.
    """
    if list(devices) == ["all"]:
        devices = [str(number) for number, _ in enumerate(gpus)] or ["cpu"]
    found = []
    for number, device in enumerate(devices):
        if device == "cpu":
            found.append(Seat("cpu" if devices.count("cpu") == 1 else f"cpu:{number}", ""))
        elif device.isdecimal() and int(device) < len(gpus):
            found.append(Seat(f"cuda:{device}", gpus[int(device)]))
        else:
            raise OptionError(
                f"--devices {device}: give all, cpu, or some of the {len(gpus)} GPUs here, counted from 0"
            )
    if len({seat.name for seat in found}) < len(found):
        raise OptionError(f"--devices {','.join(devices)}: one worker a GPU")
    return found


class Supervisor:
    """The workers of this machine's devices."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._seats = seats(settings.devices, machine.gpus())
        # Alone on the machine, a worker is better off with memory of its own: that comes in huge pages.
        self._arenas = arena.folder_of(settings.data) if len(self._seats) > 1 else None
        self._stopping = False
        self._processes: dict[str, asyncio.subprocess.Process] = {}
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def count(self) -> int:
        return len(self._seats)

    def start(self) -> None:
        _sweep()  # Whatever was killed before, also of a service with one worker, or of a folder that is gone.
        self._tasks = [asyncio.create_task(self._keep(seat)) for seat in self._seats]

    async def stop(self, drain: float) -> None:
        """Let the workers end what they have begun, for `drain` seconds; then stop them within a step."""
        self._stopping = True
        for patience in (drain, LAST):  # The first signal asks to end, the second to stop.
            self.terminate()
            if self._processes:
                await asyncio.wait(
                    [asyncio.create_task(one.wait()) for one in self._processes.values()], timeout=patience
                )
        for process in self._processes.values():
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        if self._processes:  # Their memory is nobody's only when they are gone.
            await asyncio.wait([asyncio.create_task(one.wait()) for one in self._processes.values()], timeout=LAST)
        _sweep()
        for task in self._tasks:
            task.cancel()

    def terminate(self) -> None:
        """Ask the workers to end; who was asked before stops within a step."""
        for process in self._processes.values():
            with contextlib.suppress(ProcessLookupError):
                process.terminate()

    async def _keep(self, seat: Seat) -> None:
        wait = FIRST
        while not self._stopping:
            begun = time.monotonic()
            status = await self._run(seat)
            await asyncio.to_thread(_sweep)
            if self._stopping:
                return
            wait = FIRST if time.monotonic() - begun > LIVED else min(2 * wait, LONGEST)
            log.warning("a worker ended", extra={"fields": {"device": seat.name, "status": status, "again_in": wait}})
            await asyncio.sleep(wait)

    async def _run(self, seat: Seat) -> int:
        config = self._config(seat)
        environment = dict(os.environ)
        if seat.visible is not None:
            environment["CUDA_VISIBLE_DEVICES"] = seat.visible
        if config.share > 1:
            environment.setdefault("OMP_NUM_THREADS", str(max(1, machine.probe().cores // config.share)))
        # A session of its own: Ctrl-C in the terminal is the server's to pass on.
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "animatic.worker", stdin=asyncio.subprocess.PIPE, env=environment,
                start_new_session=True,
            )  # fmt: skip
        except OSError as error:  # No memory or no process to be had now: it is tried again, as when a worker ends.
            log.warning("a worker cannot be started", extra={"fields": {"device": seat.name, "error": str(error)}})
            return -1
        self._processes[seat.name] = process
        assert process.stdin is not None
        with contextlib.suppress(ConnectionError):
            process.stdin.write(f"{config.dumps()}\n".encode())
            await process.stdin.drain()
        status = await process.wait()
        self._processes.pop(seat.name, None)
        return status

    def _config(self, seat: Seat) -> Config:
        one = self._settings
        config = Config(
            seat.name, one.data, one.store, one.storage, one.memory, one.host_memory, group=one.group, idle=one.idle
        )
        alike = sum(other.visible == seat.visible for other in self._seats)
        return replace(config, share=alike, host_share=self.count, parent=os.getpid(), arenas=self._arenas)


def _sweep() -> None:
    """Remove the shared weights that killed workers left: nobody's lock is on them."""
    if (home := arena.home()) is not None:
        arena.sweep(home)
