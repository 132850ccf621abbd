"""What planning ahead is worth: exposed seconds and bytes of ours and of others' rules, on the same instances.

    python -m bench.planner --instances 10000

Random instances, where small also the optimum by brute force; the real presets at several budgets, for 1 and 8 shots;
and a service's jobs of changing presets, each starting from what the last left. Exposed are the seconds in which
computing waits for a load. Pure arithmetic: no model runs. Prints tables and writes bench/results/planner.json.
"""

from __future__ import annotations

import argparse
import datetime
import json
import random
import statistics
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from animatic import catalog
from animatic.core import Plan
from animatic.plan import plan
from animatic.prepare import Prepared, Wish, prepare
from animatic.search import START, Found, Piece, Problem, Stop, linger, search, simulate, step
from bench.policies import POLICIES, predecessor_chain

RESULTS = Path(__file__).parent / "results"
OURS = "ours"
CARD = "H200"
BUDGETS = (80, 40, 32, 24)
"""GiB in which the presets run without streaming; below, only ours runs at all."""


def exposed(problem: Problem, found: Found) -> float:
    return found.seconds - problem.remaining[0]


# ---------------------------------------------------------------------------------------------------- random instances


def instances(count: int, seed: int = 7) -> Iterator[Problem]:
    """Two to seven components of 1 to 24 GB at 3 GB/s, three to ten runs of one or two of them, a scarce budget."""
    rng = random.Random(seed)
    for _ in range(count):
        pieces = []
        for _ in range(rng.randint(2, 7)):
            gigabytes = rng.choice((1, 2, 4, 8, 10, 16, 24))
            pieces.append(Piece(gigabytes, gigabytes, gigabytes / 3))
        stops = []
        for _ in range(rng.randint(3, 10)):
            needs = 1 << rng.randrange(len(pieces))
            if rng.random() < 0.3:
                needs |= 1 << rng.randrange(len(pieces))
            stops.append(Stop(needs, rng.randint(0, 4), rng.choice((0.1, 0.5, 2.0, 5.0, 20.0))))
        bare = Problem(tuple(pieces), tuple(stops), 0)
        least = max(bare.size(stop.needs) + stop.workspace for stop in stops)
        yield replace(bare, budget=least + rng.randint(0, 24))


def brute(problem: Problem) -> tuple[float, int]:
    ways = [(problem.resident, START)]
    for run, stop in enumerate(problem.stops):
        masks = [
            mask
            for mask in range(1 << len(problem.pieces))
            if mask & stop.needs == stop.needs and problem.size(mask) + stop.workspace <= problem.budget
        ]
        ways = [(mask, step(problem, run, before, mask, label)) for before, label in ways for mask in masks]
    return min((round(label.clock, 6), label.nbytes) for _, label in ways)


def on_random(count: int) -> dict[str, Any]:
    totals = {name: [0.0, 0] for name in (OURS, *POLICIES)}
    compared = equal = proven = 0
    for problem in instances(count):
        found = search(problem)
        proven += found.proven
        for name, one in ((OURS, found), *((name, rule(problem)) for name, rule in POLICIES.items())):
            totals[name][0] += exposed(problem, one)
            totals[name][1] += one.nbytes
        if len(problem.pieces) <= 3 and len(problem.stops) <= 5:
            compared += 1
            equal += brute(problem) == (round(found.seconds, 6), found.nbytes)
    return {
        "instances": count,
        "proven_optimal": proven,
        "compared_with_brute_force": compared,
        "equal_to_brute_force": equal,
        "mean_exposed_seconds": {name: total[0] / count for name, total in totals.items()},
        "mean_gigabytes": {name: total[1] / count for name, total in totals.items()},
    }


# ---------------------------------------------------------------------------------------------------- the real presets


def problem_of(prepared: Prepared, made: Plan, shot_major: bool = False) -> Problem:
    """The plan's own instance, for the other rules: weighty components, runs with their seconds and work space."""
    runs = made.runs
    components = list(dict.fromkeys(c for run in runs for c in run.phases[0].components if c.nbytes))
    capacity = prepared.budget.capacity
    pieces = tuple(Piece(c.nbytes, c.disk, c.disk / capacity.disk_rate) for c in components)
    stops = []
    for run in runs:
        demand = prepared.estimator.demand(run.phases[0])
        needs = sum(1 << components.index(c) for c in dict.fromkeys(run.phases[0].components) if c.nbytes)
        seconds = demand.seconds * (1 if shot_major else len(run.phases))
        stops.append(Stop(needs, demand.workspace, seconds))
    if shot_major:
        stops *= len(runs[0].phases)
    return Problem(pieces, tuple(stops), capacity.device)


def on_presets() -> list[dict[str, Any]]:
    rows = []
    for name in catalog.presets():
        if name == "pocket":
            continue
        for gib in BUDGETS:
            for shots in (1, 8):
                prepared = prepare([Wish("a lighthouse", name, takes=shots, memory=gib << 30)], CARD)
                made = prepared.plan()
                problem = problem_of(prepared, made)
                found = search(problem)
                results = {OURS: found, **{rule: decide(problem) for rule, decide in POLICIES.items()}}
                outcome = {rule: [exposed(problem, one), one.nbytes] for rule, one in results.items()}
                swapped = problem_of(prepared, made, shot_major=True)
                per_shot = predecessor_chain(swapped)
                outcome["swap per shot (Open-Sora)"] = [exposed(swapped, per_shot), per_shot.nbytes]
                row = {"preset": name, "gib": gib, "shots": shots, "proven": found.proven}
                rows.append({**row, "exposed_bytes": outcome})
    return rows


