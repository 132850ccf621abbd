"""Which devices get a worker."""

from __future__ import annotations

import pytest

from animatic.errors import OptionError
from animatic.supervisor import seats


def named(devices: list[str], gpus: list[str]) -> list[tuple[str, str | None]]:
    return [(seat.name, seat.visible) for seat in seats(devices, gpus)]


def test_all_is_every_gpu_else_the_processor() -> None:
    assert named(["all"], ["0", "1"]) == [("cuda:0", "0"), ("cuda:1", "1")]
    assert named(["all"], []) == [("cpu", "")]


def test_gpus_are_counted_as_cuda_counts_them_here() -> None:
    assert named(["1"], ["4", "GPU-5"]) == [("cuda:1", "GPU-5")]
    assert named(["cpu", "0"], ["2"]) == [("cpu", ""), ("cuda:0", "2")]


def test_the_processor_may_have_several() -> None:
    assert named(["cpu", "cpu"], []) == [("cpu:0", ""), ("cpu:1", "")]


@pytest.mark.parametrize("devices", [["0"], ["gpu"], ["0", "0"], ["-1"], ["all", "cpu"]])
def test_what_is_not_there_is_refused(devices: list[str]) -> None:
    with pytest.raises(OptionError, match="--devices"):
        seats(devices, ["0"] if devices == ["0", "0"] else [])
