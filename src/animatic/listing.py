"""What `animatic models` prints: the presets as a table, and a download from its size to its end."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from rich.prompt import Confirm
from rich.table import Table
from rich.text import Text

from animatic import catalog, machine
from animatic.errors import InputError
from animatic.pull import Download, pull, pull_plan
from animatic.spec import Preset, fits, largest

YES, NO, QUIET = "green", "yellow", "grey58"


def presets_table() -> RenderableType:
    """Every preset: size, licences, whether it is here, whether its largest phase fits this machine."""
    here = {preset.name for preset in catalog.installed()}
    memory = machine.probe().memory
    table = Table(box=None, header_style=QUIET, padding=(0, 2, 0, 0))
    for column in ("preset", "disk", "largest phase", "fits here", "here"):
        table.add_column(column, no_wrap=True)
    table.add_column("models, licences")
    for preset in catalog.presets().values():
        phase, nbytes = largest(preset)
        table.add_row(
            Text(preset.name, "bold"),
            _size(preset.nbytes),
            f"{_size(nbytes)} {phase}",
            Text("yes", YES) if fits(preset, memory) else Text("no", NO),
            Text("yes", YES) if preset.name in here else Text("no", QUIET),
            Text("\n").join(_licence(preset)),
        )
    advice = Text("animatic models pull PRESET downloads one, after saying how much that is", QUIET)
    return Group(table, Text(f"\nthis machine runs models in {_size(memory)}", QUIET), advice)


def pull_preset(name: str, local: Sequence[str], yes: bool, console: Console) -> None:
    """Register the local folders, then download what is still missing, once the user has agreed to its size."""
    preset = catalog.preset(name)
    for pair in local:
        repo, _, folder = pair.partition("=")
        if not folder:
            raise InputError(f"--local {pair!r} has no folder: write --local REPO=FOLDER")
        catalog.register(repo, Path(folder).expanduser().absolute())
        console.print(f"{repo} is taken from {folder}", highlight=False)
    downloads = pull_plan(preset)
    total = sum(download.nbytes for download in downloads)
    if not total:
        console.print(f"{name} is here: nothing to download", highlight=False)
        return
    for download in downloads:
        console.print(f"{_size(download.nbytes):>9}  {download.spec.repo}  ({download.spec.licence})", highlight=False)
    if yes or Confirm.ask(f"download {_size(total)}?", console=console, default=True):
        _download(preset, downloads, console)


def _download(preset: Preset, downloads: Sequence[Download], console: Console) -> None:
    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console) as progress:
        bars = {d.spec.repo: progress.add_task(d.spec.repo, total=d.nbytes) for d in downloads}
        pull(preset, lambda repo, done, _: progress.update(bars[repo], completed=done), tuple(downloads))
    console.print(f"{preset.name} is here", highlight=False)


def _licence(preset: Preset) -> list[Text]:
    lines = []
    for spec in preset.models.values():
        lines.append(Text.assemble(spec.name, (f"  {spec.licence}: {_use(spec.commercial)}", QUIET)))
    return lines


def _use(commercial: bool | str) -> str:
    if isinstance(commercial, str):
        return f"commercial use {commercial}"
    return "commercial use allowed" if commercial else "no commercial use"


def _size(nbytes: int) -> str:
    return f"{nbytes / 1e9:.1f} GB" if nbytes >= 1e9 else f"{nbytes / 1e6:.0f} MB"
