"""Making at a server: the same events and the same files as of a making here, and a person asked the same.

Knows the client of a server and what a user keeps; runs no model. What is begun there goes on there, whoever watches.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
import time
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from animatic import again, bitmap, files, prepare
from animatic import batch as batches
from animatic import store as stores
from animatic.books import Ask, BatchBooks, Books, Shelf
from animatic.books import failure as failed
from animatic.client import HERE, LONGEST, Client, Variant, Video
from animatic.core import Shot, Stage
from animatic.errors import (
    AnimaticError,
    CapacityError,
    InputError,
    OptionError,
    OutputError,
    ServiceError,
    WeightsError,
)
from animatic.events import Clip, Drawn, Event, Failed, Notice, Planned, Sheet, Sketch, StageBegun, StageEnded, Step
from animatic.outputs import Outputs
from animatic.pipeline import Until
from animatic.prepare import Wish
from animatic.production import Chooser

KEY = "ANIMATIC_API_KEY"
AHEAD = 16
"""Jobs of ours that a server has at a time: so that it can make some together, and others are not kept waiting."""
ROOM = 10_000_000
"""Bytes that there must be room for before anything is begun."""
GLANCE = 0.4
"""Seconds between two previews."""

_MEDIA: dict[str, Variant] = {"path": "video", "still": "still", "card": "card"}
_STAGES = ("refine.generate", "image.denoise", "video.denoise", "file.write")
_FAULTS: dict[str, type[AnimaticError]] = {
    "invalid_request": InputError,
    "over_capacity": CapacityError,
    "weights_missing": WeightsError,
}


def connect(at: str | None) -> Client:
    """The client of a server, with the key that the environment has for it. Raises OptionError."""
    return Client(at or HERE, os.environ.get(KEY))


@dataclass(frozen=True)
class Task:
    """One clip that is wanted: its shot as far as it is known here, how its books know it, and its wish."""

    ask: Ask
    wish: Wish

    @property
    def fields(self) -> dict[str, Any]:
        """What the server is asked for."""
        wish = self.wish
        stills = {"stills": wish.stills, "pick": wish.pick} if wish.stills > 1 or wish.pick is not None else {}
        return {"model": wish.preset, "seed": wish.seed, "caption": wish.caption, **stills, **wish.options}

    @property
    def image(self) -> Path | None:
        return Path(self.wish.image) if self.wish.image is not None else None


class Remote:
    """A server as a maker of clips: `stream` and `batch` are as in `animatic.api`, but for what is the server's to say.

    previews  whether denoising steps come with what can be seen of them

    Of the store it needs only to note there which clip was made last.
    """

    def __init__(self, client: Client, previews: bool = False) -> None:
        self._client = client
        self._choose: Chooser | None = None
        self._previews = previews
        self._glanced = 0.0
        self._begun: dict[str, None] = {}

    def stream(
        self,
        prompt: str,
        *,
        out: str | Path = "outputs",
        store: str | Path | None = None,
        until: Until = "file",
        choose: Chooser | None = None,
        **wish: Any,
    ) -> Iterator[Event]:
        """Make the clips of a prompt, yielding what happens as it happens. The first jobs are begun at the call."""
        one = Wish(prompt, **wish)
        tasks = [_task(take) for take in one.each_take()]
        self._check([one], until, choose)
        files.check_writable(Path(out), ROOM)
        return _Errand(self, tasks, Shelf(Outputs(Path(out))), Path(out), store).run()

    def batch(
        self,
        file: str | Path,
        *,
        out: str | Path = "outputs",
        store: str | Path | None = None,
        until: Until = "file",
        choose: Chooser | None = None,
        shard: tuple[int, int] = (1, 1),
        **defaults: Any,
    ) -> Iterator[Event]:
        """Make every shot of a file. A shot that fails does not stop the others."""
        wishes = batches.read(Path(file), Wish("", **defaults))
        self._check(wishes, until, choose)
        title = batches.title(Path(file))
        folder = Path(out) / title
        files.check_writable(folder, ROOM)
        return _Errand(self, _tasks(wishes, shard), BatchBooks(folder, title), folder, store).run()

    def watch(self, id: str, choose: Chooser | None = None) -> Iterator[Event]:
        """What happens to a job until it is done. Raises AnimaticError, also where the job failed."""
        self._choose = choose
        video = yield from self.follow(id)
        if video.status == "failed":
            raise failure(video)
        yield Notice(f"{id} is completed: animatic jobs {id} --get fetches its files")

    def fetch(self, id: str, folder: Path, name: str = "") -> Clip:
        """The clip of a job that is completed, its five files brought here; found, where they were before."""
        data = self._client.record(id)
        try:
            record = json.loads(data)
            shot = Shot(str(record["prompt"]), int(record["seed"]), str(record["preset"]), record["options"], name=name)
            caption, signature = str(record["caption"]), str(record["signature"])
        except (ValueError, KeyError, TypeError):
            raise ServiceError(f"the record of {id} at {self._client.at} is none of Animatic's") from None
        outputs = Outputs(folder)
        files.check_writable(folder, ROOM)
        if clip := outputs.find(shot, signature):
            return clip
        with tempfile.TemporaryDirectory() as place:
            contents: dict[str, bytes | Path] = {}
            for what, variant in _MEDIA.items():
                contents[what] = Path(place) / what
                self._client.download(id, variant, Path(place) / what)
            contents |= {"text": f"{caption}\n".encode(), "sidecar": data}  # The sidecar is written last.
            return outputs.keep(shot, contents, record)

    def farewell(self) -> str:
        """What a person should know who stops watching."""
        ids = list(self._begun)
        at = "" if self._client.at == HERE else f" --at {self._client.at}"
        if not ids:
            return "stopped; no video goes on"
        if len(ids) > 1:
            return f"stopped watching; {len(ids)} videos go on at the server: animatic jobs{at} lists them"
        one = ids[0]
        return (f"stopped watching; the video goes on at the server: animatic jobs {one} --watch{at} looks again, "
                f"animatic jobs {one} --cancel{at} stops it")  # fmt: skip

    def _check(self, wishes: Sequence[Wish], until: Until, choose: Chooser | None) -> None:
        """Raises OptionError for what only a making here can be asked for, or where nobody can be asked."""
        self._choose = choose
        if until != "file":
            raise OptionError("--until stops a making here, and a server makes whole clips: leave --until or --at out")
        for wish in wishes:
            _check_local(wish)
            if wish.stills > 1 and wish.pick is None and choose is None:
                raise OptionError(f"--stills {wish.stills} asks which to take, and there is nobody to ask here: "
                                  "add --pick NUMBER or --pick best")  # fmt: skip

    def begin(self, task: Task, wait: float) -> Video:
        video = self._client.create(task.wish.prompt, image=task.image, wait=wait, **task.fields)
        self._begun[video.id] = None
        return video

    # ------------------------------------------------------------------------------------------------------- following

    def follow(self, id: str, alone: bool = True) -> Generator[Event, None, Video]:
        """A job's events until it is done; gives the job as it is then. `alone`: its plan is all that is ahead."""
        unseen = (Clip, Sheet, Sketch, Failed) if alone else (Clip, Sheet, Sketch, Failed, Planned)
        self._begun[id] = None
        video: Video | None = None
        stages: dict[Stage, float] = {}
        for event in self._client.events(id):
            if isinstance(event, StageBegun):
                stages[event.stage] = time.monotonic()
            elif isinstance(event, StageEnded):
                stages.pop(event.stage, None)
            if isinstance(event, Video):
                yield from self._news(event, video)
                video = event
            elif isinstance(event, Drawn):
                if event.best:
                    yield Notice(f"of {len(event.stills)} stills the best is number {event.best}")
            elif isinstance(event, Step):
                yield replace(event, preview=self._preview(id))
            elif not isinstance(event, unseen):
                yield event
        assert video is not None, "events end with the video, done"
        self._begun.pop(id, None)
        if video.status == "completed":  # A clip is there before all is put away, and nothing is told after it.
            yield from (StageEnded(stage, time.monotonic() - begun) for stage, begun in stages.items())
        return video

    def _news(self, video: Video, before: Video | None) -> Iterator[Event]:
        """What a job's new state means to who watches it."""
        position, told = video.position or 0, before.position or 0 if before else 0
        if position != told and max(position, told) > 1 and position:
            yield Notice(f"number {position} of those that wait at {self._client.at}")
        if video.waiting_for and (before is None or before.waiting_for != video.waiting_for):
            if video.waiting_for == "still" and self._choose is not None:
                yield from self._ask(video, self._choose)
            else:
                yield Notice(f"it waits for its {video.waiting_for}: see {self._client.at}/videos/{video.id}")

    def _ask(self, video: Video, choose: Chooser) -> Iterator[Event]:
        """Show the stills to somebody and tell the server which is taken."""
        with tempfile.TemporaryDirectory() as place:
            stills = tuple(Path(place) / f"still-{number}.png" for number, _ in enumerate(video.stills, 1))
            for number, still in enumerate(stills, 1):
                self._client.download_still(video.id, number, still)
            drawn = Drawn(video.id, video.prompt or "", stills, tuple(video.scores))
            yield drawn
            chosen = choose(drawn)
        try:
            self._client.still(video.id, chosen)
        except InputError:
            now = self._client.retrieve(video.id)
            if now.waiting_for == "still":
                raise
            yield Notice("somebody else has chosen already")

    def _preview(self, id: str) -> Any:
        """The picture of the last step, uint8 [1, height, width, 3]; None: there is none, or one was just shown."""
        if not self._previews or time.monotonic() - self._glanced < GLANCE:
            return None
        self._glanced = time.monotonic()
        with contextlib.suppress(AnimaticError):
            return bitmap.read_png(self._client.preview(id))[None]
        return None


