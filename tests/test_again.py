"""From a clip back to its wish: the printed command and `--like` ask for the very same shot."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from animatic import again, api, bitmap, cli
from animatic.errors import InputError
from animatic.events import Clip, PhaseEnded
from animatic.store import Store
from tests import little

pytestmark = pytest.mark.usefixtures("little")
QUICK = {"image.num_inference_steps": 1, "video.num_inference_steps": 2}


def made(folder: Path, prompt: str = "a red boat", **wish: Any) -> list[Any]:
    return list(api.stream(prompt, preset="little", out=folder / "out", store=folder / "store", **wish))


def clip_of(seen: list[Any]) -> Clip:
    return next(e for e in seen if isinstance(e, Clip))


@pytest.mark.slow
def test_the_printed_command_makes_the_same_clip(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    prompt = 'a red boat\'s "crew" & 船'
    clip = clip_of(made(tmp_path, prompt, seed=7, options={**QUICK, "image.candidate": 2, "file.crf": 20}))
    monkeypatch.setattr("sys.argv", ["animatic", "show", str(clip.path), "--command"])
    with pytest.raises(SystemExit):
        cli.main()
        raise SystemExit
    words = shlex.split(capsys.readouterr().out)
    assert words[:3] == ["animatic", "make", prompt]
    elsewhere = ["--out", str(tmp_path / "again"), "--store", str(tmp_path / "new"), "--quiet"]
    monkeypatch.setattr("sys.argv", [*words, *elsewhere])
    cli.app(standalone_mode=False)
    path = Path(capsys.readouterr().out.strip())
    assert path.read_bytes() == clip.path.read_bytes()


@pytest.mark.slow
def test_like_changes_one_thing_and_makes_only_what_depends_on_it(tmp_path: Path) -> None:
    first = clip_of(made(tmp_path, options=QUICK, seed=3))
    like = again.like("last", tmp_path / "store")
    assert again.like(str(first.path), tmp_path / "store") == like
    same = made(tmp_path, **{name: value for name, value in like.items() if name not in ("preset",)})
    assert clip_of(same).hit and clip_of(same).path == first.path
    changed = {**like, "options": {**like["options"], "video.num_inference_steps": 3}}
    seen = made(tmp_path, **{name: value for name, value in changed.items() if name != "preset"})
    ran = [e.phase for e in seen if isinstance(e, PhaseEnded) and not e.hit]
    assert ran == ["video.denoise", "video.decode", "file.write"]


@pytest.mark.slow
def test_a_given_still_is_found_again_in_the_store(tmp_path: Path) -> None:
    still = tmp_path / "mine.png"
    still.write_bytes(bitmap.png_bytes(np.full((little.HEIGHT, little.WIDTH, 3), 90, np.uint8)))
    first = clip_of(made(tmp_path, options=QUICK, image=still, caption="A gray wall."))
    still.unlink()
    like = again.like("last", tmp_path / "store")
    assert like["caption"] == "A gray wall." and Path(like["image"]).exists()
    assert "--image STILL.png" in again.command(first.record)
    with pytest.raises(InputError, match="a still of yours, which this store has no more: add --image FILE"):
        again.like(str(first.path), tmp_path / "another store")
    assert again.like(str(first.path), tmp_path / "another store", "mine.png")["image"] == "mine.png"
    seen = made(tmp_path, **{name: value for name, value in like.items() if name != "preset"})
    assert clip_of(seen).path.read_bytes()
    assert not [e for e in seen if isinstance(e, PhaseEnded) and e.phase == "video.denoise" and not e.hit]


def test_without_an_earlier_clip_that_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no clip was made with this store yet"):
        again.like("last", tmp_path)
    with pytest.raises(InputError, match="No such file"):
        again.like("none.mp4", tmp_path)


@pytest.mark.parametrize(
    "record",
    [
        {},
        {"prompt": "a", "seed": 1, "preset": "pocket"},
        {"prompt": "a", "seed": 1, "preset": "p", "options": 3},
        {"prompt": "a", "seed": "many", "preset": "p", "options": {}},
        {"prompt": "a", "seed": None, "preset": "p", "options": {}},
        {"prompt": "a", "seed": 1, "preset": "p", "options": {}, "caption_source": "user"},
        {"prompt": "a", "seed": 1, "preset": "p", "options": {}, "caption_source": "user", "caption": None},
    ],
)
def test_a_record_of_unknown_hand_is_refused_in_words(record: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="does not say which shot"):
        again.command(json.loads(json.dumps(record)))


def test_options_of_a_preset_that_is_gone_are_all_said() -> None:
    record = {"prompt": "a", "seed": 1, "preset": "gone", "options": {"file.crf": 18, "nonsense": 1}, "caption": ""}
    assert again.command(record) == "animatic make a --preset gone --seed 1 --set file.crf=18"


def test_a_sentence_that_looks_like_an_option_is_none() -> None:
    record = {"prompt": "--quiet boats", "seed": 1, "preset": "pocket", "options": {}}
    assert again.command(record) == "animatic make --preset pocket --seed 1 -- '--quiet boats'"


def test_the_store_forgets_nothing_by_being_asked(tmp_path: Path) -> None:
    assert Store(tmp_path).get("0" * 64) is None and not list(tmp_path.iterdir())
