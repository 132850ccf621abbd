"""What `animatic doctor` prints: this machine, what is installed, what is missing and the line that installs it."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Iterator

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from animatic import catalog, machine

PACKAGES = ("torch", "diffusers", "transformers", "accelerate", "safetensors", "huggingface-hub", "av", "pillow")
GPU_INSTALL = "uv pip install --torch-backend=auto --reinstall torch"
GOOD, BAD, QUIET = "green", "yellow", "grey58"


def report() -> RenderableType:
    table = Table.grid(padding=(0, 2))
    table.add_column(style=QUIET, no_wrap=True)
    table.add_column()
    for name, value in _rows():
        table.add_row(name, value)
    return table


def _rows() -> Iterator[tuple[str, Text]]:
    here = machine.probe()
    yield "system", Text(f"{platform.system()} {platform.machine()}, Python {platform.python_version()}")
    yield "cores", Text(str(here.cores))
    yield "memory", Text(f"{_gb(here.host_free)} free of {_gb(here.host_bytes)}")
    yield "disk", Text(f"{_gb(here.disk_free)} free here")
    yield "GPU", _gpu(here)
    yield "cache", Text(str(catalog.hub_cache()))
    for name in PACKAGES:
        yield name, _version(name)
    installed = {preset.name for preset in catalog.installed()}
    for name in catalog.presets():
        yield f"preset {name}", _preset(name in installed, name)


def _gpu(here: machine.Machine) -> Text:
    seen = _torch_sees()
    if here.gpu_name is None:
        return Text("a GPU that only torch sees", GOOD) if seen else Text("none: pocket runs on the CPU", QUIET)
    name = f"{here.gpu_name}, {_gb(here.gpu_bytes or 0)}, driver {here.gpu_driver}"
    if seen:
        return Text(name, GOOD)
    return Text(f"{name}, but torch does not see it: {GPU_INSTALL}", BAD)


def _torch_sees() -> bool:
    try:
        import torch
    except ImportError:
        return False
    return torch.cuda.is_available()


def _version(name: str) -> Text:
    try:
        return Text(importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        return Text(f"missing: pip install {name}", BAD)


def _preset(here: bool, name: str) -> Text:
    return Text("here", GOOD) if here else Text(f"not here: animatic models pull {name}", QUIET)


def _gb(nbytes: int) -> str:
    return f"{nbytes / 2**30:.1f} GiB"
