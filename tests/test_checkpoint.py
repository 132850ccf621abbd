"""A state is saved seldom enough, and used only when it is whole and from here."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from animatic import checkpoint
from animatic.checkpoint import Checkpoint


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


@given(step=st.floats(0.001, 30), save=st.floats(0.0001, 3))
def test_saving_takes_about_a_hundredth_of_the_time_at_most(step: float, save: float) -> None:
    clock, saved = Clock(), []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoint, "time", clock)
        patch.setattr(checkpoint.files, "write", lambda *_, **__: None)
        one = Checkpoint(Path("unused"))

        def state() -> bytes:
            clock.now += save
            saved.append(clock.now)
            return b""

        for _ in range(300):
            clock.now += step
            one.offer(state)
    # The first save comes before anybody knows how long one takes.
    assert max(0, len(saved) - 1) * save <= checkpoint.SHARE * clock.now
    due = max(save, checkpoint.FIRST) / checkpoint.SHARE
    assert len(saved) >= int(300 * step / (due + step + save)) - 1, "it could have saved more often"


def test_a_state_is_got_back_and_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "SHARE", 1e12)
    one = Checkpoint(tmp_path / "state", "here")
    assert one.load() is None
    one.offer(lambda: b"latents")
    assert Checkpoint(tmp_path / "state", "here").load() == b"latents"
    assert Checkpoint(tmp_path / "state", "elsewhere").load() is None
    one.drop()
    one.drop()
    assert one.load() is None


def test_where_nothing_can_be_saved_it_goes_on_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "SHARE", 1e12)
    one = Checkpoint(tmp_path / "gone/state")
    one.offer(lambda: b"latents")
    assert one.load() is None
