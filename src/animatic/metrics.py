"""What can be said of a clip without any model: flicker, motion, frozen and black frames, sharpness, light, fidelity.

Knows arrays alone: no files, no torch. One pass over the frames, one frame at a time, so a long clip needs no memory.
They find broken clips and compare takes; whether a clip is good or shows what was asked, they do not say.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Plane = NDArray[np.float32]

LUMA = np.array([0.2126, 0.7152, 0.0722], np.float32)
"""Luma of gamma-encoded RGB, as ITU-R BT.709 weights it: what our clips are encoded by."""
BLACK_PIXEL, BLACK_SHARE = 0.10 * 255, 0.98
"""A frame is black when this share of its pixels is no brighter than this: the defaults of ffmpeg's blackdetect."""
REPEAT = 2.0
"""A frame repeats the one before when no block of it changes by more levels than this on average. An encoder at rate
factors up to 23 changes a still picture by up to this; an edge that moves by a pixel changes its block by about ten."""
REPEAT_BLOCK = 8
FROZEN = 3
"""This many repeats in a row are a freeze: fewer are how films at half the rate are padded to the full one."""
CHANGED = 8
"""A pixel moves when its luma changes by more levels than this: above an encoder's noise, below any edge."""
WORKING_SIDE, SEARCH = 160, 8
"""Motion is searched for in a picture scaled down to about this short side, up to this many of its pixels a frame."""
BLOCK, STRIDE = 16, 8
NOISE = 1.5**2
"""A block whose difference has no more variance than this stands still: encoder noise."""
EXPLAINED = 0.5
"""A block moved when some displacement leaves at most this part of its difference; chance alone leaves about 0.7."""
FASTEST = 0.05
"""The peak is the mean of this share of the blocks, as in VBench's dynamic degree: small subjects count."""
DYNAMIC = 6 / 256
"""VBench calls a clip dynamic when the fastest 5 % move by more than this share of the short side a frame."""
NEAR_STATIC, NEAR_STATIC_SHARE = DYNAMIC / 20, 0.005
"""A clip is near-static when it has less than a twentieth of that, and fewer than 1 in 200 pixels move."""
LOST_SHARPNESS = -0.6
"""Well below what a subject that leaves the picture takes with it; a Gaussian blur of one pixel costs over 0.9."""
LUMA_JUMP, LUMA_DRIFT = 20.0, 48.0
"""Levels of mean luma. Fades and day turning to night stay below the first in each frame, blinks do not."""
UNLIKE_STILL = 20.0
"""dB. Below it the first frame is another picture; video VAEs alone keep about 30."""
SSIM_SIDE, SSIM_SIGMA, SSIM_C = 11, 1.5, ((0.01 * 255) ** 2, (0.03 * 255) ** 2)
"""The window and constants of Wang, Bovik, Sheikh and Simoncelli (2004)."""


@dataclass(frozen=True)
class Measures:
    """A clip's measures. A level is one of the 256 of a channel; frames are counted from 0.

    frames               how many
    temporal_flickering  0 to 1, 1 is none: (255 - d) / 255, d the mean absolute difference of consecutive frames over
                         pixels and channels. VBench's definition; movement lowers it as well
    motion               pixels a frame, 0 up: mean displacement of blocks of the picture, flat ones standing still
    motion_peak          the same of the fastest 5 % of the blocks of each frame; to about a tenth of a pixel, 0.4 in
                         480 lines. What moves by more than a twentieth of the short side a frame is not found
    moving               0 to 1: share of the pixels whose luma changes visibly, mean over frames
    duplicates           frames that repeat the one before
    frozen               those of them within a freeze
    black                black frames
    sharpness            levels squared, 0 up: variance of the Laplacian of luma, median over frames
    sharpness_drift      -1 up: last frame's over first frame's, less 1; -0.5 is half lost. None: the first is flat
    luma_drift           -255 to 255 levels: mean luma of the last frame less that of the first
    luma_jump            0 to 255 levels: largest change of mean luma between consecutive frames
    still_psnr           dB, 0 up: first frame against the still, RGB. None: no still, or the same picture (ssim 1)
    still_ssim           -1 to 1: the same on luma. None: no still, or a side of less than 11 pixels
    short_side           pixels: what motion is judged against
    """

    frames: int
    temporal_flickering: float
    motion: float
    motion_peak: float
    moving: float
    duplicates: tuple[int, ...]
    frozen: tuple[int, ...]
    black: tuple[int, ...]
    sharpness: float
    sharpness_drift: float | None
    luma_drift: float
    luma_jump: float
    still_psnr: float | None
    still_ssim: float | None
    short_side: int

    def as_dict(self) -> dict[str, Any]:
        """JSON data: numbers to five digits, frames as lists."""
        return {name: _plain(value) for name, value in dataclasses.asdict(self).items()}

    @property
    def near_static(self) -> bool:
        """Nothing to speak of moves: neither a part of the picture, nor anything within it."""
        slow = self.motion_peak < NEAR_STATIC * self.short_side
        return self.frames > 1 and slow and self.moving < NEAR_STATIC_SHARE


