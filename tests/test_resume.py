"""Nothing twice, nothing lost: what was made is found again, and a denoising goes on where it was interrupted."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from animatic import checkpoint, inventory, making, pipeline
from animatic.core import Shot
from animatic.errors import OutputError
from animatic.events import Clip, Event, Failed, PhaseBegun, PhaseEnded, Step
from animatic.models.flux import Flux
from animatic.outputs import Outputs
from animatic.store import Store
from tests.cascades import Rig, shot, tiny_rig

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Rig:
    return tiny_rig(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Save after every step, however long that takes."""
    monkeypatch.setattr(checkpoint, "SHARE", 1e12)


def events(rig: Rig, shots: list[Shot], folder: Path) -> Iterator[Event]:
    (folder / "out").mkdir(parents=True, exist_ok=True)
    store = rig.store(folder / "store")
    return making.run(shots, rig.models, rig.engine(), store, Outputs(folder / "out"))


def artifacts(folder: Path) -> dict[str, bytes]:
    files = (folder / "store/artifacts").rglob("*")
    return {file.name: file.read_bytes() for file in files if file.is_file() and ".about." not in file.name}


def made(seen: list[Event]) -> list[str]:
    return [e.phase for e in seen if isinstance(e, PhaseEnded) and not e.hit and e.phase != "file.write"]


@pytest.mark.usefixtures("every_step")
@pytest.mark.parametrize("after", [1, 2])
@pytest.mark.parametrize(
    ("phase", "options"),
    [
        ("image.denoise", {}),
        ("image.denoise", {"image__true_cfg_scale": 2.0}),
        ("video.denoise", {"video__scheduler": "dpm"}),
        ("video.denoise", {"video__scheduler": "ddim"}),
        ("video.denoise", {"video__scheduler": "dpm", "video__guidance_scale": 1.0}),
    ],
)
def test_a_resumed_denoising_ends_in_the_same_bits(
    phase: str, options: dict[str, Any], after: int, rig: Rig, tmp_path: Path
) -> None:
    asked = shot("a red boat", seed=5, **options)
    list(events(rig, [asked], tmp_path / "whole"))
    going = events(rig, [asked], tmp_path / "broken")
    next(e for e in going if isinstance(e, Step) and e.phase == phase and e.step == after)
    going.close()  # type: ignore[attr-defined]
    rest = list(events(rig, [asked], tmp_path / "broken"))
    assert [e.step for e in rest if isinstance(e, Step) and e.phase == phase] == list(range(after + 1, 4))
    assert artifacts(tmp_path / "broken") == artifacts(tmp_path / "whole")
    assert not list((tmp_path / "broken/store/states").iterdir()), "a state outlived its phase"


@pytest.mark.usefixtures("every_step")
def test_a_state_of_another_environment_or_a_damaged_one_is_not_gone_on_from(rig: Rig, tmp_path: Path) -> None:
    asked = shot("a red boat", seed=5)
    for hurt in (lambda data: data[:-1], lambda data: b"0" * 64 + data[64:]):
        folder = tmp_path / str(id(hurt))
        going = events(rig, [asked], folder)
        next(e for e in going if isinstance(e, Step) and e.phase == "image.denoise" and e.step == 2)
        going.close()  # type: ignore[attr-defined]
        (state,) = (folder / "store/states").iterdir()
        state.write_bytes(hurt(state.read_bytes()))
        steps = [e.step for e in events(rig, [asked], folder) if isinstance(e, Step) and e.phase == "image.denoise"]
        assert steps == [1, 2, 3]


@pytest.mark.usefixtures("every_step")
def test_collecting_leaves_what_an_interrupted_run_goes_on_from(rig: Rig, tmp_path: Path) -> None:
    def going(store: Store) -> Iterator[Event]:
        return making.run([shot("a red boat", seed=5)], rig.models, rig.engine(), store, Outputs(tmp_path))

    store = rig.store(tmp_path / "store")
    store.hold = store.holds.of("run", "boats")
    events = going(store)
    next(e for e in events if isinstance(e, Step) and e.phase == "video.denoise" and e.step == 2)
    events.close()  # type: ignore[attr-defined]
    collected = inventory.collect(Store(tmp_path / "store"), keep=0)
    assert collected.removed == 0 and collected.needed > 4
    seen = list(going(rig.store(tmp_path / "store")))
    assert made(seen) == ["video.denoise", "video.decode"]
    assert [e.step for e in seen if isinstance(e, Step)] == [3]


