"""What `animatic models` prints: the presets as a table, and a download from its size to its end."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from rich.prompt import Confirm
from rich.table import Table
from rich.text import Text

from animatic import catalog, digest, weights
from animatic.errors import InputError, WeightsError
from animatic.prepare import fits, footing, least
from animatic.pull import Download, pull, pull_plan
from animatic.sizes import gib
from animatic.spec import ModelSpec, Preset, largest

YES, NO, QUIET = "green", "yellow", "grey58"


def presets_table() -> RenderableType:
    """Every preset: size, licences, whether it is here, and the memory with which it runs, at its best and at all."""
    here = {preset.name for preset in catalog.installed()}
    on = footing()
    budget, history = on.budget, on.history
    table = Table(box=None, header_style=QUIET, padding=(0, 2, 0, 0))
    for column in ("preset", "disk", "whole in", "streamed in", "fits here", "here"):
        table.add_column(column, no_wrap=True)
    table.add_column("models, licences")
    for preset in catalog.presets().values():
        table.add_row(
            Text(preset.name, "bold"),
            _size(preset.nbytes),
            gib(largest(preset)[1]),
            gib(least(preset, budget, history)),
            Text("yes", YES) if fits(preset, budget, history) else Text("no", NO),
            Text("yes", YES) if preset.name in here else Text("no", QUIET),
            Text("\n").join(_licence(preset)),
        )
    advice = Text("animatic models pull PRESET downloads one, after saying how much that is", QUIET)
    return Group(table, Text(f"\nthis machine grants models {gib(budget.capacity.device)}; "
                             "animatic plan --preset NAME says how long it takes", QUIET), advice)


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


def verify_preset(name: str, console: Console) -> None:
    """Read all of a preset's weights: say whether they are whole, and which of them are the same.

    Raises WeightsError for what is missing or damaged. What it finds is remembered, so that equal components are loaded
    once from then on.
    """
    preset = catalog.preset(name)
    places = [(spec, part, _folder(preset, spec) / spec.folder_of(part)) for spec in preset.models.values()
              for part in spec.weights]  # fmt: skip
    total = sum(tensor.nbytes for _, _, folder in places for tensor in weights.inspect(folder))
    holders: dict[str, list[str]] = {}
    columns = TextColumn("reading"), BarColumn(), DownloadColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task(name, total=total)
        for spec, part, folder in places:
            digest.verify(folder, lambda nbytes: progress.advance(bar, nbytes))
            holders.setdefault(digest.component_digest(folder, spec.dtype), []).append(f"{spec.stage}.{part}")
    console.print(f"{name}: {len(places)} components, {_size(total)}, all whole", highlight=False)
    for names in holders.values():
        if len(names) > 1:
            console.print(f"{' and '.join(names)} hold the same: loaded once for both", highlight=False)


def _folder(preset: Preset, spec: ModelSpec) -> Path:
    folder = catalog.locate(spec)
    if folder is None:
        raise WeightsError(f"{preset.name} needs {spec.repo}, which is not here: animatic models pull {preset.name}")
    return folder


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
