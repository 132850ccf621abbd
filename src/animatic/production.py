"""Carries out what was prepared: leaves out what is made, lets stills be chosen, keeps the books, tells failures.

The one place where the cascade meets an engine. Torch is imported when something has to be run, and not before.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from animatic import again, bitmap, credential, files, making, pipeline, scorer, sketch, store
from animatic.books import BatchBooks, Books, Shelf, failure
from animatic.core import Phase, Plan, Shot
from animatic.entry import Entry
from animatic.errors import OptionError, OutputError
from animatic.events import Clip, Drawn, Event, Failed, Notice, PhaseEnded, Planned, Sketch
from animatic.outlook import Outlook, compared, summary
from animatic.outputs import Outputs, stem
from animatic.pipeline import Until
from animatic.place import Capacity, Demand
from animatic.prepare import Prepared, Wish, identified, ready
from animatic.sketch import Sketched
from animatic.store import Store

Chooser = Callable[[Drawn], int]
"""Asks somebody which of the stills is taken: a number from 1 on."""


SURE = 10
"""Clips that there must be room for before the first is begun."""


@dataclass(frozen=True)
class Order:
    """How shots are to be made, whichever they are.

    out     the folder of the results; store: that of the artifacts
    until   the last stage
    choose  asks which still is taken, where no `pick` says it
    title   what a batch is called, which has a contact sheet; None: single clips
    run     names the run whose artifacts are kept from collection until it is done; None: by what is asked for
    engine  gives the engine, when something has to be run; None: one for this run alone
    show    whether a still is told (`Drawn`) and written as soon as it is there, also where nobody chooses
    """

    out: Path
    store: Path = field(default_factory=store.default)
    until: Until = "file"
    choose: Chooser | None = None
    title: str | None = None
    run: str | None = None
    engine: Callable[[Prepared], making.Engine] | None = None
    show: bool = False


def produce(groups: Sequence[Prepared], order: Order) -> Iterator[Event]:
    """Make prepared shots, each group's stage by stage for all of them, each model loaded once.

    Everything is checked at the call, not at the first event. Raises AnimaticError.
    """
    for group in groups:
        for wish in group.wishes:
            _check_choice(wish, order)
    opened = Store(order.store)
    outputs = Outputs(order.out, credential.configured())
    books: Books = Shelf(outputs) if order.title is None else BatchBooks(order.out, order.title)
    asked = hashlib.sha256(str(order.out.absolute()).encode())
    left = []
    for group in map(identified, groups):
        entries = []
        for shot, wish in zip(group.shots, group.wishes, strict=True):
            entry = Entry(shot, wish, group.models, opened)
            ask = entry.ask
            asked.update(ask.entry.encode())
            if order.until != "file" or not books.find(ask):
                entries.append(entry)
        if entries:
            left.append((_of(group, entries), entries))
    _check_room(order, opened, [entry for _, entries in left for entry in entries])
    lines = [_Line(ready(group), entries, order.engine or _of_this_machine) for group, entries in left]
    title = f"{order.title or groups[0].shots[0].prompt} -> {order.out.absolute()}"
    opened.hold = opened.holds.of(order.run or asked.hexdigest()[:32], title)  # The same command finds it again.
    notices = tuple(dict.fromkeys(notice for group in groups for notice in group.notices))
    return _Production(lines, order, opened, outputs, books, notices).run()


def _check_room(order: Order, store: Store, entries: Sequence[Entry]) -> None:
    """Raises OutputError. Of many clips, for some there has to be room: a disk that fills up midway loses nothing."""
    files.check_writable(order.out, need=sum(_clip_bytes(entry.shot) for entry in entries[:SURE]))
    if entries:
        store.open()


def outlook(prepared: Prepared, plan: Plan) -> Outlook:
    """A plan of prepared shots, with all that is needed to read it."""
    budget, capacity = prepared.budget, prepared.budget.capacity
    return Outlook(
        preset=prepared.shots[0].preset,
        shots=len(prepared.shots),
        device=budget.title,
        memory=capacity.device,
        host_memory=capacity.host,
        unified=capacity.unified,
        plan=plan,
        basis="from what was measured here" if prepared.estimator.measured else "by the hardware's rates",
        notes=tuple(notice.text for notice in prepared.notices),
    )


def _check_choice(wish: Wish, order: Order) -> None:
    if order.until == "file" and wish.stills > 1 and wish.pick is None and order.choose is None:
        raise OptionError(f"--stills {wish.stills} asks which to take, and there is nobody to ask here: "
                          "add --pick NUMBER, --pick best or --until image")  # fmt: skip
    if wish.pick == "best":
        scorer.scorer(wish.scorer)


def _of(group: Prepared, entries: Sequence[Entry]) -> Prepared:
    return replace(group, shots=tuple(one.shot for one in entries), wishes=tuple(one.wish for one in entries))


@dataclass
class _Line:
    """Entries of one preset, and what makes them."""

    group: Prepared
    entries: list[Entry]
    make: Callable[[Prepared], making.Engine]

    @functools.cached_property
    def engine(self) -> _Engine:
        return _Engine(self.group, self.make)

    @property
    def going(self) -> list[Entry]:
        return [entry for entry in self.entries if not entry.failed]


class _Production:
    """Lines of shots on their way. Each has its own preset; all share a store and the books."""

    def __init__(
        self,
        lines: Sequence[_Line],
        order: Order,
        store: Store,
        outputs: Outputs,
        books: Books,
        notices: Sequence[Notice],
    ) -> None:
        self._lines = lines
        self._order = order
        self._store = store
        self._outputs = outputs
        self._books = books
        self._notices = notices
        self._failures: list[Failed] = []

    def run(self) -> Iterator[Event]:
        yield from self._notices
        making = self._order.until == "file"
        if making:
            yield from self._books.told()
        with contextlib.ExitStack() as stopped:
            if making:
                stopped.callback(self._close_midway)
            for line in self._lines:
                yield from self._make(line)
            stopped.pop_all()
        yield from self._books.close() if making else [self._sketch()]
        if self._failures:
            raise failure(self._failures, sum(len(line.entries) for line in self._lines))
        if self._store.hold is not None:
            self._store.hold.finish()

    def _close_midway(self) -> None:
        """A batch that was stopped shows on its sheet what there is, if the disk has room for it."""
        with contextlib.suppress(OutputError):
            list(self._books.close())

    def _make(self, line: _Line) -> Iterator[Event]:
        try:
            if self._order.until != "refine":
                yield from self._choose(line)
            if self._order.until == "file":
                yield from self._film(line)
            elif self._order.until == "refine":
                yield from self._refine(line)
        finally:
            line.group.history.save()

    def _refine(self, line: _Line) -> Iterator[Event]:
        entries = {entry.shot.id: entry for entry in line.going}
        for event in self._run(line, [entry.shot for entry in line.going], "refine"):
            yield event
            if isinstance(event, Failed):
                self._fail(entries[event.shot], event)

    def _film(self, line: _Line) -> Iterator[Event]:
        due = [entry for entry in line.going if not (entry.open and self._books.find(entry.ask))]
        yield from self._books.told()
        entries = {entry.shot.id: entry for entry in due}
        for event in self._run(line, [entry.shot for entry in due], "file"):
            yield event
            if isinstance(event, Clip):
                self._books.note(entries[event.shot].ask, event)
                if self._order.run is None:
                    again.remember(event.path, self._store.folder)
            elif isinstance(event, Failed):
                self._fail(entries[event.shot], event)
            elif self._order.show and isinstance(event, PhaseEnded) and event.phase == "image.decode":
                yield from self._shown(line, entries[event.shot])

    def _shown(self, line: _Line, entry: Entry) -> Iterator[Event]:
        if entry.wish.stills == 1:  # Else they were shown before one of them was chosen.
            yield self._drawn(line, entry, self._stills(line, entry))

    def _fail(self, entry: Entry, failure: Failed) -> None:
        entry.failed = True
        self._failures.append(failure)
        if self._order.until == "file":
            self._books.note(entry.ask, failure)

    def _run(self, line: _Line, shots: Sequence[Shot], until: Until) -> Iterator[Event]:
        """The cascade's events, and what was foretold beside what it took."""
        if not shots:
            return
        begun, peak, foretold = time.perf_counter(), 0, None
        group = replace(line.group, shots=tuple(shots))
        for event in making.run(shots, group.models, line.engine, self._store, self._outputs, until):
            yield event
            if isinstance(event, Planned):
                foretold = outlook(group, event.plan)
                yield Notice(summary(foretold))
            elif isinstance(event, PhaseEnded):
                peak = max(peak, event.taken)
        if foretold is not None:
            yield Notice(compared(foretold, time.perf_counter() - begun, peak))

    # ----------------------------------------------------------------------------------------- stills to choose from

    def _choose(self, line: _Line) -> Iterator[Event]:
        """Draw the candidates of all entries whose still is open, then let each be chosen. Some may have failed."""
        drawing = [entry for entry in line.entries if entry.open or self._order.until == "image"]
        owners = {entry.candidate(n).id: entry for entry in drawing for n in range(1, entry.count + 1)}
        shots = [entry.candidate(number) for entry in drawing for number in range(1, entry.count + 1)]
        failures: dict[int, Failed] = {}
        for event in self._run(line, shots, "image"):
            yield event
            if isinstance(event, Failed):
                failures[id(owners[event.shot])] = event
        for entry in drawing:
            stills = self._stills(line, entry)
            if not stills and id(entry) in failures:
                self._fail(entry, failures[id(entry)])
            elif entry.open or self._order.until == "image":
                drawn = self._drawn(line, entry, stills)
                yield drawn
                if entry.open:
                    entry.pick(list(stills)[self._chosen(drawn) - 1])

    def _stills(self, line: _Line, entry: Entry) -> dict[int, bytes]:
        """The stills that were drawn, as PNG, by their candidate's number."""
        found = {}
        for number in range(1, entry.count + 1):
            one = pipeline.cascade(entry.candidate(number), line.group.models)
            if artifact := self._store.artifact(one.still):
                found[number] = artifact.read()
        return found

    def _drawn(self, line: _Line, entry: Entry, stills: dict[int, bytes]) -> Drawn:
        paths = tuple(self._written(entry, number, data) for number, data in stills.items())
        if entry.wish.pick != "best":
            return Drawn(entry.shot.id, entry.shot.prompt, paths)
        pictures = [bitmap.read_png(data) for data in stills.values()]
        best, scores = scorer.best(pictures, self._caption(line, entry), entry.wish.scorer)
        return Drawn(entry.shot.id, entry.shot.prompt, paths, scores, best + 1)

    def _chosen(self, drawn: Drawn) -> int:
        asking = self._order.choose if self._order.until == "file" else None
        return drawn.best or (asking(drawn) if asking else 1)

    def _written(self, entry: Entry, number: int, data: bytes) -> Path:
        """A still's file in the output folder, for people to look at; never over another's."""
        name = f"{stem(entry.shot)}-still-{number}"
        path = self._order.out / f"{name}.png"
        if path.exists() and path.read_bytes() != data:
            path = path.with_name(f"{name}-{hashlib.sha256(data).hexdigest()[:6]}.png")
        if not path.exists():
            files.write(path, data)
        return path

    def _caption(self, line: _Line, entry: Entry) -> str:
        made = self._store.artifact(pipeline.refine(entry.shot, line.group.models))
        return str(json.loads(made.read())["text"]) if made else ""

    # -------------------------------------------------------------------------------------------------- and the end

    def _sketch(self) -> Sketch:
        """The file to edit and go on from."""
        shots = [self._sketched(line, entry) for line in self._lines for entry in line.going]
        shots = [one for one in shots if one.caption]
        title = self._order.title or (stem(shots[0].shot) if shots else "sketch")
        folder = self._order.out.parent if self._order.title else self._order.out
        path = sketch.write(folder, title, shots)
        return Sketch(path, tuple(still for one in shots for still in one.stills))

    def _sketched(self, line: _Line, entry: Entry) -> Sketched:
        shot, wish = entry.shot, entry.wish
        options = again.differing(shot.preset, shot.options)
        picked = options.pop("image.candidate", 1)
        caption = self._caption(line, entry)
        if self._order.until == "image" and shot.still is None:
            stills = [self._written(entry, number, data) for number, data in self._stills(line, entry).items()]
            return Sketched(shot, caption, options, stills, {"pick": picked})
        choice = {"pick": wish.pick or picked, "stills": wish.stills, "scorer": wish.scorer}
        usual = {"pick": 1, "stills": 1, "scorer": Wish.scorer}
        return Sketched(
            shot, caption, options, (), {name: value for name, value in choice.items() if value != usual[name]}
        )


