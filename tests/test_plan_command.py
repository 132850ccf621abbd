"""`animatic plan` as a person meets it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from animatic import cli


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was measured on this machine plays no part."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "100")


def run(
    arguments: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["animatic", "plan", *arguments])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
        raise SystemExit(0)
    shown = capsys.readouterr()
    return int(stopped.value.code or 0), shown.out, shown.err


CARD = ["--preset", "flux-cogvideox", "--gpu", "RTX 4090"]


def test_a_card_that_is_not_here_and_models_that_are_not_either(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, out, _ = run(["a boat sails", *CARD], capsys, monkeypatch)
    assert code == 0 and "RTX 4090" in out and "computing" in out
    for phase in ("refine.generate", "image.denoise", "video.denoise", "video.decode"):
        assert f"\n{phase}" in out


def test_less_memory_streams_and_too_little_is_refused_with_what_would_do(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, out, _ = run([*CARD, "--memory", "9GiB", "--host-memory", "32g", "--json"], capsys, monkeypatch)
    told = json.loads(out)
    assert code == 0 and told["memory"] == 9 << 30 and told["peak_device"] <= 9 << 30
    assert any(load["streamed"] for phase in told["phases"] for load in phase["loads"])
    code, out, err = run([*CARD, "--memory", "1GiB"], capsys, monkeypatch)
    assert code == 4 and out == "" and "--memory" in err and err.count("\n") == 1


def test_many_shots_from_a_file_or_a_number(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("# of boats\na red boat\n\na blue boat\n")
    _, out, _ = run(["-f", str(prompts), *CARD, "--json"], capsys, monkeypatch)
    assert json.loads(out)["shots"] == 2
    _, out, _ = run(["--shots", "8", *CARD, "--json"], capsys, monkeypatch)
    assert json.loads(out)["shots"] == 8


def test_the_picture_is_a_file_that_a_browser_opens(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "plan.svg"
    code, out, _ = run(["a boat", "--preset", "pocket", "--svg", str(file)], capsys, monkeypatch)
    assert code == 0 and str(file) in out.replace("\n", "")
    assert ElementTree.parse(file).getroot().tag == "{http://www.w3.org/2000/svg}svg"


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--memory", "much"], 2, "--memory 'much' is no amount of memory"),
        (["--host-memory", "0"], 2, "--host-memory '0' is too little"),
        (["a boat", "-f", "x.txt"], 2, "give one of them"),
        (["-f", "no-such-file.txt"], 2, "no-such-file.txt"),
        (["--gpu", "RTX 9999"], 2, "RTX 9999"),
        (["--shots", "0"], 2, "0"),
        (["--preset", "pocket", "--svg", "/dev/null/x.svg"], 5, "is a file, not a folder"),
    ],
)
def test_mistakes_are_one_line(
    arguments: list[str], code: int, says: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    exit_code, out, err = run(arguments, capsys, monkeypatch)
    assert exit_code == code and says in err and out == ""
    assert err.startswith("animatic: ") and err.count("\n") == 1


def test_it_never_imports_torch() -> None:
    code = (
        "import sys\nfrom animatic import cli\n"
        f"sys.argv[1:] = {['plan', 'a boat', *CARD]!r}\n"
        "try:\n    cli.main()\nexcept SystemExit:\n    pass\n"
        "heavy = {'torch', 'transformers', 'diffusers'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "RTX 4090" in done.stdout, done.stderr
