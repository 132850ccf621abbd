"""What `animatic store` prints: what lies in a store, whether it is sound, what was collected."""

from __future__ import annotations

from collections import Counter

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from animatic import inventory
from animatic.sizes import gib
from animatic.store import DAMAGED, Store

QUIET = "grey58"


def contents(store: Store) -> RenderableType:
    """Artifacts by kind, and the runs that are not finished."""
    counts: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    for item in inventory.items(store):
        counts[item.kind] += 1
        sizes[item.kind] += item.nbytes
    table = Table(box=None, header_style=QUIET, padding=(0, 2, 0, 0))
    for column in ("artifacts", "number", "size"):
        table.add_column(column, justify="left" if column == "artifacts" else "right", no_wrap=True)
    for kind, count in sorted(counts.items(), key=lambda item: -sizes[item[0]]):
        table.add_row(Text(kind), f"{count:,}", gib(sizes[kind]))
    table.add_row(Text("together", "bold"), f"{counts.total():,}", gib(sizes.total()))
    parts: list[RenderableType] = [Text(str(store.folder), QUIET), table]
    for title, keys in store.holds.unfinished().items():
        parts.append(Text(f"unfinished: {title} ({len(keys):,} artifacts)", "yellow"))
    return Group(*parts)


def verified(store: Store, console: Console) -> None:
    """Read all, say what is damaged."""
    count, hurt = sum(1 for _ in inventory.items(store)), 0
    for item in inventory.damaged(store):
        hurt += 1
        console.print(f"damaged: {item.kind} {item.key[:12]}", highlight=False)
    if hurt:
        console.print(f"{hurt:,} of {count:,} artifacts are damaged and set aside in {store.folder / DAMAGED}; "
                      "they are made anew when they are needed", highlight=False)  # fmt: skip
    else:
        console.print(f"{count:,} artifacts, all whole", highlight=False)


def collected(store: Store, keep: int | None, older: float | None, abandon: bool) -> RenderableType:
    """Collect, and say what was done."""
    store.open(need=0)  # Collecting is what helps where there is no room.
    if abandon:
        store.holds.abandon()
    done = inventory.collect(store, keep, older)
    lines = [f"removed {done.removed:,} artifacts ({gib(done.freed)}), {done.left:,} are left ({gib(done.nbytes)})"]
    if done.strays:
        lines.append(f"and {done.strays:,} files that killed runs left")
    if done.needed:
        lines.append(f"{done.needed:,} were left for unfinished runs: --abandon gives those up")
    return Text("\n".join(lines))