@dataclass
class _Series:
    """One number for each frame, or for each pair of consecutive ones."""

    luma: list[float] = field(default_factory=list)
    sharpness: list[float] = field(default_factory=list)
    black: list[bool] = field(default_factory=list)
    difference: list[float] = field(default_factory=list)
    repeats: list[bool] = field(default_factory=list)
    moving: list[float] = field(default_factory=list)
    motion: list[tuple[float, float]] = field(default_factory=list)


def measure(frames: Iterable[Pixels], still: Pixels | None = None) -> Measures:
    """Measure a clip: uint8 [T, H, W, 3], or any iterable of its frames. `still`: uint8 [H, W, 3], of the same size.

    Raises ValueError when there is no frame, or the still has another size.
    """
    series, first, before = _Series(), None, None
    for frame in frames:
        now = frame, _luma(frame)
        _look(series, now[1])
        if before is not None:
            _compare(series, before, now)
        first, before = (frame if first is None else first), now
    if first is None:
        raise ValueError("a clip without a frame has no measures")
    if still is not None and still.shape != first.shape:
        raise ValueError(f"the still is {still.shape}, the frames are {first.shape}")
    return _summary(series, first, still)


def _summary(series: _Series, first: Pixels, still: Pixels | None) -> Measures:
    repeats = [number for number, repeat in enumerate(series.repeats, 1) if repeat]
    sharpness = series.sharpness
    luma = np.array(series.luma)
    return Measures(
        frames=len(luma),
        temporal_flickering=(255 - _mean(series.difference)) / 255,
        motion=_mean([mean for mean, _ in series.motion]),
        motion_peak=_mean([peak for _, peak in series.motion]),
        moving=_mean(series.moving),
        duplicates=tuple(repeats),
        frozen=tuple(n for run in runs(repeats) if len(run) >= FROZEN for n in run),
        black=tuple(number for number, black in enumerate(series.black) if black),
        sharpness=float(np.median(sharpness)),
        sharpness_drift=sharpness[-1] / sharpness[0] - 1 if sharpness[0] else None,
        luma_drift=float(luma[-1] - luma[0]),
        luma_jump=float(np.abs(np.diff(luma)).max(initial=0)),
        still_psnr=None if still is None else psnr(first, still),
        still_ssim=None if still is None else ssim(first, still),
        short_side=min(first.shape[:2]),
    )


def runs(numbers: list[int]) -> list[range]:
    """Rising numbers as ranges without gaps: 1 2 3 7 8 -> 1..3, 7..8."""
    found: list[range] = []
    for number in numbers:
        if found and found[-1].stop == number:
            found[-1] = range(found[-1].start, number + 1)
        else:
            found.append(range(number, number + 1))
    return found


def _look(series: _Series, luma: Plane) -> None:
    series.luma.append(float(luma.mean(dtype=np.float64)))
    series.black.append(float((luma <= BLACK_PIXEL).mean()) >= BLACK_SHARE)
    middle = luma[1:-1, 1:-1]
    around = luma[:-2, 1:-1] + luma[2:, 1:-1] + luma[1:-1, :-2] + luma[1:-1, 2:]
    series.sharpness.append(float((around - 4 * middle).var(dtype=np.float64)) if middle.size else 0.0)


