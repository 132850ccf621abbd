"""The toy world: its pictures are exact and repeatable, its words say what the pictures show."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.pocket import world
from training.pocket.text import ATTRIBUTES, prompt, strange_prompt, told

SCENARIOS = st.builds(
    world.Scenario,
    st.sampled_from(world.SUBJECTS),
    st.sampled_from(world.COLOURS),
    st.sampled_from(world.SCENES),
    st.sampled_from(world.MOVEMENTS),
    st.integers(0, 2**31 - 1),
)
SEEDS = st.integers(0, 2**32 - 1)


def test_the_world_is_as_large_as_promised() -> None:
    assert len(world.SUBJECTS) >= 10
    assert (len(world.COLOURS), len(world.SCENES), len(world.MOVEMENTS)) == (8, 6, 7)


@settings(max_examples=15, deadline=None)
@given(SCENARIOS)
def test_a_clip_has_the_promised_size_and_is_the_same_each_time(s: world.Scenario) -> None:
    clip = world.frames(s)
    assert clip.shape == (17, 96, 144, 3)
    assert clip.dtype == np.uint8
    assert np.array_equal(clip, world.frames(s))
    assert np.array_equal(clip[0], world.still(s))


@settings(max_examples=60, deadline=None)
@given(SCENARIOS)
def test_the_subject_is_large_and_never_leaves_the_frame(s: world.Scenario) -> None:
    boxes = world.boxes(s)
    assert (boxes[:, :2] >= 1).all()
    assert (boxes[:, 2:] <= (143, 95)).all()
    assert (boxes[:, 2:] - boxes[:, :2]).max(axis=1).min() >= 22
    assert world.mask(s, 0).sum() > 200


@settings(max_examples=10, deadline=None)
@given(SCENARIOS)
def test_only_the_subject_moves(s: world.Scenario) -> None:
    clip = world.frames(s)
    touched = np.any([world.mask(s, n) for n in range(len(clip))], axis=0)
    rim = np.zeros_like(touched)
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            rim |= np.roll(touched, (dy, dx), (0, 1))
    assert (np.ptp(clip, axis=0).max(-1) == 0)[~rim].all()


@pytest.mark.parametrize(
    ("movement", "sign"),
    [
        ("left", (-1, 0, 0)),
        ("right", (1, 0, 0)),
        ("up", (0, -1, 0)),
        ("down", (0, 1, 0)),
        ("grow", (0, 0, 1)),
        ("rest", (0, 0, 0)),
    ],
)
def test_a_movement_goes_where_its_name_says(movement: str, sign: tuple[int, int, int]) -> None:
    path = world.path(world.Scenario("cat", "red", "snow", movement, 5))
    assert tuple(np.sign(path[-1] - path[0]).astype(int)) == sign


def test_a_bounce_leaves_the_ground_twice_and_ends_there() -> None:
    y = world.path(world.Scenario("ball", "red", "snow", "bounce", 5))[:, 1]
    assert y[0] == pytest.approx(y[-1])
    assert sum((y[1:-1] < y[:-2]) & (y[1:-1] <= y[2:])) == 2


@settings(max_examples=200, deadline=None)
@given(SCENARIOS, SEEDS, st.integers(20, 130))
def test_a_paragraph_keeps_its_limit_and_says_everything(s: world.Scenario, seed: int, words: int) -> None:
    text = world.paragraph(s, np.random.default_rng(seed), words)
    count = len(text.split())
    assert count <= words
    assert count <= 45
    assert words < 45 or count >= 28
    assert told(text) == {name: getattr(s, name) for name in ATTRIBUTES}
    assert "camera" in text
    assert "\n" not in text
    assert text.endswith(".")


def test_a_limit_that_nothing_fits_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 20"):
        world.paragraph(world.Scenario("cat", "red", "snow", "rest"), np.random.default_rng(0), 19)


@settings(max_examples=100, deadline=None)
@given(SCENARIOS, SEEDS, st.booleans())
def test_a_sentence_is_short_and_states_only_attributes(s: world.Scenario, seed: int, held_out: bool) -> None:
    text, stated = world.sentence(s, np.random.default_rng(seed), held_out)
    assert text == text.strip()
    assert 0 < len(text.split()) <= 32
    assert stated <= set(ATTRIBUTES)
    assert not set("{}|") & set(text)


@settings(max_examples=60, deadline=None)
@given(SEEDS)
def test_every_prompt_means_something_in_the_world(seed: int) -> None:
    for text, s, stated in (prompt(np.random.default_rng(seed)), strange_prompt(np.random.default_rng(seed))):
        assert text
        assert not set("{}|") & set(text)
        assert stated <= set(ATTRIBUTES)
        assert s.subject in world.SUBJECTS
        assert s.scene in world.SCENES


def test_a_boat_of_which_nothing_else_is_said_sails_on_the_sea() -> None:
    rng = np.random.default_rng(0)
    meant = [s for _, s, stated in (prompt(rng) for _ in range(2000)) if s.subject == "boat" and stated == {"subject"}]
    assert meant
    assert {(s.scene, s.movement in ("left", "right")) for s in meant} == {("sea", True)}
