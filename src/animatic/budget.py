"""What a machine grants and how fast it is: budgets and rates for the planner, of this machine or of a named card.

Asks `machine` what is here and `gpus` what a card can do, without torch. Decides nothing about plans.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from animatic import gpus
from animatic.errors import OptionError
from animatic.estimate import Rates
from animatic.history import History
from animatic.machine import GPU_RESERVE, Machine
from animatic.place import Capacity

DISK_RATE = 1.5e9
"""Bytes/s of reading weights, assumed until it was measured here: between a SATA and a fast NVMe disk."""

HOST_LINK_RATE = 20e9
"""Bytes/s from main memory to a GPU that the table does not know: what PCIe 4.0 x16 reaches in practice."""

CORE_FLOPS = 40e9
"""FLOP/s of one CPU core, assumed until it was measured here."""

CORE_MEMORY_RATE = 8e9
"""Bytes/s of main memory that one core's share amounts to, assumed until it was measured here."""

CORES = 8
"""CPU cores beside a card that is not at hand."""

UNKNOWN_GPU = Rates(flops=100e12, memory=600e9)
"""Of a GPU that is not in the table."""

HOST = 32 << 30
"""Bytes of main memory for copies of weights beside a card that is not at hand: half of an assumed 64 GiB."""

LIBRARIES = 700 << 20
"""Bytes set aside in main memory for Python, torch, diffusers and transformers before any weight."""


@dataclass(frozen=True)
class Budget:
    """What the planner may use on one machine.

    device  its name, as it stands in the history
    title   the same for people
    cpu     rates of the CPU beside the device
    whole   bytes of device memory that there are at all, less a fixed reserve; does not depend on what is free now
    """

    device: str
    title: str
    capacity: Capacity
    rates: Rates
    whole: int
    cpu: Rates | None = None


def of_machine(here: Machine, memory: int | None, host_memory: int | None, history: History) -> Budget:
    """Of this machine. `memory`, `host_memory`: bytes the user grants; None: what is free now, less a reserve.

    Raises OptionError when more is granted than there is, or nothing is left.
    """
    _check("--memory", memory, here.memory)
    _check("--host-memory", host_memory, here.host_bytes)
    host = here.host_budget if host_memory is None else host_memory
    device = f"cpu x{here.cores}" if here.gpu_name is None else here.gpu_name
    disk = history.load_rate(device) or DISK_RATE
    if here.gpu_name is None:
        granted = min(host if memory is None else memory, host_memory or here.host_bytes)
        if granted <= LIBRARIES:
            raise OptionError(f"--memory {granted / 2**30:.1f} GiB is less than the {LIBRARIES / 2**30:.1f} GiB that "
                              "Python and its libraries take by themselves")  # fmt: skip
        capacity = Capacity(granted - LIBRARIES, 0, disk, CORE_MEMORY_RATE * here.cores, unified=True)
        rates = _cpu(here.cores)
        return Budget(device, f"this machine's CPU, {here.cores} cores", capacity, rates, here.memory - LIBRARIES)
    card = gpus.known(here.gpu_name)
    granted = here.device_budget if memory is None else memory
    link = card.host_link if card else HOST_LINK_RATE
    rates = Rates(card.flops, card.bandwidth) if card else UNKNOWN_GPU
    capacity = Capacity(granted, min(host, here.pinned_budget), disk, link)
    return Budget(device, here.gpu_name, capacity, rates, here.memory - GPU_RESERVE, _cpu(here.cores))


def of_card(name: str, memory: int | None, host_memory: int | None) -> Budget:
    """Of a card that is not at hand, by its data sheet, in a machine with as much main memory as the user says.

    Raises OptionError for a card that is not in the table.
    """
    card = gpus.find(name)
    _check("--memory", memory, card.memory)
    granted = card.memory - GPU_RESERVE if memory is None else memory
    host = HOST if host_memory is None else host_memory
    capacity = Capacity(granted, host, DISK_RATE, card.host_link)
    rates = Rates(card.flops, card.bandwidth)
    return Budget(card.name, f"{card.name}, as its data sheet says", capacity, rates, card.memory - GPU_RESERVE,
                  _cpu(CORES))  # fmt: skip


def reduced(budget: Budget, taken: int) -> Budget:
    """The same machine after it proved smaller: `taken` bytes of device memory were all that could be had."""
    return replace(budget, capacity=replace(budget.capacity, device=taken))


def _cpu(cores: int) -> Rates:
    return Rates(CORE_FLOPS * cores, CORE_MEMORY_RATE * cores)


def _check(option: str, granted: int | None, there: int) -> None:
    if granted is not None and granted > there:
        raise OptionError(f"{option} {granted / 2**30:.1f} GiB is more than the {there / 2**30:.1f} GiB that are there")
