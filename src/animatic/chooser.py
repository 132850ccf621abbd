"""Asks in a terminal which of several stills is taken, and shows them there where the terminal can."""

from __future__ import annotations

import base64
import math
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from rich.console import Console
from rich.prompt import IntPrompt
from rich.text import Text

from animatic import bitmap
from animatic.events import Drawn
from animatic.terminal import half_blocks

CELLS = 40
"""Columns of a picture in the terminal."""

Protocol = Callable[[bytes], Iterator[str]]
"""What has to be written to a terminal for a PNG to be seen."""


def ask(drawn: Drawn) -> int:
    """The number of the still that is taken, from 1 on."""
    console = Console(highlight=False)
    console.print(Text(f"\n{drawn.prompt}", "bold"))
    for number, still in enumerate(drawn.stills, 1):
        console.print(f" [bold]{number}[/]  {still}", soft_wrap=True)
        _picture(still, console)
    numbers = [str(number) for number in range(1, len(drawn.stills) + 1)]
    return IntPrompt.ask("Which still is to be filmed?", choices=numbers, default=1, console=console)


def _picture(still: Path, console: Console) -> None:
    protocol = inline(os.environ)
    if protocol is not None:
        for chunk in protocol(still.read_bytes()):
            sys.stdout.write(chunk)
        sys.stdout.write("\n")
        sys.stdout.flush()
    elif console.color_system in ("truecolor", "256"):
        pixels = bitmap.read_image(still)
        step = max(1, math.ceil(pixels.shape[1] / CELLS))
        console.print(half_blocks(pixels[None, ::step, ::step]))


def inline(environment: Mapping[str, str]) -> Protocol | None:
    """How this terminal shows a PNG within its text; None: it cannot, as far as its variables tell."""
    program = environment.get("TERM_PROGRAM", "")
    if "KITTY_WINDOW_ID" in environment or environment.get("TERM") == "xterm-kitty" or program == "ghostty":
        return kitty
    return iterm if program in ("iTerm.app", "WezTerm", "vscode") else None


def kitty(png: bytes) -> Iterator[str]:
    """Kitty's graphics protocol: a PNG in chunks of at most 4096 letters. https://sw.kovidgoyal.net/kitty/graphics-protocol"""
    text = base64.standard_b64encode(png).decode()
    chunks = [text[first : first + 4096] for first in range(0, len(text), 4096)]
    for number, chunk in enumerate(chunks):
        head = f"a=T,f=100,c={CELLS}," if number == 0 else ""
        yield f"\x1b_G{head}m={int(number < len(chunks) - 1)};{chunk}\x1b\\"


def iterm(png: bytes) -> Iterator[str]:
    """iTerm2's inline images. https://iterm2.com/documentation-images.html"""
    yield f"\x1b]1337;File=inline=1;size={len(png)};width={CELLS}:{base64.standard_b64encode(png).decode()}\a"
