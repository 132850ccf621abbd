"""Choosing a still in a terminal: the files are named, the pictures are shown where that is possible."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path

import numpy as np
import pytest

from animatic import bitmap, chooser
from animatic.events import Drawn


@pytest.fixture
def drawn(tmp_path: Path) -> Drawn:
    stills = tuple(tmp_path / f"boat-still-{n}.png" for n in (1, 2, 3))
    for still in stills:
        still.write_bytes(bitmap.png_bytes(np.full((96, 144, 3), 90, np.uint8)))
    return Drawn("s", "a red boat", stills)


def test_a_number_is_asked_for_until_it_is_one(
    drawn: Drawn, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("4\nboat\n2\n"))
    assert chooser.ask(drawn) == 2
    shown = capsys.readouterr().out.replace("\n", "")
    assert all(str(still) in shown for still in drawn.stills) and "a red boat" in shown


@pytest.mark.parametrize(
    ("variables", "protocol"),
    [
        ({"TERM": "xterm-kitty"}, chooser.kitty),
        ({"KITTY_WINDOW_ID": "1"}, chooser.kitty),
        ({"TERM_PROGRAM": "iTerm.app"}, chooser.iterm),
        ({"TERM_PROGRAM": "WezTerm"}, chooser.iterm),
        ({"TERM": "xterm-256color"}, None),
    ],
)
def test_what_a_terminal_can_is_told_by_its_variables(variables: dict[str, str], protocol: object) -> None:
    assert chooser.inline(variables) is protocol


@pytest.mark.parametrize("size", [0, 10, 3072, 3073, 100_000])
def test_a_picture_comes_through_whole(size: int) -> None:
    png = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    chunks = list(chooser.kitty(png))
    texts = [re.fullmatch("\x1b_G([^;]*);([^\x1b]*)\x1b\\\\", chunk) for chunk in chunks]
    assert base64.b64decode("".join(match[2] for match in texts if match)) == png
    assert all(match and len(match[2]) <= 4096 for match in texts)
    assert [match[1].endswith("m=1") for match in texts if match] == [True] * (len(chunks) - 1) + [False] * (size > 0)
    (text,) = chooser.iterm(png)
    assert base64.b64decode(text.rpartition(":")[2].rstrip("\a")) == png
