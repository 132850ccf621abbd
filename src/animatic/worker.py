"""One device's worker: claims jobs, makes their shots, and writes down what happens. Runs in a process of its own.

Whatever it dies of, its jobs go on from their artifacts: it owns nothing but its models. Weights stay in memory between
jobs, until none has come for a while.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from animatic import files, machine, prepare, storage
from animatic.arena import Arenas
from animatic.attempt import Attempt
from animatic.errors import AnimaticError, OutputError, in_a_line
from animatic.events import Clip, Event, Loaded, PhaseEnded
from animatic.jobs import BEAT, Job, Jobs
from animatic.making import Engine
from animatic.prepare import ANY, Footing, Prepared, Wish
from animatic.production import Order, produce
from animatic.spec import Model
from animatic.storage import Storage

LOOK = 0.1
"""Seconds between two looks for new jobs, or for what is wanted of running ones."""
PATIENCE = 10.0
"""Seconds until a job is tried again that the disk had no room for."""
NICENESS = 10
"""A worker takes all the processor it gets; who asks the server something should not wait for that."""


@dataclass(frozen=True)
class Config:
    """What a worker is started with, as JSON on its standard input.

    name     of its device: "cuda:0", "cpu"
    data     the folder of the jobs; store: that of the artifacts; storage: where clips are kept, if not in `data`
    memory, host_memory  bytes that its models may take; None: what is free when it starts
    share    of its device's free memory, one part in so many is its own; host_share: of main memory
    group    the most shots that are made together
    idle     seconds without a job after which weights are dropped
    parent   the process without which nobody wants this one; 0: it ends by signals alone
    arenas   the folder of copies of weights in main memory that workers share; None: each has its own
    """

    name: str
    data: Path
    store: Path
    storage: str | None = None
    memory: int | None = None
    host_memory: int | None = None
    share: int = 1
    host_share: int = 1
    group: int = 8
    idle: float = 600.0
    parent: int = 0
    arenas: Path | None = None

    def dumps(self) -> str:
        return json.dumps(self.__dict__, default=str)

    @classmethod
    def loads(cls, text: str) -> Config:
        given = json.loads(text)
        return cls(**given | {name: Path(given[name]) for name in ("data", "store", "arenas") if given.get(name)})


@dataclass
class Will:
    """What a worker should still do. `draining`: nothing new; `hurry`: stop at the next step."""

    draining: threading.Event = field(default_factory=threading.Event)
    hurry: threading.Event = field(default_factory=threading.Event)

    def stop(self, *_: object) -> None:
        """Once: end with what is begun. Twice: at once."""
        (self.hurry if self.draining.is_set() else self.draining).set()


@dataclass
class Counters:
    """What a worker has done since it was started, for those who watch over it."""

    state: str = "starting"
    clips: int = 0
    loaded_bytes: int = 0
    hits: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    phases: dict[str, int] = field(default_factory=dict)
    device_bytes: int = 0

    def see(self, event: Event) -> None:
        if isinstance(event, Clip):
            self.clips += 1
        elif isinstance(event, Loaded):
            self.loaded_bytes += event.nbytes
        elif isinstance(event, PhaseEnded) and event.hit:
            self.hits += 1
        elif isinstance(event, PhaseEnded):
            self.seconds[event.phase] = self.seconds.get(event.phase, 0.0) + event.seconds
            self.phases[event.phase] = self.phases.get(event.phase, 0) + 1


class Engines:
    """The one engine that is warm: that of the models which were used last."""

    def __init__(self, arenas: Path | None) -> None:
        self._arenas = None if arenas is None else Arenas(arenas)
        self._models: Any = None
        self._engine: Any = None

    def of(self, one: Prepared) -> Engine:
        from animatic import device  # here, because they import torch
        from animatic.engine import LocalEngine

        models = {stage: _loaded(model) for stage, model in one.models.items()}
        if models != self._models:
            self.drop()
            self._engine = LocalEngine(
                one.models, device.here(), one.budget, one.estimator, warm=True, arenas=self._arenas
            )
            self._models = models
        self._engine.estimator = one.estimator  # What is expected now, and of no job before what it ran out of.
        engine: Engine = self._engine
        return engine

    @property
    def device_bytes(self) -> int:
        return 0 if self._engine is None else int(self._engine.device_bytes)

    def drop(self) -> None:
        if self._engine is not None:
            self._engine.close()
        self._engine = self._models = None


def _loaded(model: Model) -> tuple[Any, ...]:
    """What makes a difference to an engine that has loaded it: the files, and what is done with them."""
    spec = model.spec
    return spec.identity, spec.family, spec.dtype, spec.preview, model.folder, model.digests, model.settings


class Worker:
    """Makes jobs, group by group, until it is told to stop."""

    def __init__(self, config: Config, will: Will) -> None:
        self._name = config.name
        self._config = config
        self._will = will
        self._jobs = Jobs(config.data)
        self._storage: Storage = storage.storage(config.storage, config.data)
        self._work = config.data / "work"
        self._work.mkdir(exist_ok=True)
        self._on = _footing(config)
        self._engines = Engines(config.arenas)
        self._sizes: dict[str, int] = {}
        self.counters = Counters()

    def run(self) -> None:
        self._jobs.release(self._name, died=True)  # One that bore this name before, and held the lock.
        self._sweep()
        worked = time.monotonic()
        while not self._will.draining.is_set():
            self.counters.state = "idle"
            sizes = {models: self._size(models) for models in self._jobs.claimable()}
            if sizes and (group := self._jobs.claim(self._name, sizes)):
                self._make(group)
                worked = time.monotonic()
            elif time.monotonic() - worked > self._config.idle:
                self._engines.drop()
                worked = float("inf")
            else:
                self._will.draining.wait(LOOK)
        self._engines.drop()
        self._jobs.release(self._name)

    def _sweep(self) -> None:
        """Remove what dead workers left of jobs that nobody makes any more."""
        files.sweep(self._work)
        for path in self._work.iterdir():
            if named := re.match(r"(?:video|image)_[0-9a-f]{24}", path.name):
                job = self._jobs.get(named[0])
                if job is None or job.over:
                    path.unlink(missing_ok=True)

    def _size(self, models: str) -> int:
        """How many jobs of some models go together: several where that spares loading."""
        if models not in self._sizes:
            preset = models.partition("/")[0]
            try:
                shot = prepare.prepare([Wish(ANY, preset)], on=self._on)
                self._sizes[models] = self._config.group if shot.reloaded() else 1
            except AnimaticError:
                self._sizes[models] = 1  # What is wrong is told of the job itself.
        return self._sizes[models]

    # ------------------------------------------------------------------------------------------------- one group

    def _make(self, group: Sequence[Job]) -> None:
        """Make jobs together. If one is stopped, the others go on; if nobody knows whose fault it is, one by one."""
        left = list(group)
        while left:
            self.counters.state = f"making {', '.join(job.id for job in left)}"
            attempt = Attempt(left, self._jobs, self._name, self._storage, self._work)
            try:
                with contextlib.closing(self._events(left)) as events:
                    stopped = self._follow(events, attempt)
                if not stopped:
                    attempt.end()
            except OutputError as error:
                self._wait_for_room(attempt, error)
                return
            except Exception as error:
                if len(attempt.left) > 1:
                    for job in attempt.left:
                        self._make([job])
                    return
                attempt.fail_all(error)
            if self._will.hurry.is_set():
                attempt.flush()
                return  # `run` gives back what is left.
            left = attempt.left

    def _events(self, jobs: Sequence[Job]) -> Generator[Event]:
        uploads, memory = self._config.data / "uploads", self._config.memory
        wishes = [job.commission.wish(job.id, uploads, memory) for job in jobs]
        prepared = prepare.prepare(wishes, on=self._on)
        order = Order(
            self._work,
            self._config.store,
            jobs[0].commission.goal,
            run=f"serve-{self._name}",
            engine=self._engines.of,
            show=True,
        )
        yield from produce([prepared], order)

    def _follow(self, events: Iterator[Event], attempt: Attempt) -> bool:
        """See events until they end, or something else is wanted: whether it is."""
        looked = 0.0
        for event in events:
            self.counters.see(event)
            self.counters.device_bytes = self._engines.device_bytes
            attempt.see(event)
            if (now := time.monotonic()) - looked >= LOOK:
                looked = now
                if self._will.hurry.is_set() or attempt.unwanted():
                    return True
        return False

    def _wait_for_room(self, attempt: Attempt, error: OutputError) -> None:
        self.counters.state = f"waiting for room: {in_a_line(error)}"
        attempt.back(f"waiting for room: {in_a_line(error)}")
        self._will.draining.wait(PATIENCE)


def _footing(config: Config) -> Footing:
    """What this worker may use: what it was granted, else its part of what is free now."""
    here, memory, host = machine.probe(), config.memory, config.host_memory
    if memory is None and config.share > 1:
        memory = here.device_budget // config.share
    if host is None and config.host_share > 1:
        host = here.host_budget // config.host_share
    return prepare.footing(memory, host)


# ---------------------------------------------------------------------------------------------------------- the process


def main() -> None:
    """A worker's process: what it is to do comes on standard input."""
    config = Config.loads(sys.stdin.readline())
    if config.name.startswith("cpu"):
        os.nice(NICENESS)
    will = Will()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, will.stop)
    lock = FileLock(config.data / f"worker-{config.name.replace(':', '-')}.lock")
    if not _taken(lock, config, will):
        return
    worker = Worker(config, will)
    threading.Thread(target=_beat, args=(config, worker.counters, will), daemon=True).start()
    import animatic.engine  # noqa: F401 - seconds that the first job need not wait for

    worker.run()
    lock.release()


def _taken(lock: FileLock, config: Config, will: Will) -> bool:
    """Wait for the device: of a server that was killed, a worker may still be at its last step."""
    while not (_orphaned(config) or will.draining.is_set()):
        with contextlib.suppress(Timeout):
            lock.acquire(timeout=0.5)
            return True
    return False


def _orphaned(config: Config) -> bool:
    return bool(config.parent) and os.getppid() != config.parent


def _beat(config: Config, counters: Counters, will: Will) -> None:
    """Say that this worker is alive, and see that somebody wants that."""
    jobs = Jobs(config.data)
    said = 0.0
    while not will.hurry.wait(1.0):
        if _orphaned(config):
            will.draining.set()
            will.hurry.set()
        if (now := time.monotonic()) - said >= BEAT:
            said = now
            with contextlib.suppress(OutputError):
                facts = {**counters.__dict__, "host_bytes": machine.used_bytes()}
                jobs.beat(config.name, os.getpid(), facts)


if __name__ == "__main__":
    main()
