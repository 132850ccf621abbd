"""What the engine promises: components come and go with their phases, shots are independent, damage is found first."""

from __future__ import annotations

import gc
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from animatic.errors import WeightsError
from animatic.events import Clip, Evicted, Loaded, PhaseBegun, PhaseEnded, Planned, StageBegun, StageEnded, Step
from tests.cascades import Rig, shot, tiny_rig

CAPTION = "A red boat sails over the sea to the right while the camera stays still."


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Rig:
    return tiny_rig(tmp_path_factory.mktemp("tiny"))


def live_parameters(besides: Sequence[torch.nn.Parameter] = ()) -> list[torch.nn.Parameter]:
    """Parameters that have memory, other than `besides`; skeletons have none."""
    gc.collect()
    known = {id(parameter) for parameter in besides}
    things = (thing for thing in gc.get_objects() if issubclass(type(thing), torch.nn.Parameter))
    return [parameter for parameter in things if not parameter.is_meta and id(parameter) not in known]


@pytest.mark.slow
def test_components_leave_when_their_phase_ends(rig: Rig, tmp_path: Path) -> None:
    others = live_parameters()  # What another test has left: kept here, so that no new one takes its identity.
    resident: set[str] = set()
    seen_with_weights = 0
    for event in rig.events([shot("a red boat"), shot("a cat", seed=1)], tmp_path):
        match event:
            case Loaded(component=name):
                resident.add(name)
            case Evicted(component=name):
                resident.remove(name)
            case _:
                continue
        if any(not name.endswith(("tokenizer", "tokenizer_2", "scheduler")) for name in resident):
            seen_with_weights += bool(live_parameters(others))
        elif not resident:
            assert not live_parameters(others), "something still holds weights"
    assert seen_with_weights and not live_parameters(others)


def test_events_tell_the_whole_story(rig: Rig, tmp_path: Path) -> None:
    events = list(rig.events([shot("a red boat")], tmp_path))
    assert isinstance(events[0], Planned) and events[0].steps == {"image.denoise": 3, "video.denoise": 3}
    assert [e.stage for e in events if isinstance(e, StageBegun)] == ["refine", "image", "video", "file"]
    assert {e.stage for e in events if isinstance(e, StageEnded)} == {"refine", "image", "video", "file"}
    begun = [e.phase for e in events if isinstance(e, PhaseBegun)]
    ended = [e.phase for e in events if isinstance(e, PhaseEnded)]
    assert begun == ended and begun[-1] == "file.write"
    loads = [e for e in events if isinstance(e, Loaded) and e.component == "video.tokenizer"]
    assert len(loads) == 1, "borrowed to count the caption, and kept for the video"
    steps = [(e.phase, e.step, e.steps) for e in events if isinstance(e, Step)]
    assert steps == [(f"{stage}.denoise", i, 3) for stage in ("image", "video") for i in (1, 2, 3)]
    previews = [e.preview.shape for e in events if isinstance(e, Step)]
    assert previews == [(1, 8, 12, 3)] * 3 + [(3, 8, 12, 3)] * 3
    assert all(e.seconds >= 0 and e.peak > 0 for e in events if isinstance(e, PhaseEnded) and e.phase != "file.write")
    assert all(json.dumps(e.as_dict()) for e in events)
    assert len([e for e in events if isinstance(e, Clip)]) == 1


@pytest.mark.slow
def test_a_shot_does_not_depend_on_its_company(rig: Rig, tmp_path: Path) -> None:
    mine, other = shot("a red boat", seed=3), shot("a blue cat", seed=8)

    def film(name: str, *shots: object) -> bytes:
        clips = [e for e in rig.events(shots, tmp_path / name) if isinstance(e, Clip)]  # type: ignore[arg-type]
        return next(clip.path.read_bytes() for clip in clips if clip.shot == mine.id)

    alone = film("alone", mine)
    assert film("after", other, mine) == alone
    assert film("before", mine, other) == alone
    assert film("again", mine) == alone


