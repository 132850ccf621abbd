"""Every test has a home of its own: no user's presets, caches or downloads leak in or out."""

from __future__ import annotations

import os
import tempfile

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from animatic import arena
from animatic.arena import Arenas
from tests import little as preset

# No timed tests: a slow machine is no failure. And the same examples everywhere: a failure can be seen again.
settings.register_profile("animatic", deadline=None, derandomize=True)
settings.load_profile("animatic")


HOMES = ("HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "HF_HOME")


@pytest.fixture(scope="session", autouse=True)
def session_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The home of what several tests share, as servers. Its user has the little preset."""
    folder = tmp_path_factory.mktemp("shared-home")
    with pytest.MonkeyPatch.context() as patch:
        for name in HOMES:
            patch.setenv(name, str(folder / name.lower()))
        preset.write(folder / "xdg_config_home")
        yield


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("home")
    for name in HOMES:
        monkeypatch.setenv(name, str(folder / name.lower()))
    for name in ("HF_HUB_CACHE", "HF_TOKEN", "ANIMATIC_AT", "ANIMATIC_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    yield folder


@pytest.fixture
def little(home: Path) -> str:
    """The name of a preset that is quick (see little.py)."""
    preset.write(home / "xdg_config_home")
    return preset.NAME


@pytest.fixture
def arenas() -> Iterator[Arenas]:
    """Memory that processes share, where it lies in earnest."""
    tmpfs = arena.TMPFS if arena.TMPFS.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="animatic-test-", dir=tmpfs) as home:
        yield Arenas(Path(home) / "service")
