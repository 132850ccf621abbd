"""What is in memory now. Obeys Load and Evict; decides nothing.

The only owner of loaded components: whoever else needs one borrows it for the length of a phase. Loads run one after
another on a lane of their own, beside the computing. Space is taken when a load begins, weights are bound to modules by
the thread that waits for them, and an eviction is a drop: weights are still where they came from.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent import futures
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any, Literal, Protocol

import torch

from animatic.arena import Arenas
from animatic.blocks import resident_blocks
from animatic.core import RESIDENT, Component, Placement, Subset
from animatic.device import Device, Lane
from animatic.errors import WeightsError
from animatic.reader import CHUNK, Reader
from animatic.segments import Bring, Feed, Files, HostCopy, Placed, Segment, by_library, placed, segments
from animatic.skeleton import Skeleton
from animatic.spec import BLOCKS, MODULATED, ModelSpec
from animatic.streamed import Stream


class Maker(Protocol):
    """Who knows what a component is made of: a model's family."""

    spec: ModelSpec

    def check(self, part: str, folder: Path) -> None:
        """See that the files of a part without weights are there. Raises WeightsError."""

    def load(self, part: str, folder: Path) -> Any:
        """A part without weights: a tokenizer or a scheduler."""

    def skeleton(self, part: str, folder: Path, subset: Subset) -> Skeleton | None:
        """The module of a part with weights; None: it has none. Raises WeightsError."""


Source = tuple[Maker, Path]
"""A component's maker, and its model's folder."""


@dataclass(frozen=True, eq=False)
class _Build:
    """A module without memory, and its tensors in segments.

    names  what other processes know a segment by, by its path; empty: nothing is shared
    """

    bones: Skeleton
    outside: Segment
    blocks: tuple[Segment, ...]
    names: Mapping[str, str]

    @property
    def segments(self) -> tuple[Segment, ...]:
        return (self.outside, *self.blocks)


@dataclass(eq=False)
class _Here:
    """A component that is loaded, or being loaded. `job` gives the seconds it took, and is None once waited for."""

    placement: Placement
    build: _Build | None = None
    thing: Any = None
    memory: torch.Tensor | None = None
    stays: Sequence[tuple[Segment, int]] = ()
    passing: tuple[Segment, ...] = ()
    slots: tuple[torch.Tensor, ...] = ()
    feed: Feed | None = None
    stream: Stream | None = None
    job: Future[float] | None = None
    cancelled: Event = field(default_factory=Event)

    @property
    def nbytes(self) -> int:
        return sum(tensor.nbytes for tensor in (self.memory, *self.slots) if tensor is not None)


