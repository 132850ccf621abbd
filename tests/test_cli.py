"""The command line as a person meets it: one-line errors with exit codes, help, lists, provenance."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from animatic import bitmap, cli, media
from animatic.events import Clip, Event, Notice, Step
from tests.test_media import elsewhere


def run(
    arguments: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["animatic", *arguments])
    monkeypatch.setenv("COLUMNS", "160")
    with pytest.raises(SystemExit) as stopped:
        cli.main()
        raise SystemExit(0)
    shown = capsys.readouterr()
    return int(stopped.value.code or 0), shown.out, shown.err


def test_verify_reads_all_weights_and_finds_what_is_the_same(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, out, _ = run(["models", "verify", "pocket"], capsys, monkeypatch)
    assert code == 0
    assert "8 components" in out and "all whole" in out
    assert "image.text_encoder_2 and video.text_encoder hold the same" in " ".join(out.split())
    code, _, err = run(["models", "verify", "flux-cogvideox"], capsys, monkeypatch)
    assert code == 3 and "animatic models pull" in err


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["make", ""], 2, "the prompt is empty"),
        (["make", "a boat", "--preset", "pockett"], 2, "did you mean 'pocket'?"),
        (["make", "a boat", "--preset", "pocket", "--size", "big"], 2, "write WIDTHxHEIGHT"),
        (["make", "a boat", "--preset", "pocket", "--size", "720x480"], 2, "--size 144x96"),
        (["make", "a boat", "--preset", "pocket", "--frames", "49"], 2, "--frames 17"),
        (["make", "a boat", "--preset", "pocket", "--words", "2"], 2, "refine.words = 2"),
        (["make", "a boat", "--preset", "pocket", "--set", "video.steps"], 2, "write --set stage.option=value"),
        (["make", "a boat", "--preset", "pocket", "--set", "vido.fps=3"], 2, "unknown option 'vido.fps'"),
        (["make", "a boat", "--preset", "flux-cogvideox"], 3, "animatic models pull flux-cogvideox"),
        (["make", "a boat", "--preset", "pocket", "--out", "/dev/null/x"], 5, "is a file, not a folder"),
        (["make", "a boat", "--preset", "pocket", "--image", "none.png"], 2, "none.png"),
        (["show", "none.mp4"], 2, "none.mp4"),
        (["models", "pull", "nothing"], 2, "unknown preset 'nothing'"),
        (["models", "pull", "small", "--local", "x"], 2, "write --local REPO=FOLDER"),
    ],
)
def test_mistakes_are_one_line(
    arguments: list[str], code: int, says: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    exit_code, out, err = run(arguments, capsys, monkeypatch)
    assert exit_code == code and says in err and out == ""
    assert err.startswith("animatic: ") and err.count("\n") == 1


def test_help_names_the_commands(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    code, out, _ = run(["--help"], capsys, monkeypatch)
    assert code == 0 and all(command in out for command in ("make", "show", "models", "doctor"))


def test_models_lists_licences_sizes_and_what_fits(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, out, _ = run(["models"], capsys, monkeypatch)
    assert code == 0
    words = ("flux-cogvideox", "pocket", "FLUX.1-dev", "no commercial use", "Apache-2.0", "streamed in", "GiB", "GB")
    for word in words:
        assert word in out


def test_pulling_pocket_downloads_nothing(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    code, out, _ = run(["models", "pull", "pocket"], capsys, monkeypatch)
    assert code == 0 and "nothing to download" in out


def test_doctor_tells_the_machine_and_the_versions(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, out, _ = run(["doctor"], capsys, monkeypatch)
    assert code == 0
    for word in ("Python", "memory", "GPU", "torch", "diffusers", "preset pocket", "animatic models pull"):
        assert word in out


def test_doctor_gives_the_install_line_for_a_gpu_torch_does_not_see(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("animatic.machine._gpu", lambda: ("NVIDIA H200", 150 * 10**9, "580.1", 149 * 10**9))
    monkeypatch.setattr("animatic.doctor._torch_sees", lambda: False)
    _, out, _ = run(["doctor"], capsys, monkeypatch)
    assert "NVIDIA H200" in out and "uv pip install --torch-backend=auto" in out


def test_show_prints_what_is_inside(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    still = tmp_path / "still.png"
    still.write_bytes(bitmap.png_bytes(np.zeros((16, 16, 3), np.uint8), "", {"prompt": "ein Boot 船", "seed": 4}))
    code, out, _ = run(["show", str(still)], capsys, monkeypatch)
    assert code == 0 and json.loads(out) == {"prompt": "ein Boot 船", "seed": 4}


def test_show_measures_a_clip_and_says_what_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = tmp_path / "clip.mp4"
    frames = np.full((5, 32, 48, 3), 120, np.uint8)
    clip.write_bytes(media.mp4_bytes(frames, media.Encoding(), "t", {"prompt": "a boat", "measures": "none"}))
    code, out, err = run(["show", str(clip)], capsys, monkeypatch)
    shown = json.loads(out)
    assert code == 0 and shown["prompt"] == "a boat" and shown["measures"]["frames"] == 5
    assert err == f"animatic: {clip}: near-static: nothing moves\n"


def test_show_measures_anyones_clip_and_says_it_has_no_record(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, out, err = run(["show", str(elsewhere(tmp_path / "x.mp4"))], capsys, monkeypatch)
    assert code == 0 and "carries no record of Animatic" in err and "mpeg4 yuv420p" in err
    shown = json.loads(out)
    assert shown.keys() == {"measures"} and not shown["measures"]["container"]["provenance"]


def test_show_refuses_a_damaged_clip_in_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "x.mp4"
    broken.write_bytes(elsewhere(tmp_path / "y.mp4").read_bytes()[:200])
    code, out, err = run(["show", str(broken)], capsys, monkeypatch)
    assert code == 2 and out == "" and "cannot read this clip" in err


def test_show_copies_clips_for_vbench(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = elsewhere(tmp_path / "a cat.mp4")
    code, out, err = run(["show", str(clip), "--vbench", str(tmp_path / "new")], capsys, monkeypatch)
    assert (code, out, err) == (0, f"{tmp_path / 'new/a cat-0.mp4'}\n", "")


def test_json_lines_carry_the_preview_as_a_picture() -> None:
    line = cli._line(Step("video.denoise", "x", 2, 20, np.zeros((3, 8, 12, 3), np.uint8)))
    assert line["event"] == "step" and line["step"] == 2 and line["steps"] == 20
    assert line["preview"].startswith("data:image/png;base64,")
    assert json.dumps(line)


def test_quiet_prints_the_path_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    path = Path("outputs/a.mp4")
    clip = Clip("x", path, path, path, path, path, "A boat.", {})
    events: list[Event] = [Notice("a toy"), Step("video.denoise", "x", 1, 2), clip]
    cli._show(iter(events), as_json=False, quiet=True)
    shown = capsys.readouterr()
    assert shown.out == "outputs/a.mp4\n" and shown.err == "a toy\n"


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_within_a_step_and_leaves_nothing(number: signal.Signals, tmp_path: Path) -> None:
    wish = ["a red boat", "--preset", "pocket", "--out", str(tmp_path), "--json"]
    command = [sys.executable, "-m", "animatic", "make", *wish]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout and process.stderr
        for line in process.stdout:
            if json.loads(line)["event"] == "step":
                process.send_signal(number)
                break
        rest = [json.loads(line)["event"] for line in process.stdout]
        last = process.stderr.read().strip().splitlines()[-1]
        assert process.wait() == 128 + number
    assert rest.count("step") <= 1 and "clip" not in rest
    assert last == "animatic: stopped; nothing is lost, and the same command goes on from here"
    assert list(tmp_path.iterdir()) == []


def test_serving_without_its_libraries_says_how_to_get_them(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    monkeypatch.delitem(sys.modules, "animatic.serving", raising=False)
    monkeypatch.setattr(sys, "argv", ["animatic", "serve"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    assert "serving needs uvicorn" in (told := capsys.readouterr().err) and "animatic[serve]" in told
