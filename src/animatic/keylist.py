"""What `animatic serve keys list` prints."""

from __future__ import annotations

import datetime
from collections.abc import Sequence

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from animatic.keys import Key

QUIET = "grey58"


def keys_table(keys: Sequence[Key]) -> RenderableType:
    if not keys:
        return Text("no keys yet: animatic serve keys add NAME", QUIET)
    table = Table(box=None, header_style=QUIET, padding=(0, 2, 0, 0))
    for column in ("id", "name", "priority", "since", ""):
        table.add_column(column, no_wrap=True)
    for key in keys:
        state = Text(f"revoked {_day(key.revoked)}", "yellow") if key.revoked is not None else Text("")
        table.add_row(key.id, Text(key.name, "bold"), str(key.priority), _day(key.created), state)
    return table


def _day(time: float) -> str:
    return datetime.datetime.fromtimestamp(time).date().isoformat()