class _Errand:
    """Tasks on their way: so many at the server at a time, followed in their order."""

    def __init__(
        self, remote: Remote, tasks: Sequence[Task], books: Books, folder: Path, store: str | Path | None
    ) -> None:
        self._remote = remote
        self._books = books
        self._folder = folder
        self._store = stores.default() if store is None else Path(store)
        self._count = len(tasks)
        self._due = deque(task for task in tasks if not books.find(task.ask))
        self._going: deque[tuple[Task, Video]] = deque()
        self._failures: list[Failed] = []

    def run(self) -> Iterator[Event]:
        refused = list(self._begin())
        if self._count == 1 and self._failures:
            raise self._failures[0].error
        return self._run(refused)

    def _run(self, refused: Sequence[Event]) -> Iterator[Event]:
        with contextlib.ExitStack() as stopped:
            stopped.callback(self._close_midway)
            yield from self._books.told()
            if self._count > 1 and self._going:
                yield _planned(self._going[0][1], len(self._due) + len(self._going))
            yield from refused
            while self._going:
                task, video = self._going.popleft()
                yield from self._finish(task, video)
                yield from self._begin()
            stopped.pop_all()
        yield from self._books.close()
        if self._failures:
            raise failed(self._failures, self._count)

    def _close_midway(self) -> None:
        """A batch that was stopped shows on its sheet what there is, if the disk has room for it."""
        with contextlib.suppress(OutputError):
            list(self._books.close())

    def _begin(self) -> Iterator[Event]:
        """Begin as many as may go on at a time. A server that takes no more for now is asked again later."""
        while self._due and len(self._going) < AHEAD:
            task = self._due[0]
            try:
                self._going.append((task, self._remote.begin(task, 0 if self._going else LONGEST)))
            except ServiceError:
                if not self._going:
                    raise
                return
            except AnimaticError as error:
                yield self._failed(task, "asked", error)
            self._due.popleft()

    def _finish(self, task: Task, video: Video) -> Iterator[Event]:
        done = yield from self._remote.follow(video.id, alone=self._count == 1)
        if done.status == "failed":
            yield self._failed(task, done.phase or "queued", failure(done))
            return
        clip = self._remote.fetch(done.id, self._folder, task.ask.shot.name)
        self._books.note(_asked(task, clip), clip)
        with contextlib.suppress(OSError):
            self._store.mkdir(parents=True, exist_ok=True)
        again.remember(clip.path, self._store)
        yield clip

    def _failed(self, task: Task, phase: str, error: AnimaticError) -> Failed:
        failed = Failed(task.ask.shot.name or task.ask.shot.id, phase, str(error), error)
        self._failures.append(failed)
        self._books.note(task.ask, failed)
        return failed