def _compare(series: _Series, before: tuple[Pixels, Plane], now: tuple[Pixels, Plane]) -> None:
    one, other = before[0], now[0]
    series.difference.append(float((np.maximum(one, other) - np.minimum(one, other)).mean(dtype=np.float64)))
    change = np.abs(now[1] - before[1])
    series.moving.append(float((change > CHANGED).mean()))
    repeat = float(_sums(change, REPEAT_BLOCK, REPEAT_BLOCK).max()) <= REPEAT
    series.repeats.append(repeat)
    series.motion.append((0.0, 0.0) if repeat else _motion(before[1], now[1]))


def _luma(frame: Pixels) -> Plane:
    return frame.astype(np.float32) @ LUMA


# ------------------------------------------------------------------------------------------------------ motion


def _motion(before: Plane, now: Plane) -> tuple[float, float]:
    """(mean, mean of the fastest blocks) of how far blocks moved, in pixels.

    Exhaustive block matching by the variance of the difference, which a change of brightness leaves as it is,
    then to fractions of a pixel by a parabola. Blocks that changed but went nowhere are left out.
    """
    scale = max(1, round(min(now.shape) / WORKING_SIDE))
    size = 2 * SEARCH + 1
    flat = _costs(_reduced(before, scale), _reduced(now, scale))
    far = np.square(np.arange(size) - SEARCH)
    # Along an edge many displacements fit as well: the shortest is taken, by a handicap within the noise.
    handicap = (far[:, None] + far).reshape(-1, 1) * np.float32(NOISE / SEARCH**2)
    best, block = (flat + handicap).argmin(0), np.arange(flat.shape[1])
    zero = flat[SEARCH * size + SEARCH]
    down, right = best // size, best % size
    dy, gain_y = _parabola([flat[(down + n) % size * size + right, block] for n in (-1, 0, 1)], down)
    dx, gain_x = _parabola([flat[down * size + (right + n) % size, block] for n in (-1, 0, 1)], right)
    left = flat[best, block] - gain_y - gain_x
    length = np.hypot(down + dy - SEARCH, right + dx - SEARCH) * scale
    stands = zero <= NOISE
    length = np.sort(np.where(stands, 0, length)[stands | (left <= EXPLAINED * zero)])
    if not length.size:
        return 0.0, 0.0
    return float(length.mean()), float(length[-max(1, round(FASTEST * length.size)) :].mean())


def _costs(before: Plane, now: Plane) -> Plane:
    """Of each displacement and block the variance of the difference: [(2 SEARCH + 1) squared, blocks], row by row."""
    height, width = now.shape
    wide = np.pad(before, SEARCH, mode="edge")
    span = range(2 * SEARCH, -1, -1)
    costs = []
    for y in span:
        for x in span:
            difference = now - wide[y : y + height, x : x + width]
            mean, square = _sums(difference, BLOCK, STRIDE), _sums(difference * difference, BLOCK, STRIDE)
            costs.append((square - mean * mean).ravel())
    return np.stack(costs)


def _parabola(points: list[Plane], at: NDArray[np.intp]) -> tuple[Plane, Plane]:
    """(where the parabola through three points at -1, 0, 1 is lowest, how far below the middle one).

    0 and 0 where the middle is not the lowest, or is at the edge of the search and one point is missing.
    """
    low, middle, high = points
    bend = low - 2 * middle + high
    sound = (bend > 0) & (middle <= low) & (middle <= high) & (at > 0) & (at < 2 * SEARCH)
    bend = np.where(sound, bend, 1)
    slope = np.where(sound, low - high, 0)
    return slope / (2 * bend), slope * slope / (8 * bend)


def _sums(plane: Plane, block: int, stride: int) -> Plane:
    """The mean of each block, blocks every `stride` pixels; as two products of matrices, which is fastest."""
    rows, columns = (_windows(length, block, stride) for length in plane.shape)
    return np.asarray(rows @ plane @ columns.T)


@functools.cache
def _windows(length: int, block: int, stride: int) -> Plane:
    block = min(block, length)
    starts = np.unique(np.append(np.arange(0, length - block + 1, stride), length - block))
    places = np.arange(length) - starts[:, None]
    return np.asarray(((places >= 0) & (places < block)).astype(np.float32) / np.float32(block))


