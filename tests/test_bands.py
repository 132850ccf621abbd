"""What is in memory when, as a picture shows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from animatic.bands import Band, Piece, bands, heights, merged, stacked
from animatic.core import Evict, Load, Placement, Plan, Run
from tests.outlooks import outlook

BANDS = st.lists(
    st.builds(
        lambda n, size, begin, loading, staying: Band(f"c{n}", size, begin, begin + loading, begin + loading + staying),
        st.integers(0, 9), st.integers(1, 100), st.integers(0, 20), st.integers(0, 5), st.integers(1, 20),
    ),
    max_size=8,
).map(lambda found: sorted(found, key=lambda band: (band.begin, band.ready)))  # fmt: skip


@pytest.mark.parametrize("streamed", [False, True])
def test_bands_and_work_space_make_up_what_each_run_takes(streamed: bool) -> None:
    one = outlook(8, streamed)
    slices = list(heights(stacked(bands(one)[0])))
    for row in one.rows:
        during = max(n for begin, end, n in slices if begin < row.span.end and row.span.begin < end)
        assert 0.05 * 2**30 < row.span.device - during < 5 * 2**30, row.run.name


def test_a_streamed_component_keeps_its_passing_blocks_in_main_memory_meanwhile() -> None:
    device, host = bands(outlook(8, streamed=True))
    assert [band.name for band in host] == ["image.transformer", "video.transformer"]
    small = next(band for band in device if band.name == "image.transformer")
    assert small.nbytes + host[0].nbytes > 16 * 2**30 and small.end == host[0].end
    assert max(band.nbytes for band in host) == outlook(8, streamed=True).plan.forecast.peak_host


def test_what_was_there_from_the_beginning_is_there_from_the_beginning() -> None:
    one = outlook()
    actions = tuple(a for a in one.plan.actions if not (isinstance(a, Load) and a.component.name == "refine.llm"))
    spans = tuple(span for span in one.plan.forecast.spans if span.name != "refine.llm")
    device, _ = bands(replace(one, plan=Plan(actions, replace(one.plan.forecast, spans=spans))))
    llm = next(band for band in device if band.name == "refine.llm")
    assert llm.begin == llm.ready == 0 and llm.end == one.rows[0].span.end


def test_a_kept_copy_lasts_until_the_last_eviction() -> None:
    one = outlook()
    run = next(action for action in one.plan.actions if isinstance(action, Run) and action.name == "refine.generate")
    llm = run.phases[0].components[1]
    load, again = Load(llm), Load(llm, Placement(), "host")
    span = next(span for span in one.plan.forecast.spans if span.lane == "run")
    spans = tuple(replace(span, begin=float(n), end=n + 1.0) for n in (1, 3))
    plan = Plan((load, run, Evict(llm, keep=True), again, run, Evict(llm)), replace(one.plan.forecast, spans=spans))
    device, host = bands(replace(one, plan=plan))
    assert [(band.begin, band.end) for band in device] == [(0, 2), (2, 4)]
    assert [(band.begin, band.end, band.nbytes) for band in host] == [(0, 4, llm.nbytes)]


@given(BANDS)
def test_stacked_bands_never_overlap_and_keep_their_area(found: list[Band]) -> None:
    pieces = stacked(found)
    for begin, end, total in heights(pieces):
        now = sorted((p for p in pieces if p.begin == begin), key=lambda piece: piece.low)
        assert all(piece.end == end for piece in now) and total == sum(b.nbytes for b in _living(found, begin))
        assert [p.low for p in now] == [sum(p.band.nbytes for p in now[:n]) for n in range(len(now))]
    assert _area(merged(pieces)) == _area(pieces) == sum(b.nbytes * (b.end - b.begin) for b in found)
    assert len(merged(pieces)) <= len(pieces)
    for piece in merged(pieces):
        assert piece.end <= piece.band.ready or not piece.early, "a piece is on its way as a whole, or not at all"


def _living(found: Sequence[Band], now: float) -> list[Band]:
    return [band for band in found if band.begin <= now < band.end]


def _area(pieces: Sequence[Piece]) -> float:
    return sum((piece.high - piece.low) * (piece.end - piece.begin) for piece in pieces)
