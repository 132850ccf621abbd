"""What this machine has: cores, memory, a GPU, disk; and the most memory this process took.

Asks the operating system and `nvidia-smi`, so that memory is known without torch, which must not be imported
here. Knows no model and decides nothing.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path("/")
"""Where /proc and /sys lie; tests put others there."""

SMI_SECONDS = 10
"""A hung driver must not hang a command that only asks."""

GPU_RESERVE = 512 << 20
"""Bytes of a GPU left alone: the libraries' own work space, and what the screen takes meanwhile."""

HOST_RESERVE = 1 << 30
"""Bytes of main memory left to everybody else."""

UNLIMITED = 1 << 60
"""cgroup v1 writes no limit as a huge number."""


@dataclass(frozen=True)
class Machine:
    """All in bytes, and within what the container grants.

    cores       CPU cores this process may use
    host_bytes  main memory
    host_free   main memory that can be had now without swapping
    gpu_name    the first GPU that CUDA would see, or None
    gpu_bytes   its total memory, or None
    gpu_free    what of it nobody uses now, or None
    gpu_driver  its driver's version, or None
    disk_free   free bytes where the asked folder lies
    """

    cores: int
    host_bytes: int
    host_free: int
    gpu_name: str | None = None
    gpu_bytes: int | None = None
    gpu_driver: str | None = None
    disk_free: int = 0
    gpu_free: int | None = None

    @property
    def memory(self) -> int:
        """What models run in: the GPU's memory, else the host's."""
        return self.gpu_bytes if self.gpu_bytes is not None else self.host_bytes

    @property
    def device_budget(self) -> int:
        """What models may take of the memory they run in, unless the user says so: what is free, less a reserve."""
        return max(0, self.gpu_free - GPU_RESERVE) if self.gpu_free is not None else self.host_budget

    @property
    def host_budget(self) -> int:
        """What may be taken of main memory, unless the user says otherwise."""
        return max(0, self.host_free - max(HOST_RESERVE, self.host_bytes // 20))

    @property
    def pinned_budget(self) -> int:
        """The most main memory to lock for copies to a GPU: WSL and Windows lock half of it at most."""
        return self.host_bytes // 2


def probe(folder: Path | None = None) -> Machine:
    """This machine; disk space is that of `folder`, else of the working folder. Takes milliseconds."""
    total, free = _host()
    name, size, driver, unused = _gpu() or (None, None, None, None)
    return Machine(_cores(), total, free, name, size, driver, disk_free(folder or Path.cwd()), unused)


def disk_free(folder: Path) -> int:
    """Free bytes where `folder` lies, or would lie once made."""
    there = folder.absolute()
    while not there.exists():
        there = there.parent
    return shutil.disk_usage(there).free


# ---------------------------------------------------------------------------------------- CPU and host memory


def _cores() -> int:
    affinity = getattr(os, "sched_getaffinity", None)
    here = len(affinity(0)) if affinity else os.cpu_count() or 1
    return max(1, min(here, _quota() or here))


def _quota() -> int | None:
    """Cores that the container's CPU time amounts to, rounded up."""
    for folder in _cgroups("cpu"):
        quota, _, period = _text(folder / "cpu.max").partition(" ")
        if not quota:
            quota, period = _text(folder / "cpu.cfs_quota_us"), _text(folder / "cpu.cfs_period_us")
        if quota.isdecimal() and period.isdecimal() and int(period):
            return -(-int(quota) // int(period))
    return None


def _host() -> tuple[int, int]:
    """Bytes of main memory: all of it, and what can be had now."""
    known = _meminfo()
    if not known:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        return total, total
    total = known["MemTotal"]
    free = known.get("MemAvailable", known.get("MemFree", 0))
    for folder in _cgroups("memory"):
        limit = _number(folder / "memory.max") or _number(folder / "memory.limit_in_bytes")
        used = _number(folder / "memory.current") or _number(folder / "memory.usage_in_bytes")
        if limit is not None and limit < min(total, UNLIMITED):
            total = limit
            free = min(free, limit - (used or 0) + _reclaimable(folder))
    return total, max(0, min(free, total))


def _meminfo() -> dict[str, int]:
    """/proc/meminfo in bytes; empty where there is none (macOS)."""
    rows = (line.split() for line in _text(ROOT / "proc/meminfo").splitlines())
    return {row[0].rstrip(":"): int(row[1]) * 1024 for row in rows if len(row) >= 2 and row[1].isdecimal()}


def _reclaimable(folder: Path) -> int:
    """File pages that a cgroup counts as used, but gives up when memory is asked for."""
    rows = (line.split() for line in _text(folder / "memory.stat").splitlines())
    stat = {row[0]: int(row[1]) for row in rows if len(row) == 2 and row[1].isdecimal()}
    return stat.get("inactive_file", stat.get("total_inactive_file", 0))


def _cgroups(controller: str) -> list[Path]:
    """This process's control groups, its own and those above it: of v2 (one tree) or v1 (by controller)."""
    found: list[Path] = []
    for line in _text(ROOT / "proc/self/cgroup").splitlines():
        _, controllers, path = (*line.split(":", 2), "", "")[:3]
        if controllers and controller not in controllers.split(","):
            continue
        mount = ROOT / "sys/fs/cgroup" / (controller if controllers else "")
        inside = mount / path.strip("/")
        above = [folder for folder in (inside, *inside.parents) if folder.is_relative_to(mount)]
        found += [folder for folder in above if folder.is_dir()]
    return found


def _number(file: Path) -> int | None:
    text = _text(file)
    return int(text) if text.isdecimal() else None


def _text(file: Path) -> str:
    """A small system file, stripped; empty where it is not there or not ours to read."""
    try:
        return file.read_text("utf-8", "replace").strip()
    except OSError:
        return ""


# -------------------------------------------------------------------------------------------------------- GPU


def gpus() -> list[str]:
    """The GPUs that CUDA would number from 0, as CUDA_VISIBLE_DEVICES lists them."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        listed = [one.strip() for one in visible.split(",")]
        return listed[: next((n for n, one in enumerate(listed) if one in ("", "-1")), len(listed))]
    return [row.partition(",")[0].strip() for row in _nvidia_smi().splitlines() if row.count(",") == 5]


def _gpu() -> tuple[str, int, str, int] | None:
    """Name, bytes, driver, free bytes of the GPU that CUDA would number 0; None without one or without its driver."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None and visible.split(",")[0].strip() in ("", "-1"):
        return None
    return _first_gpu(_nvidia_smi(), visible)


def _nvidia_smi() -> str:
    """A line a GPU; empty without one or without its driver."""
    smi = shutil.which("nvidia-smi")
    if smi is None:
        return ""
    query = "--query-gpu=index,uuid,name,memory.total,driver_version,memory.free"
    try:
        answer = subprocess.run(
            [smi, query, "--format=csv,noheader,nounits"],
            capture_output=True, text=True, timeout=SMI_SECONDS, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return ""
    return answer.stdout


def _first_gpu(table: str, visible: str | None) -> tuple[str, int, str, int] | None:
    """The row of nvidia-smi's CSV that CUDA_VISIBLE_DEVICES puts first, by index or start of its UUID."""
    want = visible.split(",")[0].strip() if visible is not None else None
    for row in table.splitlines():
        cells = [cell.strip() for cell in row.split(",")]
        if len(cells) != 6 or not (cells[3].isdecimal() and cells[5].isdecimal()):
            continue
        index, uuid, name, mebibytes, driver, unused = cells
        if want is None or want == index or (not want.isdecimal() and uuid.startswith(want)):
            return name, int(mebibytes) << 20, driver, int(unused) << 20
    return None


# -------------------------------------------------------------------------------------------- peaks of memory


def reset_peak() -> bool:
    """Start the process's peak anew; False where the system cannot, so that it only ever grows."""
    try:
        (ROOT / "proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def used_bytes() -> int:
    """The main memory this process holds now, in bytes; 0 where the system does not tell."""
    for line in _text(ROOT / "proc/self/status").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0


def peak_bytes() -> int:
    """The most main memory this process held at once since `reset_peak` (or its start), in bytes."""
    for line in _text(ROOT / "proc/self/status").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    import resource  # not on Windows

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
