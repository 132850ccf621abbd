"""Events go to JSON and come back."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from animatic.core import STAGES, Plan
from animatic.events import Event, Failed, Planned, Step

NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
PATHS = st.text(min_size=1).filter(lambda text: str(Path(text)) == text).map(Path)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "str": st.text(),
    "int": st.integers(),
    "float": NUMBERS,
    "bool": st.booleans(),
    "Stage": st.sampled_from(STAGES),
    "Path": PATHS,
    "tuple[str, ...]": st.lists(st.text()).map(tuple),
    "tuple[float, ...]": st.lists(NUMBERS).map(tuple),
    "tuple[Path, ...]": st.lists(PATHS).map(tuple),
    "Mapping[str, int]": st.dictionaries(st.text(), st.integers()),
}
LEFT_OUT: dict[str, Any] = {"plan": Plan(()), "preview": None, "error": Exception(), "record": {}}
KINDS = Event.__subclasses__()


def events(kind: type[Event]) -> st.SearchStrategy[Event]:
    values = {f.name: VALUES[str(f.type)] for f in fields(kind) if f.metadata.get("json", True)}
    return st.builds(kind, **values, **{f.name: st.just(LEFT_OUT[f.name]) for f in fields(kind) if f.name in LEFT_OUT})


@given(st.sampled_from(KINDS).flatmap(events))
def test_an_event_comes_back_from_json_as_it_was(event: Event) -> None:
    assert Event.from_dict(json.loads(json.dumps(event.as_dict()))) == event


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_fields_of_a_wrong_kind_are_none_and_no_error(kind: type[Event], data: st.DataObject) -> None:
    wrong = st.none() | st.integers() | st.text() | st.lists(st.none()) | st.dictionaries(st.text(), st.none())
    said = {f.name: data.draw(wrong) for f in fields(kind)}
    name = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in kind.__name__).lstrip("_")
    found = Event.from_dict({**said, "event": name})
    assert found is None or isinstance(found, kind)


def test_what_a_newer_version_tells_is_none_or_left_out() -> None:
    assert Event.from_dict({}) is None and Event.from_dict({"event": "later"}) is None
    assert Event.from_dict({"event": "stage_begun", "stage": "sound", "shots": 1}) is None
    assert Event.from_dict({"event": "step", "phase": "p", "shot": "s", "step": 1, "steps": 2, "later": 3}) == Step(
        "p", "s", 1, 2
    )
    assert Event.from_dict({"event": "step", "phase": "p"}) is None


def test_what_is_left_out_is_empty() -> None:
    planned = Event.from_dict(Planned(("a",), 2, {"a": 3}, Plan(())).as_dict())
    assert isinstance(planned, Planned) and planned.plan == Plan(()) and planned.shots == 2
    failed = Event.from_dict(Failed("s", "p", "no room", OSError("x")).as_dict())
    assert isinstance(failed, Failed) and str(failed.error) == "no room"
