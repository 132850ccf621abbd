"""The oracle: nearly always right on fresh clips, and hardly disturbed by blur, noise and shifted colours."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageFilter

from training.pocket import oracle, world
from training.pocket.scenes import background

CLIPS = 30


def _worse(clip: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """As an imperfect decoder would give it: blurred, noisy, colours a little off."""
    blurred = np.stack([np.asarray(Image.fromarray(f).filter(ImageFilter.GaussianBlur(1.2))) for f in clip])
    shifted = blurred * rng.uniform(0.93, 1.07, 3) + rng.uniform(-8, 8, 3) + rng.normal(0, 9, clip.shape)
    return shifted.clip(0, 255).astype(np.uint8)


def _right(s: world.Scenario, verdict: oracle.Verdict | oracle.Sighting, names: tuple[str, ...]) -> bool:
    return all(getattr(s, name) == getattr(verdict, name) for name in names)


@pytest.mark.slow
def test_at_least_98_percent_of_fresh_clips_are_told_right() -> None:
    rng = np.random.default_rng(2024)
    scenarios = [world.sample(rng) for _ in range(CLIPS)]
    verdicts = [oracle.judge(world.frames(s)) for s in scenarios]
    names = ("scene", "time", "camera", "subject", "colour", "movement")
    right = [_right(s, v, names) and all(v.present) for s, v in zip(scenarios, verdicts, strict=True)]
    assert np.mean(right) >= 0.98
    assert np.mean([_right(s, v, ("prop",)) for s, v in zip(scenarios, verdicts, strict=True)]) >= 0.95


@pytest.mark.slow
def test_positions_are_found_to_the_pixel() -> None:
    rng = np.random.default_rng(7)
    scenarios = [world.sample(rng) for _ in range(5)]
    found = [np.array(oracle.judge(world.frames(s)).places) for s in scenarios]
    far = [np.abs(places - world.path(s))[:, :2].max() for places, s in zip(found, scenarios, strict=True)]
    assert np.median(far) <= 1.5


@pytest.mark.slow
def test_stills_and_worse_clips_are_told_too() -> None:
    rng = np.random.default_rng(99)
    stills, clips = [world.sample(rng) for _ in range(30)], [world.sample(rng) for _ in range(8)]
    names = ("scene", "time", "subject", "colour")
    assert np.mean([_right(s, oracle.judge_still(world.still(s)), names) for s in stills]) >= 0.98
    assert np.mean([_right(s, oracle.judge_still(_worse(world.still(s)[None], rng)[0]), names) for s in stills]) >= 0.93
    assert np.mean([_right(s, oracle.judge(_worse(world.frames(s), rng)), (*names, "movement")) for s in clips]) >= 0.93


@pytest.mark.parametrize(("scene", "time"), oracle.LOOKS)
def test_an_empty_scene_has_nothing_present(scene: str, time: str) -> None:
    empty = background(scene, time, "lamp", 3)
    for picture in (empty, _worse(empty[None], np.random.default_rng(5))[0]):
        sighting = oracle.judge_still(picture)
        assert (sighting.scene, sighting.time, sighting.prop) == (scene, time, "lamp")
        assert not sighting.present and sighting.share < -1, "far from the threshold, 0"


def test_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="144 x 96"):
        oracle.judge_still(np.zeros((64, 64, 3), np.uint8))
