"""The memory planner: from phases to a list of loads, evictions and runs.

Pure: no torch, no clock, no device. The policy here is the simplest that is right for many shots: stage-major, each
component loaded when its phase comes and evicted when the next phase does not use it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from animatic.core import Action, Component, Evict, Load, Phase, Plan, Run


def plan(phases: Sequence[Phase], resident: Iterable[Component] = ()) -> Plan:
    """Plan `phases` of any number of shots, starting from what is `resident` now; ends with nothing resident."""
    runs = _stage_major(phases)
    needs = [set(run.phases[0].components) for run in runs] + [set()]
    here = set(resident)
    actions: list[Action] = _evictions(here, needs[0])
    here &= needs[0]
    for run, need, after in zip(runs, needs, needs[1:], strict=False):
        actions += [Load(component) for component in run.phases[0].components if component not in here]
        actions.append(run)
        actions += _evictions(need, after)
        here = need & after
    return Plan(tuple(actions))


_Group = tuple[str, tuple[Component, ...]]


def _stage_major(phases: Sequence[Phase]) -> list[Run]:
    """Group equal phases of all shots, in an order where every phase comes after its inputs.

    A group's level is its longest path from a group without inputs; so encoding the text for the video comes beside
    encoding it for the image, as early as it can.
    """
    groups: dict[_Group, list[Phase]] = {}
    for phase in phases:
        groups.setdefault(_group(phase), []).append(phase)
    levels: dict[_Group, int] = {}
    return [Run(tuple(groups[group])) for group in sorted(groups, key=lambda group: _level(group, groups, levels))]


def _group(phase: Phase) -> _Group:
    return phase.name, phase.components


def _level(group: _Group, groups: Mapping[_Group, Sequence[Phase]], levels: dict[_Group, int]) -> int:
    if group not in levels:
        before = {_group(given) for phase in groups[group] for given in phase.inputs} & groups.keys()
        levels[group] = 1 + max((_level(given, groups, levels) for given in before), default=-1)
    return levels[group]


def _evictions(here: set[Component], needed: set[Component]) -> list[Action]:
    return [Evict(component) for component in sorted(here - needed, key=lambda component: component.name)]
