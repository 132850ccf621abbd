"""The toy world: its pictures are exact and repeatable."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.pocket import world
from training.pocket.scenes import PAN, background

SCENARIOS = st.builds(
    world.Scenario,
    **{name: st.sampled_from(names) for name, names in world.NAMES.items()},
    jitter=st.integers(0, 2**31 - 1),
)


def test_the_world_is_as_large_as_promised() -> None:
    sizes = {name: len(names) for name, names in world.NAMES.items()}
    assert sizes == {"subject": 14, "colour": 10, "scene": 8, "movement": 9, "time": 2, "prop": 5, "camera": 2}


def test_some_pairs_are_never_trained_together_and_every_subject_keeps_most() -> None:
    rng = np.random.default_rng(0)
    assert not any(world.unseen(world.sample(rng)) for _ in range(500))
    assert all(world.unseen(world.sample(rng, held_out=True)) for _ in range(100))
    seen = {(s.subject, s.colour) for s in (world.sample(rng) for _ in range(8000))}
    assert 125 <= len(seen) < 140


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
def test_under_a_fixed_camera_only_the_subject_and_its_shadow_move(s: world.Scenario) -> None:
    s = replace(s, camera="fixed")
    clip = world.frames(s)
    touched = np.any([world.mask(s, n) for n in range(len(clip))], axis=0)
    rim = np.zeros_like(touched)
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            rim |= np.roll(touched, (dy, dx), (0, 1))
    rim[64:] = True  # where shadows lie
    assert (np.ptp(clip, axis=0).max(-1) == 0)[~rim].all()


@pytest.mark.parametrize("scene", world.SCENES)
def test_a_turning_camera_slides_what_is_near_and_leaves_the_sky(scene: str) -> None:
    before, after = (background(scene, "night", "none", 0, pan).astype(int) for pan in (0, PAN))
    assert np.abs(after[92:, : world.WIDTH - PAN] - before[92:, PAN:]).max() <= 1, "the near ground, by PAN pixels"
    if scene != "forest":  # its leaves hang before the sky
        assert np.abs(after[:3] - before[:3]).max() == 0


def test_a_subject_throws_a_shadow_that_fades_as_it_rises() -> None:
    rising = world.Scenario("ball", "red", "snow", "up", jitter=5)
    empty = background("snow", "day", "none", 5).astype(int)
    darker = [int((empty - frame)[82:91].max()) for frame in world.frames(rising)]
    assert darker[0] > 1.5 * darker[-1] > 15


@pytest.mark.parametrize(
    ("movement", "sign"),
    [
        ("left", (-1, 0, 0)),
        ("right", (1, 0, 0)),
        ("up", (0, -1, 0)),
        ("down", (0, 1, 0)),
        ("grow", (0, 0, 1)),
        ("shrink", (0, 0, -1)),
        ("rest", (0, 0, 0)),
    ],
)
def test_a_movement_goes_where_its_name_says(movement: str, sign: tuple[int, int, int]) -> None:
    path = world.path(world.Scenario("cat", "red", "snow", movement, jitter=5))
    assert tuple(np.sign(path[-1] - path[0]).astype(int)) == sign


@pytest.mark.parametrize("movement", world.MOVEMENTS)
def test_a_subject_lies_in_few_ways_in_a_latent_cell(movement: str) -> None:
    places = np.concatenate([world.path(world.Scenario("cat", "red", "snow", movement, jitter=n)) for n in range(40)])
    assert len(np.unique(places[:, :2] % 8, axis=0)) <= 4
    assert (places[:, 2] % 4 == 0).all()


def test_a_bounce_leaves_the_ground_twice_and_ends_there() -> None:
    y = world.path(world.Scenario("ball", "red", "snow", "bounce", jitter=5))[:, 1]
    assert y[0] == pytest.approx(y[-1])
    assert sum((y[1:-1] < y[:-2]) & (y[1:-1] <= y[2:])) == 2


def test_a_circle_goes_round_and_ends_where_it_began() -> None:
    x, y, _ = world.path(world.Scenario("ball", "red", "snow", "circle", jitter=5)).T
    assert (x[0], y[0]) == (pytest.approx(x[-1]), pytest.approx(y[-1]))
    assert np.ptp(x) > 30 and np.ptp(y) > 25
