"""The measures say what is known of clips made for it: how far they move, which frames repeat, how much they differ."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image, ImageFilter

from animatic import metrics
from animatic.metrics import Measures, Pixels, measure, remarks

CLIPS = arrays(np.uint8, st.tuples(st.integers(1, 5), st.integers(1, 24), st.integers(1, 24), st.just(3)))


def texture(height: int = 96, width: int = 144, grain: int = 4, seed: int = 0) -> Pixels:
    coarse = np.random.default_rng(seed).integers(0, 256, (height // grain, width // grain, 3), np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


def panned(step: int, count: int = 6, height: int = 96, width: int = 144) -> Pixels:
    wide = texture(height, width + step * count + 4 & ~3)
    return np.stack([wide[:, n * step : n * step + width] for n in range(count)])


def crossing(step: int, count: int = 8, still_from: int = 99) -> Pixels:
    """A disc that crosses a still scene."""
    y, x = np.mgrid[:96, :144]
    frames = np.repeat(texture(grain=8)[None] // 2, count, 0)
    for n, frame in enumerate(frames):
        frame[np.hypot(y - 48, x - 30 - step * min(n, still_from)) < 14] = (250, 140, 20)
    return frames


def blurred(image: Pixels, radius: float) -> Pixels:
    return np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(radius)))


# ------------------------------------------------------------------------------------------------------ motion


@pytest.mark.parametrize("step", [1, 2, 3, 5, 8])
def test_a_pan_moves_by_its_step(step: int) -> None:
    found = measure(panned(step))
    assert found.motion == pytest.approx(step, abs=0.1)
    assert found.motion_peak == pytest.approx(step, abs=0.5)
    assert found.moving > 0.5 and remarks(found) == ()


@pytest.mark.parametrize("step", [3, 9])
def test_a_large_picture_is_measured_in_its_own_pixels(step: int) -> None:
    found = measure(panned(step, 3, 480, 720))
    assert found.motion == pytest.approx(step, abs=0.4)


def test_the_direction_of_a_movement_does_not_matter() -> None:
    pan = panned(3)
    for turned in (pan[:, :, ::-1], pan[:, ::-1], pan[::-1], pan.swapaxes(1, 2)):
        assert measure(turned).motion == pytest.approx(3, abs=0.1)


def test_a_small_subject_shows_in_the_peak() -> None:
    found = measure(crossing(4))
    assert found.motion < 1 and found.motion_peak == pytest.approx(4, abs=0.7)
    assert 0.005 < found.moving < 0.1 and not found.near_static


def test_an_edge_moves_no_further_than_it_shows() -> None:
    frames = np.full((5, 96, 144, 3), 20, np.uint8)
    for n, frame in enumerate(frames):
        frame[:, 40 + 2 * n : 80 + 2 * n] = 220
    assert measure(frames).motion_peak == pytest.approx(2, abs=0.2)


def test_a_still_clip_is_near_static() -> None:
    found = measure(np.repeat(texture()[None], 6, 0))
    assert (found.motion, found.motion_peak, found.moving, found.temporal_flickering) == (0, 0, 0, 1)
    assert remarks(found) == ("near-static: nothing moves",)


def test_an_encoders_noise_does_not_move() -> None:
    noise = np.random.default_rng(1).normal(0, 1, (6, 96, 144, 3))
    found = measure(np.clip(texture() + noise, 0, 255).round().astype(np.uint8))
    assert found.motion_peak == 0 and found.near_static


def test_brightness_alone_does_not_move() -> None:
    scene = texture() // 2
    blinking = np.stack([scene + np.uint8(60 * (n % 2)) for n in range(6)])
    found = measure(blinking)
    assert found.motion_peak == 0 and found.moving == 1
    assert found.luma_jump == pytest.approx(60) and found.luma_drift == pytest.approx(60)
    assert found.temporal_flickering == pytest.approx((255 - 60) / 255)
    assert "brightness jumps by 60 of 255 between two frames" in remarks(found)


def test_noise_without_a_connection_does_not_move() -> None:
    found = measure(np.random.default_rng(0).integers(0, 256, (4, 64, 64, 3), np.uint8))
    assert found.motion < 0.1 and found.moving > 0.8 and not found.near_static


# ------------------------------------------------------------------------------------- repeated and black frames


def test_repeated_frames_are_counted() -> None:
    pan = panned(3, 9)
    found = measure(pan[[0, 1, 1, 2, 3, 4, 4, 4, 5]])
    assert found.duplicates == (2, 6, 7) and found.frozen == ()
    assert remarks(found) == ("3 frames (2, 6 to 7) are the same as the one before",)


def test_a_freeze_is_said_from_its_first_frame() -> None:
    found = measure(crossing(3, 12, still_from=6))
    assert found.duplicates == found.frozen == (7, 8, 9, 10, 11)
    assert remarks(found) == ("frozen from frame 6",)


def test_the_slowest_small_movement_is_no_repeat() -> None:
    assert measure(crossing(1)).duplicates == ()


def test_a_fade_to_black() -> None:
    scene = panned(2, 8).astype(np.float32)
    found = measure((scene * np.linspace(1, 0, 8)[:, None, None, None]).astype(np.uint8))
    assert found.black == (7,) and found.luma_drift < -100
    said = " | ".join(remarks(found))
    assert "frame 7 is black" in said and "darkens by" in said and "near-static" not in said


def test_a_dark_scene_with_a_light_is_not_black() -> None:
    frame = np.full((96, 144, 3), 5, np.uint8)
    frame[10:30, 20:50] = 240
    assert measure(frame[None]).black == ()


# -------------------------------------------------------------------------------------------------- sharpness


def test_a_blurred_copy_is_less_sharp() -> None:
    scene = texture()
    found = [measure(blurred(scene, radius)[None]).sharpness for radius in (0, 1, 2, 4)]
    assert found == sorted(found, reverse=True) and found[0] > 2 * found[1] > 0


def test_a_clip_that_loses_focus() -> None:
    pan = panned(2)
    found = measure(np.stack([blurred(frame, n) for n, frame in enumerate(pan)]))
    assert found.sharpness_drift is not None and found.sharpness_drift < -0.9
    assert any(said.startswith("loses sharpness: the last frame has") for said in remarks(found))


def test_the_laplacian_of_known_pictures() -> None:
    checks = np.indices((32, 32)).sum(0)[..., None].repeat(3, 2) % 2 * 10
    assert measure(checks.astype(np.uint8)[None]).sharpness == pytest.approx(40**2, rel=1e-3)
    slope = np.arange(64)[None, :, None].repeat(32, 0).repeat(3, 2).astype(np.uint8)
    assert measure(slope[None]).sharpness == pytest.approx(0, abs=1e-6)


# --------------------------------------------------------------------------------------------------- fidelity


def test_psnr_of_known_noise() -> None:
    scene = np.full((64, 64, 3), 120, np.uint8)
    other = scene + np.where(np.random.default_rng(0).random(scene.shape) < 0.5, -5, 5).astype(np.int8).view(np.uint8)
    assert metrics.psnr(scene, other) == pytest.approx(20 * np.log10(255 / 5))


def test_ssim_is_that_of_the_paper() -> None:
    """Against the definition, window by window."""
    one, other = texture(24, 32), blurred(texture(24, 32), 1)
    a, b = (np.asarray(picture @ np.array([0.2126, 0.7152, 0.0722])) for picture in (one, other))
    offsets = np.arange(11) - 5
    window = np.exp(-(offsets[:, None] ** 2 + offsets[None] ** 2) / (2 * 1.5**2))
    window /= window.sum()
    values = []
    for y in range(24 - 10):
        for x in range(32 - 10):
            p, q = a[y : y + 11, x : x + 11], b[y : y + 11, x : x + 11]
            mp, mq = (window * p).sum(), (window * q).sum()
            vp, vq = (window * (p - mp) ** 2).sum(), (window * (q - mq) ** 2).sum()
            both = (window * (p - mp) * (q - mq)).sum()
            light = (2 * mp * mq + 6.5025) / (mp**2 + mq**2 + 6.5025)
            values.append(light * (2 * both + 58.5225) / (vp + vq + 58.5225))
    assert metrics.ssim(one, other) == pytest.approx(np.mean(values), abs=1e-6)


def test_another_still_is_noticed() -> None:
    clip = panned(2)
    same, near, other = (measure(clip, still) for still in (clip[0], blurred(clip[0], 0.5), texture(seed=5)))
    assert same.still_psnr is None and same.still_ssim == pytest.approx(1)
    assert near.still_psnr and other.still_psnr and near.still_psnr > 25 > other.still_psnr
    assert remarks(same) == remarks(near) == ()
    assert remarks(other) == (f"does not begin with the still: {other.still_psnr:.1f} dB",)


def test_without_a_still_there_is_no_fidelity() -> None:
    found = measure(panned(2))
    assert found.still_psnr is None and found.still_ssim is None


def test_a_still_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="the still is"):
        measure(panned(2), texture(48, 48))


def test_no_frames_are_refused() -> None:
    with pytest.raises(ValueError, match="without a frame"):
        measure(np.zeros((0, 8, 8, 3), np.uint8))


# ------------------------------------------------------------------------------------------------- any clip


@given(CLIPS)
@settings(max_examples=60, deadline=None)
def test_every_clip_has_measures_within_their_ranges(clip: Pixels) -> None:
    found = measure(clip, clip[-1])
    assert found.frames == len(clip)
    assert 0 <= found.temporal_flickering <= 1 and 0 <= found.moving <= 1
    assert 0 <= found.motion <= found.motion_peak + 1e-6
    assert set(found.frozen) <= set(found.duplicates) <= set(range(1, len(clip)))
    assert set(found.black) <= set(range(len(clip)))
    assert found.sharpness >= 0 and (found.sharpness_drift is None or found.sharpness_drift >= -1)
    assert abs(found.luma_drift) <= 255 and 0 <= found.luma_jump <= 255
    assert found.still_psnr is None or found.still_psnr >= 0
    assert found.still_ssim is None or -1 <= found.still_ssim <= 1 + 1e-9
    assert json.loads(json.dumps(found.as_dict(), allow_nan=False)).keys() == found.as_dict().keys()
    assert all(said and "\n" not in said for said in remarks(found))


@given(CLIPS)
@settings(max_examples=40, deadline=None)
def test_played_backwards_it_flickers_as_much(clip: Pixels) -> None:
    there, back = measure(clip), measure(clip[::-1])
    assert back.temporal_flickering == pytest.approx(there.temporal_flickering)
    assert back.moving == pytest.approx(there.moving) and back.luma_jump == pytest.approx(there.luma_jump, abs=1e-6)
    assert back.luma_drift == pytest.approx(-there.luma_drift, abs=1e-6)
    assert len(back.duplicates) == len(there.duplicates) and len(back.black) == len(there.black)


@given(CLIPS)
@settings(max_examples=40, deadline=None)
def test_frames_one_by_one_measure_as_an_array(clip: Pixels) -> None:
    assert measure(iter(clip)) == measure(clip)


@given(st.lists(st.integers(0, 40), unique=True).map(sorted))
def test_runs_hold_the_same_numbers(numbers: list[int]) -> None:
    found = metrics.runs(numbers)
    assert [n for run in found for n in run] == numbers
    assert all(one.stop < other.start for one, other in itertools.pairwise(found))


def test_every_field_is_explained() -> None:
    words = (Measures.__doc__ or "").split()
    assert all(name in words for name in Measures.__dataclass_fields__)
