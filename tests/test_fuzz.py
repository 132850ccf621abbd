"""A few hundred requests of ill will, of the many that bench/fuzz.py sends."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from bench import hostile

pytestmark = pytest.mark.slow


def test_no_request_breaks_a_server(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # The generator's own, of other people's packages.
        pytest.importorskip("schemathesis")
        from bench import fuzz

        figures = fuzz.run(tmp_path / "served", 250)
    assert figures["failures"] == []
    assert figures["requests"] > 200 and figures["files_elsewhere"] == []


def test_requests_of_ill_will_are_the_same_every_time() -> None:
    seeds = list(hostile.requests("video_1"))
    assert seeds == list(hostile.requests("video_1")) and len(seeds) > 1000
    assert list(hostile.mutated(seeds, 50, 1)) == list(hostile.mutated(seeds, 50, 1))
    assert list(hostile.mutated(seeds, 50, 1)) != list(hostile.mutated(seeds, 50, 2))
