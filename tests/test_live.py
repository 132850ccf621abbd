"""Activations are counted once, for as long as they live, on any device; and there is only so much memory."""

from __future__ import annotations

import gc
import threading

import pytest
import torch

from animatic.live import LiveBytes

on_each_device = pytest.mark.parametrize("device", ["cpu", "meta"])


@on_each_device
def test_a_result_counts_until_it_dies(device: str) -> None:
    with LiveBytes() as live:
        one = torch.zeros(1000, device=device)
        assert (live.now, live.peak) == (4000, 4000)
        two = one * 2
        assert live.now == 8000
        del one
        assert (live.now, live.peak) == (4000, 8000)
        live.reset_peak()
        assert live.peak == 4000
    del two
    assert live.now == 0, "also after it was left"


@on_each_device
def test_views_and_changes_in_place_add_nothing(device: str) -> None:
    with LiveBytes() as live:
        whole = torch.zeros(10, 100, device=device)
        views = [whole[3:], whole.view(-1), whole.t(), whole.detach(), *whole.chunk(2), *whole.unbind()]
        whole += 1
        whole.mul_(2).clamp_(0, 1)
        assert live.peak == 4000
        del whole
        assert live.now == 4000, "a view keeps it"
        views.clear()
        assert live.now == 0


@on_each_device
def test_what_was_there_before_does_not_count(device: str) -> None:
    weight, given = torch.zeros(100, 100, device=device), torch.zeros(8, 100, device=device)
    with LiveBytes() as live:
        halves = weight.view(2, 50, 100).unbind()
        weight.add_(1)
        torch.mul(given, 2, out=given)
        assert live.peak == 0 and len(halves) == 2
        result = given @ weight
        assert live.now == result.nbytes


@on_each_device
def test_each_of_several_results_counts_and_a_given_place_only_once(device: str) -> None:
    with LiveBytes() as live:
        table = torch.zeros(20, 10, device=device)
        values, places = torch.max(table, 1)
        assert live.now == table.nbytes + values.nbytes + places.nbytes == 800 + 80 + 160
        place = torch.empty(0, device=device)
        torch.mul(table, 2, out=place)
        torch.mul(table, 3, out=place)
        assert live.now == 800 + 80 + 160 + 800, "it grew once"


def test_in_a_module_only_activations_count() -> None:
    module = torch.nn.Sequential(torch.nn.Linear(64, 256), torch.nn.GELU(), torch.nn.Linear(256, 64))
    given = torch.zeros(8, 64)
    with torch.no_grad(), LiveBytes() as live:
        result = module(given)
    assert live.now == result.nbytes == 8 * 64 * 4
    assert live.peak == 2 * 8 * 256 * 4, "before and after the GELU"


@on_each_device
def test_beyond_the_limit_memory_runs_out_in_the_middle(device: str) -> None:
    weights, done = 5000, []
    live = LiveBytes(limit=13_500, base=lambda: weights)

    def work() -> torch.Tensor:
        tensor = torch.zeros(1000, device=device)
        for step in range(5):
            tensor = tensor + step
            done.append(step)
            tensor = torch.cat([tensor, tensor]) if step == 2 else tensor
        return tensor

    with live, pytest.raises(torch.OutOfMemoryError, match="5,000 of weights and 12,000 of activations exceed 13,500"):
        work()
    gc.collect()
    assert done == [0, 1, 2] and live.now == 0, "what failed leaves nothing behind"
    weights, live.limit = 0, lambda: 100_000
    with live:
        assert work().numel() == 2000


def test_a_mode_belongs_to_its_thread_and_storages_may_die_in_another() -> None:
    with LiveBytes() as live:
        kept = [torch.zeros(1000)]

        def elsewhere() -> None:
            torch.zeros(5000)
            kept.clear()

        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
        assert (live.now, live.peak) == (0, 4000)