def _reduced(plane: Plane, scale: int) -> Plane:
    return _sums(plane, scale, scale) if scale > 1 else plane


# ---------------------------------------------------------------------------------------------------- fidelity


def psnr(one: Pixels, other: Pixels) -> float | None:
    """Peak signal-to-noise ratio in dB, over all channels. None for equal pictures, whose ratio is infinite."""
    error = float(np.square(one.astype(np.float64) - other).mean())
    return 10 * math.log10(255**2 / error) if error else None


def ssim(one: Pixels, other: Pixels) -> float | None:
    """Structural similarity of the luma of two pictures, mean over the places where the window fits. None: nowhere."""
    if min(one.shape[:2]) < SSIM_SIDE:
        return None
    a, b = (_luma(picture).astype(np.float64) for picture in (one, other))
    mean_a, mean_b = _gaussian(a), _gaussian(b)
    var_a, var_b = _gaussian(a * a) - mean_a**2, _gaussian(b * b) - mean_b**2
    both = _gaussian(a * b) - mean_a * mean_b
    light = (2 * mean_a * mean_b + SSIM_C[0]) / (mean_a**2 + mean_b**2 + SSIM_C[0])
    return float((light * (2 * both + SSIM_C[1]) / (var_a + var_b + SSIM_C[1])).mean())


def _gaussian(plane: NDArray[np.float64]) -> NDArray[np.float64]:
    """The plane under a Gaussian window, where the window fits."""
    weights = np.exp(-((np.arange(SSIM_SIDE) - SSIM_SIDE // 2) ** 2) / (2 * SSIM_SIGMA**2))
    weights /= weights.sum()
    high, wide = (length - SSIM_SIDE + 1 for length in plane.shape)
    down = sum(weight * plane[n : n + high] for n, weight in enumerate(weights))
    return np.asarray(sum(weight * np.asarray(down)[:, n : n + wide] for n, weight in enumerate(weights)))


# ----------------------------------------------------------------------------------------------------- remarks


def remarks(measures: Measures) -> tuple[str, ...]:
    """What a person should know before keeping the clip, in plain words; nothing for a sound one."""
    m, last = measures, measures.frames - 1
    said = []
    if m.near_static:
        extent = f"{m.motion_peak:.2f} pixels a frame, {m.moving:.1%} of the pixels change"
        said.append(f"near-static: {'nothing moves' if len(m.duplicates) == last else extent}")
    if m.black:
        said.append(f"{_frames(m.black)} black")
    tail = [run for run in runs(list(m.frozen)) if run.stop == m.frames]
    if tail and len(m.duplicates) < last:
        said.append(f"frozen from frame {tail[0].start - 1}")
    others = tuple(n for n in m.duplicates if not tail or n < tail[0].start)
    if others:
        said.append(f"{_frames(others)} the same as the one before")
    if m.luma_jump > LUMA_JUMP:
        said.append(f"brightness jumps by {m.luma_jump:.0f} of 255 between two frames")
    if abs(m.luma_drift) > LUMA_DRIFT:
        said.append(f"{'brightens' if m.luma_drift > 0 else 'darkens'} by {abs(m.luma_drift):.0f} of 255")
    if m.sharpness_drift is not None and m.sharpness_drift < LOST_SHARPNESS:
        said.append(f"loses sharpness: the last frame has {1 + m.sharpness_drift:.0%} of the first one's")
    if m.still_psnr is not None and m.still_psnr < UNLIKE_STILL:
        said.append(f"does not begin with the still: {m.still_psnr:.1f} dB")
    return tuple(said)


def _frames(numbers: tuple[int, ...]) -> str:
    spans = [f"{r.start}" if len(r) == 1 else f"{r.start} to {r.stop - 1}" for r in runs(list(numbers))]
    shown = ", ".join(spans[:5]) + (", ..." if len(spans) > 5 else "")
    return f"frame {shown} is" if len(numbers) == 1 else f"{len(numbers)} frames ({shown}) are"


def _mean(values: list[float]) -> float:
    return float(np.mean(values)) if values else 0.0


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.5g}")
    return list(value) if isinstance(value, tuple) else value
