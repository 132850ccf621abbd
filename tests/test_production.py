"""Carried out: made things are found without torch, stills are chosen, the store has its commands."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from animatic import api, bitmap
from animatic.errors import OptionError
from animatic.events import Clip, Drawn, PhaseEnded
from tests.test_cli import run as cli_run

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("little")]
QUICK = {"image.num_inference_steps": 1, "video.num_inference_steps": 1}
SETS = ["--set", "image.num_inference_steps=1", "--set", "video.num_inference_steps=1"]


def made(folder: Path, **wish: Any) -> list[Any]:
    asked = {"preset": "little", "out": folder / "out", "store": folder / "store", "options": QUICK, **wish}
    return list(api.stream("a red boat", **asked))


def clips(seen: list[Any]) -> list[Clip]:
    return [event for event in seen if isinstance(event, Clip)]


def ran(seen: list[Any]) -> list[str]:
    return [e.phase for e in seen if isinstance(e, PhaseEnded) and not e.hit and e.phase != "file.write"]


def test_what_is_made_is_said_without_torch(tmp_path: Path) -> None:
    (clip,) = clips(made(tmp_path))
    arguments = ["animatic", "make", "a red boat", "--preset", "little", *SETS,
                 "--out", str(tmp_path / "out"), "--store", str(tmp_path / "store")]  # fmt: skip
    code = (
        f"import sys; from animatic import cli; sys.argv[:] = {arguments!r}\n"
        "try:\n    cli.main()\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        "assert not {'torch', 'diffusers', 'transformers'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"already made: {clip.path}; another take: --takes 2" in done.stdout.replace("\n", "")
    # A clip that was thrown away is copied from the store, by the same command, without torch too.
    before = clip.path.read_bytes()
    for file in clip.path.parent.iterdir():
        file.unlink()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert clip.path.read_bytes() == before


def test_another_take_makes_one_more(tmp_path: Path) -> None:
    first = clips(made(tmp_path))
    both = clips(made(tmp_path, takes=2))
    assert [clip.hit for clip in both] == [True, False] and both[0].path == first[0].path
    assert [clip.record["seed"] for clip in both] == [0, 1]


def test_a_still_is_chosen_and_its_choice_is_an_option_like_any_other(tmp_path: Path) -> None:
    asked: list[Drawn] = []

    def choose(drawn: Drawn) -> int:
        asked.append(drawn)
        return 3

    seen = made(tmp_path, stills=3, choose=choose)
    (clip,) = clips(seen)
    assert len(asked) == 1 and all(path.exists() for path in asked[0].stills)
    pixels = [bitmap.read_image(path).tobytes() for path in asked[0].stills]
    assert len(set(pixels)) == 3 and bitmap.read_image(clip.still).tobytes() == pixels[2]
    assert clip.record["options"]["image.candidate"] == 3
    assert ran(seen).count("image.denoise") == 3 and ran(seen).count("video.denoise") == 1
    alone = made(tmp_path / "alone", pick=3)
    assert ran(alone).count("image.denoise") == 1
    assert clips(alone)[0].path.read_bytes() == clip.path.read_bytes()
    (again,) = clips(made(tmp_path, stills=3, choose=choose))
    assert again.hit and again.path == clip.path


def test_the_best_still_is_the_best_by_its_scores(tmp_path: Path) -> None:
    seen = made(tmp_path, stills=3, pick="best")
    (drawn,) = [event for event in seen if isinstance(event, Drawn)]
    assert drawn.best == drawn.scores.index(max(drawn.scores)) + 1 and len(drawn.scores) == 3
    assert clips(seen)[0].record["options"]["image.candidate"] == drawn.best
    assert clips(made(tmp_path, stills=3, pick="best"))[0].hit


def test_a_choice_that_nobody_can_make_is_refused_at_once(tmp_path: Path) -> None:
    for wish, says in (
        ({"stills": 3}, "nobody to ask here: add --pick NUMBER, --pick best or --until image"),
        ({"stills": 3, "pick": 4}, "--pick 4 of --stills 3"),
        ({"stills": 0}, "--stills 0"),
        ({"stills": 3, "pick": "best", "scorer": "plane"}, "unknown scorer 'plane'"),
        ({"pick": "first"}, "give a candidate's number, or best"),
    ):
        with pytest.raises(OptionError, match=says):
            made(tmp_path, **wish)
    assert not (tmp_path / "out").exists()


def test_a_strict_environment_takes_nothing_that_was_made_without(tmp_path: Path) -> None:
    everything = ran(made(tmp_path))
    assert ran(made(tmp_path, strict_env=True)) == everything
    assert ran(made(tmp_path, strict_env=True)) == []


def test_the_budget_makes_no_difference_to_what_is_made(tmp_path: Path) -> None:
    tiling = {**QUICK, "video.vae_tiling": "off"}
    made(tmp_path, options=tiling)
    assert clips(made(tmp_path, options=tiling, memory=3 << 30))[0].hit


def test_the_store_is_listed_verified_and_collected(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    made(tmp_path)
    store = ["store", "--store", str(tmp_path / "store")]
    code, out, _ = cli_run(store, capsys, monkeypatch)
    assert code == 0 and all(kind in out for kind in ("caption", "latents", "embeddings", "still", "clip", "together"))
    assert "frames" not in out and "unfinished" not in out
    code, out, _ = cli_run([*store, "verify"], capsys, monkeypatch)
    assert code == 0 and "8 artifacts, all whole" in out
    next((tmp_path / "store/artifacts").rglob("*.clip.mp4")).write_bytes(b"?")
    code, out, _ = cli_run([*store, "verify"], capsys, monkeypatch)
    assert "damaged: clip" in out and "1 of 8 artifacts are damaged and set aside" in out
    code, out, _ = cli_run([*store, "gc", "--keep", "1k"], capsys, monkeypatch)
    assert code == 0 and "removed 7 artifacts" in out
    for wrong, says in ((["--keep", "lots"], "no amount of memory"), (["--older-than", "long"], "write such as 30d")):
        code, _, err = cli_run([*store, "gc", *wrong], capsys, monkeypatch)
        assert code == 2 and says in err


def test_a_read_only_store_still_tells_what_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made(tmp_path)

    def refused(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    store = str(tmp_path / "store")
    honest = Path.unlink
    monkeypatch.setattr(Path, "unlink", lambda self, **how: refused() if store in str(self) else honest(self, **how))
    assert clips(made(tmp_path))[0].hit