class _Engine:
    """This machine's engine, which is built when something has to be run: only then is torch imported."""

    def __init__(self, prepared: Prepared, make: Callable[[Prepared], making.Engine]) -> None:
        self._prepared = prepared
        self._make = make

    @property
    def capacity(self) -> Capacity:
        return self._prepared.budget.capacity

    def demand(self, phase: Phase) -> Demand:
        return self._prepared.estimator.demand(phase)

    def plan(self, phases: Sequence[Phase]) -> Plan:
        return self._local.plan(phases)

    def check(self, plan: Plan) -> None:
        self._local.check(plan)

    def run(self, plan: Plan, store: Store, goals: Sequence[Phase] | None = None) -> Iterator[Event]:
        return self._local.run(plan, store, goals)

    @functools.cached_property
    def _local(self) -> making.Engine:
        return self._make(self._prepared)


def _of_this_machine(one: Prepared) -> making.Engine:
    from animatic import device  # here, because they import torch
    from animatic.engine import LocalEngine

    return LocalEngine(one.models, device.here(), one.budget, one.estimator)


def _clip_bytes(shot: Shot) -> int:
    """Bytes to keep free for a clip's files: what x264 needs at its worst for such frames, and the pictures."""
    pixels = shot.option("video.width") * shot.option("video.height")
    return int(pixels * (shot.option("video.num_frames") + 6) + 2_000_000)
