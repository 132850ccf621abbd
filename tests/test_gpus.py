"""Cards are found however they are spelt, and a slip gets the nearest."""

from __future__ import annotations

import pytest

from animatic import gpus
from animatic.errors import OptionError


@pytest.mark.parametrize(
    ("spelt", "name"),
    [
        ("RTX 4070", "NVIDIA GeForce RTX 4070"),
        ("rtx4070", "NVIDIA GeForce RTX 4070"),
        ("NVIDIA GeForce RTX 4090", "NVIDIA GeForce RTX 4090"),
        ("4060 ti 16gb rtx", "NVIDIA GeForce RTX 4060 Ti 16GB"),
        ("H200", "NVIDIA H200"),
        ("4090", "NVIDIA GeForce RTX 4090"),
        ("RTX 4070 Ti SUPER", "NVIDIA GeForce RTX 4070 Ti SUPER"),
        ("nvidia h100 pcie", "NVIDIA H100 PCIe"),
        ("NVIDIA A100-SXM4-80GB", "NVIDIA A100 80GB"),
        ("NVIDIA GeForce RTX 4070 Ti SUPER", "NVIDIA GeForce RTX 4070 Ti SUPER"),
    ],
)
def test_a_card_is_found_however_it_is_spelt(spelt: str, name: str) -> None:
    assert gpus.find(spelt).name == name


def test_an_unknown_card_gets_the_nearest() -> None:
    with pytest.raises(OptionError, match="did you mean 'NVIDIA GeForce RTX 5090'"):
        gpus.find("NVIDIA GeForce RTX 5091")
    assert gpus.known("a toaster") is None


@pytest.mark.parametrize("name", ["RTX 3080 Ti", "RTX 4080 SUPER", "NVIDIA GeForce RTX 4090 Laptop GPU", "rtx 4070 ti"])
def test_a_variant_is_never_taken_for_the_plain_card(name: str) -> None:
    assert gpus.known(name) is None


def test_the_table_is_plausible() -> None:
    for card in gpus._table().values():
        assert 8 * gpus.GIB <= card.memory <= 200 * gpus.GIB
        assert 20e12 <= card.flops <= 3e15 and 250e9 <= card.bandwidth <= 9e12 and 10e9 <= card.host_link <= 60e9