def failure(video: Video) -> AnimaticError:
    """Why a job failed, as an error here would have told it."""
    code, message = (video.error.code, video.error.message) if video.error else ("", "it failed, and does not say why")
    if code == "cancelled":
        return ServiceError(f"{video.id} was cancelled")
    return _FAULTS.get(code, ServiceError)(message)


def _check_local(wish: Wish) -> None:
    """Raises OptionError for what is not to be said of another machine."""
    here = {"--memory": wish.memory, "--host-memory": wish.host_memory, "--strict-env": wish.strict_env or None,
            "--scorer": None if wish.scorer == "plain" else wish.scorer}  # fmt: skip
    for flag, given in here.items():
        if given is not None:
            raise OptionError(f"{flag} is the server's to say: leave it out, or leave --at out to make the clip here")


def _tasks(wishes: Sequence[Wish], shard: tuple[int, int]) -> list[Task]:
    """The shots of a file, each with a name of its own; of them, one part of so many."""
    tasks = [_task(take) for wish in wishes for take in wish.each_take()]
    named = batches.named([task.ask.shot for task in tasks])
    part, parts = shard
    return [Task(Ask(shot, "", task.ask.entry), task.wish)
            for number, (task, shot) in enumerate(zip(tasks, named, strict=True))
            if shot is not None and number % parts == part - 1]  # fmt: skip


def _task(wish: Wish) -> Task:
    """A wish of one clip. Raises InputError for a picture that cannot be used."""
    content = prepare.content(Path(wish.image)) if wish.image is not None else ""
    shot = Shot(wish.prompt, wish.seed, wish.preset or "", wish.options, wish.caption, content=content, name=wish.name)
    chosen = f"/{wish.stills}/{wish.pick}" if wish.stills > 1 or wish.pick is not None else ""
    return Task(Ask(shot, "", hashlib.sha256(json.dumps(shot.asked).encode()).hexdigest() + chosen), wish)


def _asked(task: Task, clip: Clip) -> Ask:
    """What was asked for, as the server understood it."""
    record = clip.record
    return replace(task.ask, shot=replace(task.ask.shot, prompt=record["prompt"], preset=record["preset"]))


def _planned(video: Video, shots: int) -> Planned:
    """What is ahead of many jobs together."""
    steps = {f"{stage}.denoise": video.options.get(f"{stage}.num_inference_steps") for stage in ("image", "video")}
    return Planned(_STAGES, shots, {phase: count for phase, count in steps.items() if count})
