"""Imports run downward only, siblings never import each other, and heavy packages have few homes."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import animatic

PACKAGE = Path(animatic.__file__).parent

FLOORS = (
    ("blocks", "core", "errors", "holds", "live", "lockstep", "prose", "thumbs", "turns", "xmp"),
    ("events", "provenance"),
    ("bitmap",),
    (
        "answer", "canvas", "card", "config", "files", "geometry", "labels", "machine", "media", "metrics", "progress",
        "search", "sizes",
    ),
    (
        "caption", "checkpoint", "claims", "client", "credential", "database", "film", "gpus", "intake", "options",
        "outlook", "place", "prompts", "results", "spec", "storage", "weights",
    ),
    ("bands", "cost", "digest", "history", "keys", "plan", "reader", "sheet", "skeleton", "store", "vbench"),
    ("arena", "catalog", "device", "inventory", "keylist", "outputs", "picture", "settings"),
    ("again", "estimate", "models", "parts", "pull", "segments", "sketch"),
    ("books", "budget", "pipeline", "scorer", "streamed"),
    ("making", "prepare", "residency"),
    ("batch", "commission", "engine", "entry"),
    ("jobs", "production"),
    (
        "api", "doctor", "feed", "gauges", "hooks", "joblist", "listing", "remote", "removal", "stocklist", "terminal",
        "timeline", "tracker", "wire",
    ),
    ("attempt", "chooser", "desk", "gate"),
    ("worker",),
    ("supervisor",),
    ("service",),
    ("doors",),
    ("images", "videos"),
    ("server",),
    ("serving",),
    ("cli",),
    ("__main__",),
)  # fmt: skip
FLOOR = {name: number for number, names in enumerate(FLOORS) for name in names}

HOMES = {
    "torch": {
        "device",
        "doctor",
        "engine",
        "live",
        "lockstep",
        "models",
        "residency",
        "segments",
        "skeleton",
        "streamed",
    },
    "greenlet": {"lockstep"},
    "c2pa": {"credential"},
    "accelerate": {"skeleton"},
    "transformers": {"models", "engine", "skeleton"},
    "diffusers": {"models", "engine"},
    "safetensors": {"models"},
    "huggingface_hub": {"catalog", "pull"},
    "av": {"media", "provenance"},
    "filelock": {"claims", "serving", "worker"},
    "fastapi": {"doors", "images", "server", "service", "videos"},
    "starlette": {"doors", "server"},
    "uvicorn": {"serving"},
    "httpx2": {"client", "hooks"},
    "prometheus_client": {"gauges"},
    "sqlite3": {"database", "jobs", "keys"},
    "fsspec": {"storage"},
    "PIL": {"bitmap", "card", "thumbs"},
    "typer": {"cli"},
    "pydantic": {"options", "catalog", "settings", "wire"},
    "rich": {"chooser", "cli", "doctor", "joblist", "keylist", "listing", "stocklist", "terminal", "timeline"},
}


def sources() -> list[Path]:
    return [file for file in sorted(PACKAGE.rglob("*.py")) if file != PACKAGE / "__init__.py"]


def noun(file: Path) -> str:
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(file: Path) -> Iterator[str]:
    """Dotted names of everything a file imports, wherever in it."""
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            names = [f"animatic.{alias.name}" for alias in node.names] if node.module == "animatic" else [node.module]
            yield from (name for name in names if name)


@pytest.mark.parametrize("file", sources(), ids=lambda file: str(file.relative_to(PACKAGE)))
def test_imports_run_downward(file: Path) -> None:
    assert noun(file) in FLOOR, f"{file.name} has no floor: give it one in this test"
    for name in imports(file):
        package, _, rest = name.partition(".")
        below = rest.partition(".")[0]
        if package == "animatic" and below != noun(file):
            assert FLOOR[below] < FLOOR[noun(file)], f"{noun(file)} imports {below}, which is not below it"


@pytest.mark.parametrize("file", sources(), ids=lambda file: str(file.relative_to(PACKAGE)))
def test_heavy_packages_stay_at_home(file: Path) -> None:
    for name in imports(file):
        homes = HOMES.get(name.partition(".")[0])
        assert homes is None or noun(file) in homes, f"{noun(file)} imports {name}; its homes are {sorted(homes)}"


DECIDING = {
    "blocks", "caption", "core", "cost", "geometry", "options", "outlook", "place", "plan", "progress", "search",
    "sheet", "spec", "turns",
}  # fmt: skip


@pytest.mark.parametrize("floor", FLOORS[:5], ids=lambda names: names[0])
def test_the_deciding_half_never_reads_the_clock_or_the_device(floor: tuple[str, ...]) -> None:
    for name in DECIDING & set(floor):
        used = set(imports(PACKAGE / f"{name}.py"))
        assert not used & {"time", "random", "subprocess", "socket", "torch"}, f"{name} imports {used}"


@pytest.mark.parametrize("command", [["--help"], ["make", "--help"], ["--version"], ["models"], ["show", "no.png"],
                                     ["jobs", "--at", "127.0.0.1:9"], ["serve", "--help"]])
def test_commands_that_run_no_model_never_import_torch(command: list[str]) -> None:
    code = (
        "import sys\nfrom animatic import cli\nsys.argv[1:] = " + repr(command) + "\n"
        "try:\n    cli.main()\nexcept SystemExit:\n    pass\n"
        "heavy = {'torch', 'transformers', 'diffusers', 'c2pa'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
