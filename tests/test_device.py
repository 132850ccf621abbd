"""Memory that is counted to the byte, and runs out where a GPU's would."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from threading import Event

import pytest
import torch

from animatic.arena import Arenas
from animatic.device import READ_ONLY, Accounted, Cpu, Cuda, Lane, here

MIB = 1 << 20


def test_weights_count_until_their_last_view_is_gone() -> None:
    device = Accounted(10 * MIB)
    memory = device.allocate(4 * MIB)
    view = memory[: 2 * MIB].view(torch.bfloat16).view(1024, 1024)
    assert device.weights == 4 * MIB
    del memory
    assert device.weights == 4 * MIB
    del view
    assert device.weights == 0


def test_allocating_beyond_the_limit_runs_out_of_memory() -> None:
    device = Accounted(10 * MIB)
    first = device.allocate(6 * MIB)
    with pytest.raises(torch.OutOfMemoryError, match="6,291,456 of weights"):
        device.allocate(5 * MIB)
    assert device.weights == 6 * MIB
    del first
    assert device.allocate(10 * MIB).nbytes == 10 * MIB


def test_activations_and_weights_share_the_limit() -> None:
    device = Accounted(10 * MIB)
    weights = device.allocate(6 * MIB).view(torch.float32)
    with device.running():
        half = weights[: MIB // 2] * 2
        assert device.activations == 2 * MIB
        with pytest.raises(torch.OutOfMemoryError):
            weights * 2
    gc.collect()
    with pytest.raises(torch.OutOfMemoryError):
        device.allocate(3 * MIB)
    del half
    assert device.activations == 0 and device.allocate(3 * MIB).nbytes == 3 * MIB


def test_peaks_of_different_times_do_not_add_up() -> None:
    device = Accounted(100 * MIB)
    small = device.allocate(1 * MIB).view(torch.float32)
    device.reset_peak()
    with device.running():
        large = small.repeat(20)
        del large
    assert device.peak() == 21 * MIB
    other = device.allocate(15 * MIB)
    assert device.peak() == 21 * MIB
    device.reset_peak()
    assert device.peak() == 16 * MIB
    del other
    assert device.peak() == 16 * MIB


def test_results_are_made_within_and_yielded_without() -> None:
    device = Accounted(100 * MIB)
    closed = []

    def results() -> Iterator[torch.Tensor]:
        try:
            for _ in range(3):
                yield torch.ones(MIB // 4)
        finally:
            closed.append(True)

    counted = []
    for result in device.within(results()):
        counted.append(device.activations)
        torch.ones(MIB)  # Not the model's: not counted.
        del result
    assert counted == [MIB] * 3 and closed == [True]
    stopped = device.within(results())
    next(stopped)
    stopped.close()  # type: ignore[attr-defined]
    assert closed == [True, True]


def test_the_processor_allocates_exactly_and_says_when_it_cannot() -> None:
    device = Cpu()
    assert device.allocate(12_345).nbytes == 12_345 and device.allocate(0).nbytes == 0
    assert device.allocate(12_345).data_ptr() % 256 == 0
    with pytest.raises(torch.OutOfMemoryError):
        device.allocate(1 << 62)
    device.reset_peak()
    assert device.peak() > MIB


def test_a_gpu_locks_what_is_shared_as_read_only_until_it_is_gone(
    monkeypatch: pytest.MonkeyPatch, arenas: Arenas
) -> None:
    class Runtime:
        locked: dict[int, tuple[int, int]] = {}  # noqa: RUF012

        def cudaHostRegister(self, address: int, nbytes: int, flags: int) -> int:  # noqa: N802
            self.locked[address] = nbytes, flags
            return 0

        def cudaHostUnregister(self, address: int) -> None:  # noqa: N802
            del self.locked[address]

    runtime, device = Runtime(), Cuda(0, pinned_limit=9000)
    monkeypatch.setattr("animatic.device._runtime", lambda: runtime)
    piece = arenas.piece("one", 5000, lambda _: None, Event())
    assert piece is not None
    shared, own = device.borrowed(piece), device.host(4000)
    assert runtime.locked == {shared.data_ptr(): (5000, READ_ONLY), own.data_ptr(): (4000, 0)}
    beyond = device.host(1)
    assert beyond.nbytes == 1 and len(runtime.locked) == 2
    view = shared[100:]
    del shared, own, piece
    assert len(runtime.locked) == 1
    del view
    assert not runtime.locked and device.host(9000).data_ptr() in runtime.locked


def test_copies_cast() -> None:
    target = torch.empty(4, dtype=torch.bfloat16)
    Lane().copy(target, torch.tensor([1.0, 2.5, -3.0, 1e-3]))
    assert torch.equal(target, torch.tensor([1.0, 2.5, -3.0, 1e-3]).bfloat16())


def test_the_named_device_is_taken() -> None:
    assert isinstance(here("cpu"), Cpu) and here("cpu").unified