def test_a_clips_files_are_written_under_its_claim(rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else two workers that deliver one shot give it two copies."""
    free: list[bool] = []
    honest = Outputs.write

    def write(self: Outputs, results: Any, *more: Any) -> Any:
        free.append(Store(tmp_path / "store").claim(results.keys["file.write"]) is not None)
        return honest(self, results, *more)

    monkeypatch.setattr(Outputs, "write", write)
    list(events(rig, [shot("a red boat", seed=1)], tmp_path))
    assert free == [False]


def test_stopped_anywhere_only_what_was_going_on_runs_again(rig: Rig, tmp_path: Path) -> None:
    asked = [shot("a red boat", seed=1), shot("a blue cat", seed=2)]
    whole = list(events(rig, asked, tmp_path / "whole"))
    stops = [n for n, e in enumerate(whole) if isinstance(e, (PhaseBegun, PhaseEnded))][::5]
    for stop in stops:
        folder = tmp_path / str(stop)
        going = events(rig, asked, folder)
        first = [next(going) for _ in range(stop + 1)]
        going.close()  # type: ignore[attr-defined]
        second = list(events(rig, asked, folder))
        assert sorted(made(first) + made(second)) == sorted(made(whole))
        assert artifacts(folder) == artifacts(tmp_path / "whole")


def test_what_is_made_needs_no_engine(rig: Rig, tmp_path: Path) -> None:
    asked = [shot("a red boat", seed=1)]
    (first,) = [e for e in events(rig, asked, tmp_path) if isinstance(e, Clip)]

    class Nobody:
        capacity = rig.engine().capacity
        demand = rig.engine().demand

        def plan(self, phases: Any) -> Any:
            raise AssertionError(f"asked to plan {phases}")

    out = Outputs(tmp_path / "elsewhere")
    out.folder.mkdir()
    seen = list(making.run(asked, rig.models, Nobody(), rig.store(tmp_path / "store"), out))  # type: ignore[arg-type]
    (again,) = [e for e in seen if isinstance(e, Clip)]
    assert again.path.read_bytes() == first.path.read_bytes()
    assert again.record["phases"] == first.record["phases"] != {}


def test_an_edit_runs_only_what_depends_on_it(rig: Rig, tmp_path: Path) -> None:
    def ran(**change: Any) -> list[str]:
        return made(list(events(rig, [shot("a red boat", seed=1, **change)], tmp_path)))

    everything = ran()
    assert len(everything) == len(set(everything)) == 8
    assert ran(video__guidance_scale=3.0) == ["video.denoise", "video.decode"]
    assert ran(image__candidate=2) == ["image.denoise", "image.decode", "video.anchor", "video.denoise", "video.decode"]
    assert ran(file__crf=30) == ["video.decode"], "its frames were given up"
    assert ran() == []


def test_a_damaged_artifact_is_set_aside_said_and_made_anew(rig: Rig, tmp_path: Path) -> None:
    asked = [shot("a red boat", seed=1)]
    list(events(rig, asked, tmp_path))
    before = artifacts(tmp_path)
    latents = next((tmp_path / "store/artifacts").rglob("*.still.png"))
    latents.write_bytes(latents.read_bytes()[:-1] + b"?")
    seen = list(events(rig, asked, tmp_path))
    assert made(seen) == ["image.decode"]
    assert any("damaged artifact is set aside" in str(e.as_dict().get("text")) for e in seen)
    assert artifacts(tmp_path) == before
    assert len(list((tmp_path / "store/damaged").iterdir())) == 2


def test_a_shot_that_fails_does_not_stop_the_others(rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = Flux.decode

    def dishonest(self: Flux, parts: Any, works: Any) -> Any:
        if works[0].phase.shot.seed == 2:
            raise RuntimeError("a bad day\nand more")
        yield from honest(self, parts, works)

    monkeypatch.setattr(Flux, "decode", dishonest)
    asked = [shot("a red boat", seed=n) for n in (1, 2, 3)]
    seen = list(events(rig, asked, tmp_path))
    (failure,) = [e for e in seen if isinstance(e, Failed)]
    assert (failure.shot, failure.phase) == (asked[1].id, "image.decode")
    assert failure.text == "RuntimeError: a bad day"
    assert {e.shot for e in seen if isinstance(e, Clip)} == {asked[0].id, asked[2].id}
    monkeypatch.undo()
    seen = list(events(rig, asked, tmp_path))
    assert made(seen) == ["image.decode", "video.anchor", "video.denoise", "video.decode"]


def test_a_film_that_cannot_be_written_is_its_own_shots_failure(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = making.encoded

    def dishonest(results: Any, frames: Path) -> Any:
        if results.shot.seed == 1:
            raise ValueError("a bad day")
        return honest(results, frames)

    monkeypatch.setattr(making, "encoded", dishonest)
    asked = [shot("a red boat", seed=n) for n in (1, 2)]
    seen = list(events(rig, asked, tmp_path))
    assert [(e.phase, e.text) for e in seen if isinstance(e, Failed)] == [("file.write", "ValueError: a bad day")]
    assert [e.shot for e in seen if isinstance(e, Clip)] == [asked[1].id]
    monkeypatch.undo()
    assert made(list(events(rig, asked, tmp_path))) == []


def test_a_full_disk_stops_with_its_name_and_the_batch_goes_on_later(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = [shot("a red boat", seed=1)]
    whole = list(events(rig, asked, tmp_path / "whole"))
    honest, room = Store.put, iter(range(4))

    def put(self: Store, *args: Any, **kwargs: Any) -> Any:
        if next(room, None) is None:
            monkeypatch.setattr("os.fsync", full)
        return honest(self, *args, **kwargs)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Store, "put", put)
        with pytest.raises(
            OutputError, match="the disk is full: free some space, or choose another folder with --store"
        ):
            list(events(rig, asked, tmp_path / "full"))
    monkeypatch.undo()
    rest = list(events(rig, asked, tmp_path / "full"))
    assert len(made(rest)) == len(made(whole)) - 4
    assert artifacts(tmp_path / "full") == artifacts(tmp_path / "whole")


def test_two_runs_on_one_store_share_the_work(rig: Rig, tmp_path: Path) -> None:
    """Turn and turn about: each leaves alone what the other has begun, and waits for it where nothing else is left."""
    asked = [shot("a red boat", seed=n) for n in (1, 2)]
    whole = made(list(events(rig, asked, tmp_path / "whole")))
    one, mine, theirs = events(rig, asked, tmp_path / "shared"), [], []
    for event in one:
        mine.append(event)
        if isinstance(event, PhaseBegun) and event.phase == "image.denoise":
            break
    other = events(rig, asked, tmp_path / "shared")
    for event in other:  # It does what is free: all but the first shot, whose latents are claimed.
        theirs.append(event)
        if isinstance(event, Clip):
            break
    mine += list(one)
    theirs += list(other)
    assert sorted(made(mine) + made(theirs)) == sorted(whole), "something was made twice"
    assert artifacts(tmp_path / "shared") == artifacts(tmp_path / "whole")
    assert len([e for e in theirs if isinstance(e, Clip)]) == len([e for e in mine if isinstance(e, Clip)]) == 2


def test_a_run_that_only_waits_for_another_gets_its_clip_too(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that the second run needs is being made: it has nothing to do but to look on, and to write its own files."""
    asked = [shot("a red boat")]
    mine, rest = events(rig, asked, tmp_path), []
    for event in mine:
        if isinstance(event, PhaseBegun) and event.phase == "video.decode":
            break
    monkeypatch.setattr("animatic.making._Making._wait", lambda *_: rest.extend(mine))
    (tmp_path / "elsewhere").mkdir()
    store = rig.store(tmp_path / "store")
    theirs = list(making.run(asked, rig.models, rig.engine(), store, Outputs(tmp_path / "elsewhere")))
    assert not made(theirs) and "video.decode" in made(rest)
    clips = [event.path.parent for event in (*rest, *theirs) if isinstance(event, Clip)]
    assert clips == [tmp_path / "out", tmp_path / "elsewhere"]


def test_tables_that_another_run_gives_up_are_made_again(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Shots of all runs share the video's tables, as long as their schedules are equal."""
    monkeypatch.setattr(pipeline, "split", lambda *_: frozenset({"image", "video"}))
    mine = events(rig, [shot("a red boat", seed=1), shot("a blue cat", seed=2)], tmp_path)
    seen = list(itertools.takewhile(lambda e: not (isinstance(e, PhaseEnded) and e.phase == "video.denoise"), mine))
    other = list(events(rig, [shot("an owl", seed=9)], tmp_path))
    assert [event for event in other if isinstance(event, Clip)]
    seen += list(mine)
    assert not [event for event in seen if isinstance(event, Failed)]
    assert len([event for event in seen if isinstance(event, Clip)]) == 2


def test_frames_that_another_run_gives_up_are_made_again(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clip of the same frames, encoded otherwise, is written while this one is at its encoding."""
    mine = events(rig, [shot("a red boat")], tmp_path)
    encode = making.encoded

    def interrupted(*given: Any) -> Any:
        monkeypatch.setattr(making, "encoded", encode)
        assert [e for e in events(rig, [shot("a red boat", file__crf=30)], tmp_path) if isinstance(e, Clip)]
        return encode(*given)

    monkeypatch.setattr(making, "encoded", interrupted)
    seen = list(mine)
    assert not [event for event in seen if isinstance(event, Failed)]
    assert len([event for event in seen if isinstance(event, Clip)]) == 1