def test_global_randomness_is_neither_used_nor_disturbed(rig: Rig, tmp_path: Path) -> None:
    torch.manual_seed(11)
    before = torch.random.get_rng_state()
    for _ in rig.events([shot("a red boat")], tmp_path):
        pass
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.slow
def test_stopping_midway_leaves_no_files_and_no_weights(rig: Rig, tmp_path: Path) -> None:
    others = live_parameters()
    events = rig.events([shot("a red boat")], tmp_path)
    for event in events:
        if isinstance(event, Step) and event.phase == "video.denoise":
            break
    events.close()  # type: ignore[attr-defined]
    del events
    assert list((tmp_path / "out").iterdir()) == []
    assert not live_parameters(others)


@pytest.mark.slow
def test_shots_that_share_a_caption_encode_it_once(rig: Rig, tmp_path: Path) -> None:
    shots = [shot("a red boat", seed=seed, caption=CAPTION) for seed in (1, 2)]
    ended = [e for e in rig.events(shots, tmp_path) if isinstance(e, PhaseEnded)]
    hits = sorted(e.phase for e in ended if e.hit)
    assert hits == ["image.encode", "refine.given", "video.encode"]


# ----------------------------------------------------------------------------------------------------- damaged weights


def missing(folder: Path) -> None:
    next(folder.glob("*-00002-of-*")).unlink()


def truncated(folder: Path) -> None:
    shard = next(folder.glob("*-00001-of-*"))
    shard.write_bytes(shard.read_bytes()[:-100])


def pickled(folder: Path) -> None:
    for file in folder.glob("*.safetensors*"):
        file.unlink()
    torch.save({}, folder / "diffusion_pytorch_model.bin")


def misshapen(folder: Path) -> None:
    shard = next(folder.glob("*-00001-of-*"))
    tensors = load_file(shard)
    name = next(iter(tensors))
    tensors[name] = tensors[name].flatten()[:1]
    save_file(tensors, shard)


def without_configuration(folder: Path) -> None:
    (folder / "config.json").unlink()


DAMAGES: list[tuple[Callable[[Path], None], str]] = [
    (missing, "missing"),
    (truncated, "trunc"),
    (pickled, "safetensors"),
    (misshapen, "another model"),
    (without_configuration, "configuration"),
]


@pytest.mark.parametrize(("damage", "says"), DAMAGES, ids=lambda value: getattr(value, "__name__", ""))
@pytest.mark.parametrize("part", ["flux/transformer", "cogvideox/vae"])
def test_damaged_weights_are_refused_before_any_load(
    damage: Callable[[Path], None], says: str, part: str, rig: Rig, tmp_path: Path
) -> None:
    model, _, component = part.partition("/")
    hurt = Rig(**{name: getattr(rig, name) for name in ("chat", "flux", "cogvideox")} | {model: tmp_path / model})
    shutil.copytree(getattr(rig, model), tmp_path / model)
    folder = tmp_path / model / component
    if not list(folder.glob("*-00002-of-*")) and damage in (missing,):
        pytest.skip("one shard only")
    damage(folder)
    events = []
    with pytest.raises(WeightsError) as caught:
        events.extend(hurt.events([shot("a red boat")], tmp_path))
    assert not any(isinstance(event, Loaded) for event in events)
    message = str(caught.value)
    assert component in message and says in message.lower() and "\n" not in message


def test_a_tensor_the_files_lack_is_never_random(rig: Rig, tmp_path: Path) -> None:
    folder = tmp_path / "chat"
    shutil.copytree(rig.chat, folder)
    index_file = folder / "model.safetensors.index.json"
    index = json.loads(index_file.read_text())
    name = next(name for name in index["weight_map"] if "mlp" in name)
    shard = folder / index["weight_map"].pop(name)
    tensors = load_file(shard)
    del tensors[name]
    save_file(tensors, shard, metadata={"format": "pt"})
    index_file.write_text(json.dumps(index))
    with pytest.raises(WeightsError, match="lacks 1 tensor"):
        list(Rig(folder, rig.flux, rig.cogvideox).events([shot("a red boat")], tmp_path / "run"))
