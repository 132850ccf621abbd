"""Outlooks made by hand: the real sizes of a cascade, its actions in a sensible order, and the timeline's rules.

So that what shows plans can be tested without presets, machines or the planner.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from animatic.blocks import passed_bytes, streamed_bytes
from animatic.core import RESIDENT, Action, Component, Evict, Forecast, Load, Phase, Placement, Plan, Run, Shot, Span
from animatic.outlook import Outlook

GIB = 1 << 30
STREAMED = Placement(streamed=True, resident=12, source="host")


def part(name: str, nbytes: float, count: int = 0) -> Component:
    size = round(nbytes * GIB)
    return Component(name, name.partition(".")[0], size, size, (size // (count + 1),) * count)


SIZES = {
    "refine.tokenizer": (0.0, 0),
    "refine.llm": (15.0, 32),
    "image.text_encoder": (0.23, 0),
    "image.text_encoder_2": (8.9, 24),
    "image.modulation": (6.0, 0),
    "image.transformer": (16.2, 57),
    "image.vae": (0.16, 0),
    "video.text_encoder": (8.9, 24),
    "video.modulation": (1.5, 0),
    "video.transformer": (8.9, 42),
    "video.vae": (0.4, 0),
}
"""By component: GiB, and blocks."""

NEEDS: Mapping[str, tuple[str, ...]] = {
    "refine.generate": ("refine.tokenizer", "refine.llm"),
    "image.encode": ("image.text_encoder", "image.text_encoder_2"),
    "video.encode": ("video.text_encoder",),
    "image.modulate": ("image.modulation",),
    "image.denoise": ("image.transformer",),
    "image.decode": ("image.vae",),
    "video.anchor": ("video.vae",),
    "video.modulate": ("video.modulation",),
    "video.denoise": ("video.transformer",),
    "video.decode": ("video.vae",),
}

SECONDS = dict(zip(NEEDS, (9.0, 0.2, 0.1, 0.4, 22.0, 0.6, 0.5, 0.3, 140.0, 12.0), strict=True))
WORK = dict(zip(NEEDS, (0.6, 0.3, 0.2, 0.1, 1.4, 2.8, 1.1, 0.1, 2.2, 4.1), strict=True))


def shot(number: int = 0) -> Shot:
    return Shot("a boat", number, "flux-cogvideox", {}, still=Path("x") if number else None)


def cascade(shots: int = 1, placements: Mapping[str, Placement] | None = None, scale: float = 1.0) -> list[Action]:
    """Each component is loaded one phase ahead, and dropped after its last phase."""
    parts = {name: part(name, scale * size, count) for name, (size, count) in SIZES.items()}
    names, where = list(NEEDS), placements or {}
    first = {one: n for n, name in reversed(list(enumerate(names))) for one in NEEDS[name]}
    last = {one: n for n, name in enumerate(names) for one in NEEDS[name]}
    actions: list[Action] = []
    for n, name in enumerate(names):
        due = [one for one in first if first[one] == n + 1 or (n == 0 and first[one] == 0)]
        for one in sorted(due, key=lambda one: first[one]):
            actions.append(Load(parts[one], where.get(one, RESIDENT)))
        needs = tuple(parts[one] for one in NEEDS[name])
        lockstep = shots if any(where.get(one, RESIDENT).streamed for one in NEEDS[name]) else 1
        actions.append(Run(tuple(Phase(name, "x", shot(k), {}, needs) for k in range(shots)), lockstep))
        actions += [Evict(parts[one]) for one in last if last[one] == n]
    return actions


def forecast(actions: Sequence[Action], scale: float = 1.0, rate: float = 3e9) -> Forecast:
    """One load lane and one compute lane, as the planner counts them. `scale`: of seconds and work space."""
    spans: list[Span] = []
    here: dict[Component, Placement] = {}
    ready: dict[Component, float] = {}
    loading = computing = 0.0
    peak = host = 0
    for action in actions:
        match action:
            case Load(component=one, placement=placement):
                here[one], begin = placement, max(loading, computing)
                ready[one] = computing
                if one.nbytes:
                    ready[one] = loading = begin + one.disk / rate
                    spans.append(Span("load", one.name, begin, loading, one.disk))
                if placement.source == "host":
                    host = max(host, passed_bytes(one.blocks, placement.resident))
            case Evict(component=one):
                del here[one]
            case Run(phases=phases):
                needs = phases[0].components
                begin = max([computing, *(ready[one] for one in needs)])
                end = begin + scale * SECONDS[action.name] * len(phases)
                taken = round(scale * WORK[action.name] * GIB) + sum(device(one, where) for one, where in here.items())
                moved = sum(passed_bytes(one.blocks, here[one].resident) for one in needs if here[one].streamed)
                spans.append(Span("run", action.name, begin, end, 28 * moved, taken, begin - computing))
                computing, peak = end, max(peak, taken)
    return Forecast(tuple(spans), peak, host)


def device(one: Component, where: Placement) -> int:
    return streamed_bytes(one.nbytes, one.blocks, where.resident) if where.streamed else one.nbytes


def outlook(shots: int = 1, streamed: bool = False, scale: float = 1.0, memory: int = 40 * GIB) -> Outlook:
    """Of the default cascade. `scale` makes everything smaller alike, bytes and seconds."""
    where = {"video.transformer": STREAMED, "image.transformer": STREAMED} if streamed else {}
    actions = cascade(shots, where, scale)
    plan = Plan(tuple(actions), forecast(actions, scale))
    notes = ("the clip is decoded in tiles",)
    return Outlook(
        "flux-cogvideox", shots, "NVIDIA GeForce RTX 4090", round(memory * scale), round(32 * GIB * scale), False,
        plan, "by the hardware's rates", notes,
    )  # fmt: skip
