"""An SVG in the making: time runs from left to right, what comes goes below what is there. Its pens, and its style.

Pure string building. Legible on light and dark grounds. Knows nothing of what is drawn.
"""

from __future__ import annotations

import html
from collections.abc import Sequence

from animatic.prose import tidy

WIDTH = 960
LEFT, RIGHT = 76, 936
"""Between these x coordinates time passes."""

MARGIN = 6
"""Kept free on both sides."""

STYLE = """
text{font:12px system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif;fill:#1f2328;
stroke:#fff;stroke-width:3px;paint-order:stroke;stroke-linejoin:round}
.ground{fill:#fff}.title{font-size:17px;font-weight:600}.quiet{fill:#59636e}.on{fill:#10151c;stroke:none}
.grid{stroke:#d8dee4;stroke-width:1}.lead{stroke:#8c959f;stroke-width:1;fill:none}
.curve{stroke:#1f2328;stroke-width:1.3;fill:none}.budget{stroke:#cf222e;stroke-width:1.3;stroke-dasharray:5 4}
.over{fill:#cf222e}.piece{stroke:#fff;stroke-width:.7}.work{fill:#8c959f;fill-opacity:.45}.hatch{stroke:#8c959f;stroke-width:2}
.wait{fill:url(#plan-hatch);opacity:.55}
.refine0{fill:#f0ae52}.refine1{fill:#f6cb8c}.image0{fill:#56c4ae}.image1{fill:#93dbcb}
.video0{fill:#8f9ff3}.video1{fill:#b9c4f9}.file0{fill:#aeb5bd}.file1{fill:#c9ced4}.early{fill-opacity:.38}
@media(prefers-color-scheme:dark){text{fill:#e6edf3;stroke:#0d1117}.ground{fill:#0d1117}.quiet{fill:#9198a1}
.on{fill:#10151c;stroke:none}.grid{stroke:#2b323b}.lead{stroke:#6e7681}.curve{stroke:#e6edf3}.budget{stroke:#ff7b72}.over{fill:#ff7b72}
.piece{stroke:#0d1117}.work{fill:#7d8590}.hatch{stroke:#7d8590}}
"""
"""By class: texts, grounds and lines, and two tints of each stage."""


class Canvas:
    """`y` is how far down it is; `total`, how many seconds it is wide."""

    def __init__(self, total: float) -> None:
        self.total = total
        self.parts: list[str] = []
        self.y = 0.0

    def x(self, seconds: float) -> float:
        return LEFT + (RIGHT - LEFT) * seconds / self.total

    def block(self, begin: float, end: float, low: float, high: float, kind: str, told: str) -> None:
        """A rectangle from one time to another, and from one height to another."""
        self.rect(self.x(begin), high, self.x(end) - self.x(begin), low - high, kind, told)

    def rect(self, x: float, y: float, wide: float, tall: float, kind: str, told: str, corner: float = 0) -> None:
        """`kind`: its classes. `told`: what a pointer over it is told."""
        box = f'x="{x:.1f}" y="{y:.1f}" width="{wide:.2f}" height="{tall:.1f}"'
        rounded = f' rx="{corner:.1f}"' if corner else ""
        title = f"<title>{_text(told)}</title>" if told else ""
        self.parts.append(f'<rect class="{kind}" {box}{rounded}>{title}</rect>')

    def write(self, x: float, y: float, text: str, kind: str = "", anchor: str = "", upright: bool = False) -> None:
        turn = f' transform="rotate(-90 {x:.1f} {y:.1f})"' if upright else ""
        attributes = (f' class="{kind}"' if kind else "") + (f' text-anchor="{anchor}"' if anchor else "") + turn
        self.parts.append(f'<text x="{x:.1f}" y="{y:.1f}"{attributes}>{_text(text)}</text>')

    def line(self, kind: str, path: str) -> None:
        self.parts.append(f'<path class="{kind}" d="{path}"/>')

    def document(self, parts: Sequence[str], title: str, description: str) -> str:
        height = round(self.y + 18)
        return "\n".join((
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" '
            f'height="{height}" role="img" aria-labelledby="plan-title plan-desc">',
            f'<title id="plan-title">{_text(title)}</title><desc id="plan-desc">{_text(description)}</desc>',
            f"<style>{STYLE}</style>",
            '<defs><pattern id="plan-hatch" width="6" height="6" patternUnits="userSpaceOnUse" '
            'patternTransform="rotate(45)"><path class="hatch" d="M0 0V6"/></pattern></defs>',
            f'<rect class="ground" width="{WIDTH}" height="{height}" rx="8"/>',
            *parts,
            "</svg>\n",
        ))  # fmt: skip


def _text(text: str) -> str:
    return html.escape(tidy(text))