# ----------------------------------------------------------------------------------------------------- a service's jobs


def on_trace(jobs: int = 60, gib: int = 80, seed: int = 3) -> dict[str, Any]:
    """Jobs of three presets in a random order with runs of equal ones; each rule keeps what it likes between them."""
    rng = random.Random(seed)
    names, now = [], "flux-cogvideox"
    for _ in range(jobs):
        if rng.random() < 0.35:
            now = rng.choice(("flux-cogvideox", "glm-cogvideox", "flux-cogvideox15"))
        names.append(now)
    joined = _joined([_job(name, gib) for name in dict.fromkeys(names)], list(dict.fromkeys(names)), names)
    totals: dict[str, list[float]] = {}
    for rule, decide in {OURS: search, **POLICIES}.items():
        resident, waited, nbytes = 0, 0.0, 0
        for problem in joined:
            here = replace(problem, resident=resident)
            found = decide(here)
            # What a job leaves is kept by ours as long as there is room; the others keep what their rule left in place.
            if rule == OURS or rule.startswith("furthest"):
                found = simulate(here, linger(here, found.held))
            waited += exposed(here, found)
            nbytes += found.nbytes
            resident = found.held[-1] if found.held else 0
        totals[rule] = [waited, nbytes]
    return {"jobs": jobs, "gib": gib, "seed": seed, "exposed_bytes": totals}


def _job(name: str, gib: int) -> tuple[Prepared, Plan]:
    prepared = prepare([Wish("a lighthouse", name, memory=gib << 30)], CARD)
    return prepared, prepared.plan()


def _joined(jobs: list[tuple[Prepared, Plan]], kinds: list[str], names: list[str]) -> list[Problem]:
    """One instance a job, all over the same components: those that two presets share are the same."""
    runs = [run for _, made in jobs for run in made.runs]
    components = list(dict.fromkeys(c for run in runs for c in run.phases[0].components if c.nbytes))
    rate = jobs[0][0].budget.capacity.disk_rate
    pieces = tuple(Piece(c.nbytes, c.disk, c.disk / rate) for c in components)
    problems = {}
    for name, (prepared, made) in zip(kinds, jobs, strict=True):
        stops = []
        for run in made.runs:
            demand = prepared.estimator.demand(run.phases[0])
            needs = sum(1 << components.index(c) for c in dict.fromkeys(run.phases[0].components) if c.nbytes)
            stops.append(Stop(needs, demand.workspace, demand.seconds))
        problems[name] = Problem(pieces, tuple(stops), prepared.budget.capacity.device)
    return [problems[name] for name in names]


# --------------------------------------------------------------------------------------------------------------- speed


def on_speed() -> dict[str, float]:
    """Milliseconds of plan() alone."""
    took = {}
    for shots in (1, 1000):
        prepared = prepare([Wish("a lighthouse", "flux-cogvideox", takes=shots)], "RTX 4090")
        phases = [phase for run in prepared.plan().runs for phase in run.phases]
        times = []
        for _ in range(7):
            begun = time.perf_counter()
            plan(phases, prepared.budget.capacity, prepared.estimator.demand)
            times.append(time.perf_counter() - begun)
        took[f"{shots} shots"] = 1e3 * statistics.median(times)
    return took


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--instances", type=int, default=10_000)
    count = parser.parse_args().instances
    report = {
        "command": f"python -m bench.planner --instances {count}",
        "date": datetime.date.today().isoformat(),
        "card": f"{CARD} by its data sheet; disk as in budget.DISK_RATE",
        "random": on_random(count),
        "presets": on_presets(),
        "trace": on_trace(),
        "plan_milliseconds": on_speed(),
    }
    _print(report)
    (RESULTS / "planner.json").write_text(json.dumps(report, indent=1) + "\n")


def _print(report: dict[str, Any]) -> None:
    console = Console()
    drawn = report["random"]
    table = Table("rule", "exposed s", "GB", title=f"{drawn['instances']:,} random instances, means")
    for rule, seconds in drawn["mean_exposed_seconds"].items():
        table.add_row(rule, f"{seconds:.2f}", f"{drawn['mean_gigabytes'][rule]:.1f}")
    console.print(table)
    console.print(f"proven optimal: {drawn['proven_optimal']:,}; equal to brute force: "
                  f"{drawn['equal_to_brute_force']:,} of {drawn['compared_with_brute_force']:,} compared")  # fmt: skip
    rules = (rule.partition(" (")[0] for rule in report["presets"][0]["exposed_bytes"])
    table = Table("preset", "GiB", "shots", *rules, title="real presets: exposed seconds / GB")
    for row in report["presets"]:
        cells = (f"{seconds:.1f} / {nbytes / 1e9:.0f}" for seconds, nbytes in row["exposed_bytes"].values())
        table.add_row(row["preset"], str(row["gib"]), str(row["shots"]), *cells)
    console.print(table)
    trace = report["trace"]
    table = Table("rule", "exposed s", "GB", title=f"{trace['jobs']} jobs of changing presets in {trace['gib']} GiB")
    for rule, (seconds, nbytes) in trace["exposed_bytes"].items():
        table.add_row(rule, f"{seconds:.0f}", f"{nbytes / 1e9:.0f}")
    console.print(table)
    console.print({name: f"{ms:.1f} ms" for name, ms in report["plan_milliseconds"].items()})


if __name__ == "__main__":
    main()
