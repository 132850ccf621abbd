"""What the user keeps: five files of one name, whole, never over another's, equal for equal shots."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from animatic import bitmap, film, media, outputs, provenance
from animatic.core import Shot, Value
from animatic.errors import OutputError
from animatic.events import Clip
from animatic.options import resolve
from animatic.outputs import Outputs, Results, encoded
from animatic.store import Artifact, Store

MEASURED = {"phases": {"image.denoise": {"seconds": 1.5, "peak_bytes": 10}}, "loads": {"image.vae": 0.25}}


def results(
    folder: Path,
    prompt: str = "A red boat, sailing!",
    seed: int = 3,
    options: Mapping[str, Value] = MappingProxyType({}),
    **more: Any,
) -> tuple[Results, Artifact]:
    folder.mkdir(parents=True, exist_ok=True)
    frames = np.zeros((5, 32, 48, 3), np.uint8)
    frames[..., 0] = np.arange(5).reshape(5, 1, 1) * 50
    np.save(folder / "frames.npy", frames)
    caption = {"text": "A red boat sails.", "source": "model", "attempts": ["A red boat sails."], "repairs": []}
    models = {stage: {"repo": f"maker/{stage}-model", "revision": "abc"} for stage in ("refine", "image", "video")}
    size = {"image.width": 48, "image.height": 32, "video.width": 48, "video.height": 32, "video.num_frames": 5}
    shot = Shot(prompt, seed, "pocket", resolve(size, options), **more)
    made = Results(shot, caption, bitmap.png_bytes(frames[0]), models, {"image.decode": "k" * 64}, f"signature {seed}")
    film, measures = encoded(made, folder / "frames.npy")
    return made, Store(folder / "store").put("c" * 64, film, ".clip.mp4", {"measures": measures})


def write(folder: Path, **more: Any) -> Clip:
    (folder / "out").mkdir(parents=True, exist_ok=True)
    return Outputs(folder / "out").write(*results(folder, **more), MEASURED)


def test_five_files_of_one_name(tmp_path: Path) -> None:
    clip = write(tmp_path)
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    stem = "a-red-boat-sailing-s3"
    assert names == sorted([f"{stem}.mp4", f"{stem}.png", f"{stem}.txt", f"{stem}.json", f"{stem}-card.png"])
    assert clip.text.read_text() == "A red boat sails.\n" and clip.caption == "A red boat sails."
    assert len(media.frames_of(clip.path)) == 5
    assert bitmap.read_image(clip.still).shape == (32, 48, 3)
    assert bitmap.read_image(clip.card).shape[1] == 1600


@pytest.mark.parametrize(("scale", "said"), [(1.0, "CFG scale: 3.5"), (2.5, "CFG scale: 2.5")])
def test_a_still_tells_other_tools_of_its_guidance(scale: float, said: str, tmp_path: Path) -> None:
    options: dict[str, Value] = {"image.true_cfg_scale": scale, "image.negative_prompt": "fog"}
    with Image.open(write(tmp_path, options=options).still) as still:
        parameters = still.info["parameters"]
    assert said in parameters
    assert ("Negative prompt: fog" in parameters) == (scale > 1)


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    first, second = write(tmp_path), write(tmp_path)
    first.text.write_text("edited by hand")
    third = write(tmp_path)
    names = [clip.path.stem for clip in (first, second, third)]
    assert names == [f"a-red-boat-sailing-s3{number}" for number in ("", "-2", "-3")]
    assert first.text.read_text() == "edited by hand"


def test_a_name_taken_by_one_file_only_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/a-red-boat-sailing-s3-card.png").write_bytes(b"mine")
    assert write(tmp_path).path.name == "a-red-boat-sailing-s3-2.mp4"


def test_equal_shots_give_equal_bytes(tmp_path: Path) -> None:
    one, two = write(tmp_path / "one"), write(tmp_path / "two")
    assert one.path.read_bytes() == two.path.read_bytes()
    assert one.still.read_bytes() == two.still.read_bytes()


def test_the_recipe_is_in_the_film_and_the_still_and_times_are_not(tmp_path: Path) -> None:
    clip = write(tmp_path)
    for file in (clip.path, clip.still):
        recipe = provenance.read(file)
        assert recipe["prompt"] == "A red boat, sailing!" and recipe["seed"] == 3
        assert recipe["caption"] == "A red boat sails." and recipe["models"]["video"]["revision"] == "abc"
        assert recipe["options"]["video.num_frames"] == 5
        assert recipe["keys"] == {"image.decode": "k" * 64} and recipe["versions"]["torch"]
        assert not {"phases", "environment", "made"} & recipe.keys()
    record = json.loads(clip.sidecar.read_text())
    assert record["phases"] == MEASURED["phases"] and record["environment"]["torch"]
    assert record["refine"]["attempts"] == ["A red boat sails."]


def test_the_record_tells_what_the_film_measures_and_the_film_says_the_same(tmp_path: Path) -> None:
    clip = write(tmp_path)
    measures = json.loads(clip.sidecar.read_text())["measures"]
    assert measures["frames"] == 5 and measures["luma_drift"] > 30 and measures["still_ssim"] == 1
    assert measures["container"]["provenance"] and measures["remarks"] == ["3 frames (0 to 2) are black"]
    recipe = provenance.read(clip.path)
    assert "measures" not in recipe
    assert film.look(clip.path, recipe) == measures == clip.record["measures"]


def test_an_interrupted_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = results(tmp_path)
    (tmp_path / "out").mkdir()
    synced = iter(range(3))

    def interrupted(_: int) -> None:
        if next(synced) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr("os.fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        Outputs(tmp_path / "out").write(*made, MEASURED)
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("last", [".mp4", ".png", ".txt", "-card.png"])
def test_what_a_killed_run_half_wrote_is_replaced_and_a_persons_file_is_not(tmp_path: Path, last: str) -> None:
    whole = write(tmp_path)
    suffixes = [".mp4", ".png", ".txt", "-card.png", ".json"]
    for suffix in suffixes[suffixes.index(last) + 1 :]:
        whole.path.with_name(f"{whole.path.stem}{suffix}").unlink()
    again = write(tmp_path)
    assert again.path == whole.path and len(list((tmp_path / "out").iterdir())) == 5
    again.sidecar.unlink()
    again.text.write_text("edited by hand")
    assert write(tmp_path).path.stem.endswith("-2") and again.text.read_text() == "edited by hand"


def test_a_clip_that_is_there_is_found_by_what_it_follows_from(tmp_path: Path) -> None:
    (made, _), clip = results(tmp_path), write(tmp_path)
    outputs = Outputs(tmp_path / "out")
    found = outputs.find(made.shot, made.signature)
    assert found and found.hit and found.path == clip.path and found.caption == "A red boat sails."
    assert outputs.find(made.shot, "another") is None
    clip.sidecar.write_text("[]")
    assert outputs.find(made.shot, made.signature) is None
    second = write(tmp_path)
    found = outputs.find(made.shot, made.signature)
    assert found and found.path == second.path != clip.path
    second.path.unlink()
    assert outputs.find(made.shot, made.signature) is None


def test_a_film_is_no_link_to_its_artifact(tmp_path: Path) -> None:
    made, artifact = results(tmp_path)
    (tmp_path / "out").mkdir()
    clip = Outputs(tmp_path / "out").write(made, artifact, MEASURED)
    before = artifact.read()
    with clip.path.open("r+b") as file:
        file.write(b"edited")
    assert artifact.read() == before


def test_a_folder_that_went_away_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot write"):
        Outputs(tmp_path / "gone").write(*results(tmp_path), MEASURED)


@given(st.text(min_size=1, max_size=300), st.integers(0, 2**63))
def test_every_prompt_has_a_file_name(prompt: str, seed: int) -> None:
    stem = outputs.stem(Shot(prompt, seed, "pocket", {}))
    assert len(f"{stem}-card.png".encode("utf-8", "surrogatepass")) <= 120
    assert stem == Path(stem).name and not stem.startswith((".", "-")) and stem.endswith(f"-s{seed}")


@pytest.mark.parametrize(
    ("prompt", "stem"),
    [
        ("A red boat!", "a-red-boat-s0"),
        ("一艘红船", "一艘红船-s0"),
        ("../../etc/passwd", "etc-passwd-s0"),
        ("?!", "clip-s0"),
    ],
)
def test_names_are_readable(prompt: str, stem: str) -> None:
    assert outputs.stem(Shot(prompt, 0, "pocket", {})) == stem