class Residency:
    """The components on one device, and their copies in main memory.

    source  where a component comes from
    arenas  where copies in main memory lie that other processes share; None: they are this process's own
    """

    def __init__(
        self,
        device: Device,
        source: Callable[[Component], Source],
        reader: Reader | None = None,
        arenas: Arenas | None = None,
    ) -> None:
        self._device = device
        self._source = source
        self._reader = reader or Reader()
        self._arenas = arenas
        self._builds: dict[Component, _Build | None] = {}
        self._here: dict[Component, _Here] = {}
        self._copies: dict[Component, HostCopy] = {}
        self._lane = device.lane()
        self._pool: ThreadPoolExecutor | None = None
        self._files: Files | None = None

    @property
    def resident(self) -> Mapping[Component, Placement]:
        return {component: here.placement for component, here in self._here.items()}

    @property
    def device_bytes(self) -> int:
        """Of device memory, taken by components that are loaded or being loaded."""
        return sum(here.nbytes for here in self._here.values())

    @property
    def loading(self) -> bool:
        """Whether a load goes on."""
        return any(here.job is not None and not here.job.done() for here in self._here.values())

    @property
    def host_bytes(self) -> int:
        """Of main memory, taken by copies: of those that are streamed from there, and those that were kept. Of shared
        ones, too: memory is granted to each process, and each may be the last one to use them."""
        return sum(copy.nbytes for copy in self._copies.values())

    def check(self, component: Component) -> None:
        """See from its files' headers that a component can be loaded. Raises WeightsError. Nothing may be computing."""
        if self._build(component) is None:
            family, folder = self._source(component)
            family.check(_part(component), folder)

    def begin(
        self,
        component: Component,
        placement: Placement = RESIDENT,
        source: Literal["disk", "host"] = "disk",
    ) -> None:
        """Take the space a component needs, and let the load lane bring it there.

        source  "host": from the copy that was kept of it

        Raises torch.OutOfMemoryError and WeightsError; then nothing of it is here.
        """
        if component in self._here:
            raise ValueError(f"{component.name} is loaded already")
        build = self._build(component)
        if build is None:
            here, job = self._small(component)
        else:
            here, job = self._weights(component, build, placement, source)
        if self._pool is None:
            self._pool = ThreadPoolExecutor(1, "load")
        self._here[component] = here
        here.job = self._pool.submit(_timed, job)

    def wait(self, components: Iterable[Component]) -> list[tuple[Component, float]]:
        """Wait until components can be computed with. What was waited for the first time, and the seconds it loaded.

        Raises what went wrong in loading: WeightsError, torch.OutOfMemoryError.
        """
        done = []
        for component in components:
            here = self._here[component]
            if here.job is not None:
                seconds = here.job.result()
                here.job = None
                self._bind(here)
                done.append((component, seconds))
        return done

    def parts(self, components: Iterable[Component]) -> Mapping[str, Any]:
        """Components that were waited for, by the names they are asked for with."""
        return {one.role or one.name: self._here[one].thing for one in components}

    def evict(self, component: Component, keep: bool = False) -> None:
        """Drop a component. `Device.release` then gives its memory back to others.

        keep  with a copy in main memory, for a later load; else its copy goes, too
        """
        here = self._here.pop(component, None)
        kept = False
        try:
            if keep and here is not None and here.build is not None:
                self._keep(component, here, here.build)
            kept = keep
        finally:
            if here is not None:
                _drop(here)
            if not kept:
                self._copies.pop(component, None)
            if here is not None and here.placement.streamed:
                # Hooks and slots hold one another: only the collector ends that.
                del here
                self._device.release()

    def close(self) -> None:
        """Drop everything, whatever goes on. No thread and no memory is left; loading may begin anew."""
        held = bool(self._here or self._copies)
        for here in self._here.values():
            here.cancelled.set()
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None
        while self._here:
            _drop(self._here.popitem()[1])
        self._copies.clear()
        self._files = None
        if held:
            self._device.release()

    # ------------------------------------------------------------------------------------------------------ loading

    def _build(self, component: Component) -> _Build | None:
        if component not in self._builds:
            family, folder = self._source(component)
            part = _part(component)
            bones = family.skeleton(part, folder, component.subset)
            if bones is not None:
                bones.move_buffers(self._device.torch)
                streamable = component.subset != "modulation"
                lists = BLOCKS.get(family.spec.family, {}).get(part, ()) if streamable else ()
                outside, *blocks = segments(bones, lists)
                self._builds[component] = _Build(bones, outside, tuple(blocks), self._names(bones, (outside, *blocks)))
            else:
                self._builds[component] = None
        return self._builds[component]

    def _names(self, bones: Skeleton, some: Iterable[Segment]) -> Mapping[str, str]:
        """Found with the files' headers: what is copied later is called by the files that it came from."""
        if self._arenas is None or bones.by_library:
            return {}
        try:
            return {segment.path: segment.fingerprint() for segment in some}
        except OSError as error:
            raise WeightsError(f"{bones.folder} cannot be read: {error.strerror or error}") from error

    def _copy(self, component: Component, build: _Build) -> HostCopy:
        """The component's copy in main memory: the one that is there, or an empty one."""
        shared = None if self._arenas is None or not build.names else (self._arenas, build.names)
        return self._copies.get(component) or HostCopy(shared)

    def _small(self, component: Component) -> tuple[_Here, Callable[[], None]]:
        family, folder = self._source(component)
        here = _Here(RESIDENT)

        def job() -> None:
            here.thing = family.load(_part(component), folder)

        return here, job

    def _weights(
        self, component: Component, build: _Build, placement: Placement, source: str
    ) -> tuple[_Here, Callable[[], None]]:
        """Take space: first of the device, then of main memory. The job fills it."""
        staying = resident_blocks(len(build.blocks), placement.resident if placement.streamed else len(build.blocks))
        passing = tuple(block for number, block in enumerate(build.blocks) if number not in set(staying))
        stays, nbytes = placed([build.outside, *(build.blocks[number] for number in staying)])
        largest = max((segment.nbytes for segment in passing), default=0)
        here = _Here(placement, build, build.bones.module, self._device.allocate(nbytes), stays, passing)
        here.slots = tuple(self._device.allocate(largest) for _ in range(min(2, len(passing))))
        first = self._first_feed(component, build, source)
        bring: Bring | None = None
        here.feed = first
        if passing and placement.source == "host" and not isinstance(first, HostCopy):
            copy = self._copy(component, build)
            bring = copy.reserve(self._device, passing)
            here.feed = self._copies[component] = copy
        elif passing and isinstance(first, HostCopy):
            self._copies[component] = first
        elif passing:
            here.feed = self._from_files()
        space = self._device.mark()

        def job() -> None:
            assert here.memory is not None
            # What had the same space before may still be computing.
            self._lane.after(space)
            try:
                first.fill(here.memory, here.stays, self._lane, here.cancelled)
                if bring is not None:
                    bring(first, self._lane, here.cancelled)
            finally:
                self._lane.settle()

        return here, job

    def _first_feed(self, component: Component, build: _Build, source: str) -> Feed:
        """What a component is loaded from."""
        if source == "host":
            return self._copies[component]
        if build.bones.by_library:
            return by_library(build.bones, self._device, build.segments)
        if self._files is None:
            self._files = self._from_files()
        return self._files

    def _from_files(self) -> Files:
        """For one thread: what reads at the same time needs a ring of its own."""
        return Files(self._reader, self._device.ring(CHUNK))

    def _bind(self, here: _Here) -> None:
        if here.build is None:
            return
        assert here.memory is not None and here.feed is not None
        tensors: dict[str, torch.Tensor] = {}
        for segment, begin in here.stays:
            tensors |= segment.tensors(here.memory[begin:])
        here.build.bones.bind(tensors)
        if here.passing:
            here.stream = Stream(here.build.bones, here.passing, here.slots, here.feed, self._device)

    def _keep(self, component: Component, here: _Here, build: _Build) -> None:
        """Copy to main memory what is there in no other way."""
        if here.job is not None:
            here.job.result()
        if here.stream is not None:
            here.stream.close()
        assert here.memory is not None and here.feed is not None
        copy = self._copy(component, build)
        bring = copy.reserve(self._device, build.segments)
        bring(_Loaded(here.memory, here.stays, here.feed), self._lane, here.cancelled)
        self._lane.settle()
        self._copies[component] = copy


