"""What the machine has: read from made-up /proc and /sys trees and a made-up nvidia-smi."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from animatic import machine

GIB = 1 << 30
MEMINFO = f"MemTotal: {64 * GIB // 1024} kB\nMemFree: 1024 kB\nMemAvailable: {48 * GIB // 1024} kB\n"


def tree(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(machine, "ROOT", tmp_path)
    return tree(tmp_path, {"proc/meminfo": MEMINFO})


def test_this_machine_is_sane(tmp_path: Path) -> None:
    here = machine.probe(tmp_path / "not/made/yet")
    assert 1 <= here.cores <= (os.cpu_count() or 1)
    assert 0 < here.host_free <= here.host_bytes
    assert here.disk_free > 0
    assert here.memory == (here.gpu_bytes or here.host_bytes)


@pytest.mark.usefixtures("root")
def test_without_a_container_the_host_s_memory_counts() -> None:
    assert machine._host() == (64 * GIB, 48 * GIB)


def test_a_v2_container_s_limit_counts(root: Path) -> None:
    group = "sys/fs/cgroup/a/b"
    tree(root, {
        "proc/self/cgroup": "0::/a/b\n", f"{group}/memory.max": f"{8 * GIB}\n",
        f"{group}/memory.current": f"{6 * GIB}\n", f"{group}/memory.stat": f"anon 5\ninactive_file {GIB}\n",
        "sys/fs/cgroup/a/memory.max": "max\n",
    })  # fmt: skip
    assert machine._host() == (8 * GIB, 3 * GIB)


def test_the_tightest_of_nested_limits_counts(root: Path) -> None:
    tree(root, {
        "proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/memory.max": "max",
        "sys/fs/cgroup/a/memory.max": str(4 * GIB), "sys/fs/cgroup/memory.max": str(16 * GIB),
    })  # fmt: skip
    assert machine._host()[0] == 4 * GIB


def test_a_v1_container_s_limit_counts(root: Path) -> None:
    group = "sys/fs/cgroup/memory"
    tree(root, {
        "proc/self/cgroup": "5:cpu,cpuacct:/x\n4:memory:/docker/id\n0::/\n",
        f"{group}/memory.limit_in_bytes": str(8 * GIB), f"{group}/memory.usage_in_bytes": str(2 * GIB),
        f"{group}/memory.stat": f"total_inactive_file {GIB}\n",
    })  # fmt: skip
    assert machine._host() == (8 * GIB, 7 * GIB)


def test_no_limit_in_v1_is_a_huge_number(root: Path) -> None:
    tree(root, {
        "proc/self/cgroup": "4:memory:/\n",
        "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712",
    })  # fmt: skip
    assert machine._host() == (64 * GIB, 48 * GIB)


def test_without_proc_sysconf_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "ROOT", tmp_path)
    total, free = machine._host()
    assert total == free == os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


@pytest.mark.parametrize(("quota", "cores"), [("150000 100000", 2), ("max 100000", None), ("50000 100000", 1)])
def test_cpu_time_limits_the_cores(root: Path, quota: str, cores: int | None) -> None:
    tree(root, {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": quota})
    assert machine._quota() == cores


TABLE = "0, GPU-aaa, NVIDIA L4, 23034, 550.54, 22000\n1, GPU-bbb, NVIDIA H100 80GB HBM3, 81559, 550.54, 81000\n"


@pytest.mark.parametrize(
    ("visible", "name"),
    [(None, "NVIDIA L4"), ("1,0", "NVIDIA H100 80GB HBM3"), ("GPU-b", "NVIDIA H100 80GB HBM3"), ("7", None)],
)
def test_the_gpu_is_the_one_that_cuda_numbers_first(visible: str | None, name: str | None) -> None:
    found = machine._first_gpu(TABLE, visible)
    assert (found and found[0]) == name
    if name == "NVIDIA L4":
        assert found == ("NVIDIA L4", 23034 << 20, "550.54", 22000 << 20)


@pytest.mark.parametrize("table", ["", "No devices were found", "0, GPU-aaa, NVIDIA GB10, [N/A], 580.1"])
def test_what_nvidia_smi_cannot_tell_is_no_gpu(table: str) -> None:
    assert machine._first_gpu(table, None) is None


def smi(folder: Path, script: str) -> None:
    folder.mkdir()
    path = folder / "nvidia-smi"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def test_nvidia_smi_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    smi(tmp_path / "bin", f"printf '{TABLE.splitlines()[0]}\\n'")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    here = machine.probe(tmp_path)
    assert (here.gpu_name, here.gpu_bytes, here.gpu_driver) == ("NVIDIA L4", 23034 << 20, "550.54")
    assert here.memory == 23034 << 20
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert machine.probe(tmp_path).gpu_name is None


@pytest.mark.parametrize("script", ["exit 9", "exec sleep 20"])
def test_a_failing_or_hung_driver_is_no_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    smi(tmp_path / "bin", script)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.setattr(machine, "SMI_SECONDS", 0.2)
    assert machine._gpu() is None
    monkeypatch.setenv("PATH", str(tmp_path))
    assert machine._gpu() is None


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux's /proc")
def test_the_peak_starts_anew() -> None:
    held = bytearray(200 << 20)
    high = machine.peak_bytes()
    assert high > len(held)
    del held
    if machine.reset_peak():
        assert machine.peak_bytes() < high - (100 << 20)


def test_elsewhere_the_peak_comes_from_getrusage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "ROOT", tmp_path)
    assert machine.reset_peak() is False
    assert machine.peak_bytes() > 1 << 20
