"""A plan laid out to be read: its rows, its sums, and its line."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from animatic.core import Evict, Plan
from animatic.outlook import compared, summary
from tests.outlooks import GIB, NEEDS, cascade, outlook


def test_every_run_has_its_row_with_what_comes_and_goes() -> None:
    rows = {row.run.name: row for row in outlook().rows}
    assert list(rows) == list(NEEDS)
    weighty = [[one.component.name for one in row.arrivals if one.nbytes] for row in rows.values()]
    assert weighty[0] == ["refine.llm", "image.text_encoder", "image.text_encoder_2"]
    assert [one.component.name for one in rows["image.denoise"].evictions] == ["image.transformer"]
    ahead = {one.component.name: rows["refine.generate"].ahead(one) for one in rows["refine.generate"].arrivals}
    assert ahead == {
        "refine.tokenizer": False, "refine.llm": False, "image.text_encoder": True, "image.text_encoder_2": True,
    }  # fmt: skip


@pytest.mark.parametrize(("shots", "streamed"), [(1, False), (8, True), (1000, True)])
def test_the_sums_add_up(shots: int, streamed: bool) -> None:
    one = outlook(shots, streamed)
    assert one.seconds == pytest.approx(one.computing + one.loading - one.hidden)
    assert one.loading - one.hidden == pytest.approx(one.plan.forecast.exposed)
    assert sum(arrival.nbytes for row in one.rows for arrival in row.arrivals) == sum(
        span.nbytes for span in one.plan.forecast.spans if span.lane == "load"
    )


def test_loads_that_have_no_span_of_their_own_shift_no_other() -> None:
    arrivals = {one.component.name: one for row in outlook().rows for one in row.arrivals}
    assert arrivals["refine.tokenizer"].nbytes == 0
    assert arrivals["refine.llm"].begin == 0 and arrivals["refine.llm"].end == pytest.approx(15 * GIB / 3e9)
    assert all(one.issued <= one.begin <= one.end for one in arrivals.values())


def test_the_summary_is_one_line_with_times_and_peaks() -> None:
    times, peaks = summary(outlook()).split("; ")
    assert times == "about 3 min 24 s: 3 min 05 s computing, 24 s loading of which 5.0 s hidden"
    assert peaks == "peak 24.7 of 40.0 GiB device memory"
    assert summary(outlook(8, streamed=True)).endswith(" device memory, 12.6 of 32.0 GiB host memory")
    assert summary(replace(outlook(8, streamed=True), unified=True)).endswith("peak 24.7 of 40.0 GiB memory")
    assert "13 of 20 MiB" in summary(outlook(scale=0.0005))


def test_what_was_planned_stands_beside_what_it_took() -> None:
    assert compared(outlook(), 210.2, 24 * GIB) == "planned 3 min 24 s, 24.7 GiB; took 3 min 30 s, 24.0 GiB"


def test_it_is_plain_json() -> None:
    told = json.loads(json.dumps(outlook(8, streamed=True).as_dict()))
    assert told["seconds"] == pytest.approx(told["computing"] + told["waited"])
    denoise = next(phase for phase in told["phases"] if phase["phase"] == "video.denoise")
    assert denoise["shots"] == denoise["lockstep"] == 8 and denoise["streamed"] > 100 * GIB
    loads = [load for phase in told["phases"] for load in phase["loads"]]
    streamed = next(load for load in loads if load["component"] == "video.transformer")
    assert streamed["streamed"] and (streamed["resident"], streamed["blocks"]) == (12, 42) and streamed["ahead"]


def test_a_plan_without_a_forecast_or_without_runs_can_be_read() -> None:
    bare = replace(outlook(), plan=Plan(tuple(cascade())))
    assert [row.run.name for row in bare.rows] == list(NEEDS) and bare.seconds == bare.hidden == 0
    component = outlook().rows[0].run.phases[0].components[0]
    assert replace(outlook(), plan=Plan((Evict(component),))).rows == ()
    json.dumps(bare.as_dict())