class _Loaded:
    """Segments from device memory, and those that are not there from where they are streamed from."""

    def __init__(self, memory: torch.Tensor, stays: Placed, feed: Feed) -> None:
        self._memory = memory
        self._begins = {segment.path: begin for segment, begin in stays}
        self._feed = feed

    def fill(self, memory: torch.Tensor, placed: Placed, lane: Lane, cancelled: Event) -> None:
        for segment, begin in placed:
            piece = memory[begin : begin + segment.nbytes]
            if segment.path in self._begins:
                start = self._begins[segment.path]
                lane.copy(piece, self._memory[start : start + segment.nbytes])
            else:
                self._feed.fill(piece, [(segment, 0)], lane, cancelled)


def _part(component: Component) -> str:
    """The part whose files hold the component."""
    return MODULATED if component.subset == "modulation" else component.part


def _timed(job: Callable[[], None]) -> float:
    begun = time.perf_counter()
    job()
    return time.perf_counter() - begun


def _drop(here: _Here) -> None:
    """End its load, if one goes on, and let go of its memory."""
    here.cancelled.set()
    if here.job is not None and not here.job.cancel():
        futures.wait([here.job])
    if here.stream is not None:
        here.stream.close()
    if here.build is not None:
        here.build.bones.unbind()
    here.job = here.stream = here.memory = here.feed = here.thing = None
    here.slots = ()
