"""How a service holds up: many jobs, many clients, and processes that die.

    python -m bench.service                       # both parts
    python -m bench.service --jobs 2000 --clients 200 --seconds 60 --kills 20

Part one: a queue of jobs, clients that poll and clients that listen, while a worker makes clips with pocket: how long a
retrieve takes, and what the HTTP process takes of main memory as time goes on. Part two: jobs are made while the server
or its worker is killed by SIGKILL at random moments: whether every job gets its clip, once.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

from bench import report
from tests.services import FEW, Served, served

RAMP = 5.0
"""Seconds within which the clients come."""
P99_GOAL, MEMORY_GOAL = 0.050, 150 * 2**20
PROMPTS = ("a red boat sails", "a white cat jumps in a meadow", "a green bird at night", "a blue car in a city")


@dataclass
class Load:
    """What the clients see."""

    retrieves: list[float] = field(default_factory=list)
    refused: int = 0
    heard: int = 0
    memory: list[int] = field(default_factory=list)


async def polls(client: httpx2.AsyncClient, ids: list[str], load: Load, number: int, end: float) -> None:
    chance, every = random.Random(number), 1.0
    await asyncio.sleep(chance.random() * RAMP)
    while (begun := time.perf_counter()) < end:
        answer = await client.get(f"/v1/videos/{chance.choice(ids)}")
        load.retrieves.append(time.perf_counter() - begun)
        load.refused += answer.status_code != 200
        await asyncio.sleep(max(0.0, every - (time.perf_counter() - begun)))


async def listens(client: httpx2.AsyncClient, name: str, load: Load, number: int) -> None:
    await asyncio.sleep(random.Random(number).random() * RAMP)
    async with client.stream("GET", f"/v1/videos/{name}/events") as answer:
        async for line in answer.aiter_lines():
            load.heard += line.startswith("event:")


async def crowd(service: Served, ids: list[str], clients: int, seconds: float) -> Load:
    """Half of the clients poll, each once a second; half listen to a job each, those of the first jobs among them."""
    load = Load()
    limits = httpx2.Limits(max_connections=clients + 8, max_keepalive_connections=clients + 8)
    async with httpx2.AsyncClient(base_url=service.url, timeout=60, limits=limits, trust_env=False) as client:
        end = time.perf_counter() + seconds
        polling = [asyncio.create_task(polls(client, ids, load, n, end)) for n in range(clients // 2)]
        listening = [asyncio.create_task(listens(client, ids[n], load, n)) for n in range(clients // 2)]
        while time.perf_counter() < end:
            load.memory.append(service.memory())
            await asyncio.sleep(1.0)
        await asyncio.gather(*polling)
        for task in listening:
            task.cancel()
        await asyncio.gather(*listening, return_exceptions=True)
    return load


def wishes(count: int, seed: int = 0) -> Iterator[dict[str, Any]]:
    for number in range(count):
        yield {"prompt": PROMPTS[number % len(PROMPTS)], "seed": seed + number, **FEW}


def crowded(folder: Path, jobs: int, clients: int, seconds: float) -> dict[str, Any]:
    with served(folder) as service, service.client() as client:
        empty = service.memory()
        begun = time.perf_counter()
        ids = [client.post("/v1/videos", json=wish).json()["id"] for wish in wishes(jobs)]
        creating = time.perf_counter() - begun
        load = asyncio.run(crowd(service, ids, clients, seconds))
        made = sum(video["status"] == "completed" for video in listed(client))
    times = sorted(load.retrieves)
    third = len(load.memory) // 3
    return {
        "jobs": jobs,
        "clients": clients,
        "seconds": seconds,
        "create_ms": round(creating / jobs * 1000, 2),
        "retrieves": len(times),
        "not_answered": load.refused,
        "retrieve_ms": {
            "p50": round(times[len(times) // 2] * 1000, 2),
            "p99": round(times[int(len(times) * 0.99)] * 1000, 2),
            "most": round(times[-1] * 1000, 2),
        },
        "events_heard": load.heard,
        "clips_made_meanwhile": made,
        "http_memory_mib": {
            "before": empty >> 20,
            "first_third": int(statistics.median(load.memory[:third])) >> 20,
            "last_third": int(statistics.median(load.memory[-third:])) >> 20,
            "most": max(load.memory) >> 20,
        },
        "goals": {"p99_ms": P99_GOAL * 1000, "http_memory_mib": MEMORY_GOAL >> 20},
    }


def listed(client: httpx2.Client) -> Iterator[dict[str, Any]]:
    after: dict[str, str] = {}
    while True:
        page = client.get("/v1/videos", params={"limit": "100", "order": "asc", **after}).json()
        yield from page["data"]
        if not page["has_more"]:
            return
        after = {"after": page["last_id"]}


def killed(folder: Path, jobs: int, kills: int, seed: int) -> dict[str, Any]:
    """Jobs are created and made while processes die; then all are waited for."""
    chance = random.Random(seed)
    ids: list[str] = []
    begun = time.perf_counter()
    victims = {"server": 0, "worker": 0}
    coming = wishes(jobs, seed=10_000)
    with served(folder) as service:
        while sum(victims.values()) < kills:
            _create_some(service, ids, coming, chance.randint(1, 4))
            time.sleep(chance.uniform(0.3, 9.0))
            if chance.random() < 0.5 and (pids := service.workers()):
                os.kill(pids[0], signal.SIGKILL)
                victims["worker"] += 1
            else:
                service.stop()
                service.start()
                victims["server"] += 1
        _create_some(service, ids, coming, jobs)
        with service.client() as client:
            while any(video["status"] in ("queued", "in_progress") for video in listed(client)):
                time.sleep(1.0)
            videos = list(listed(client))
            whole = sum(client.get(f"/v1/videos/{one['id']}/content").content[4:8] == b"ftyp"
                        for one in videos if one["status"] == "completed")  # fmt: skip
    return {
        "jobs": len(ids),
        "kills": victims,
        "seconds": round(time.perf_counter() - begun, 1),
        "lost": len(set(ids) - {video["id"] for video in videos}),
        "twice": len(videos) - len(set(ids)),
        "completed": sum(video["status"] == "completed" for video in videos),
        "with_their_film": whole,
        "failed": [video["error"] for video in videos if video["status"] == "failed"],
    }


def _create_some(service: Served, ids: list[str], coming: Iterator[dict[str, Any]], count: int) -> None:
    with service.client() as client:
        for _ in range(count):
            if (wish := next(coming, None)) is not None:
                ids.append(client.post("/v1/videos", json=wish).json()["id"])


def folder() -> tempfile.TemporaryDirectory[str]:
    """One that goes in the end, also where a worker that is about to end writes into it still."""
    return tempfile.TemporaryDirectory(ignore_cleanup_errors=True)


def table(crowd: dict[str, Any], deaths: dict[str, Any]) -> str:
    times, memory = crowd["retrieve_ms"], crowd["http_memory_mib"]
    rows = [
        ("jobs in the queue, clients", f"{crowd['jobs']:,}, {crowd['clients']}"),
        ("creating a job", f"{crowd['create_ms']} ms"),
        ("retrieve: p50, p99, most (goal: p99 50 ms)", f"{times['p50']}, {times['p99']}, {times['most']} ms"),
        ("retrieves, not answered", f"{crowd['retrieves']:,}, {crowd['not_answered']}"),
        ("HTTP process: before, first third, last third, most (goal: 150 MiB)",
         f"{memory['before']}, {memory['first_third']}, {memory['last_third']}, {memory['most']} MiB"),
        ("clips made meanwhile", str(crowd["clips_made_meanwhile"])),
        ("killed: server, worker", f"{deaths['kills']['server']}, {deaths['kills']['worker']}"),
        ("jobs: created, lost, twice", f"{deaths['jobs']}, {deaths['lost']}, {deaths['twice']}"),
        ("completed, with their film, failed",
         f"{deaths['completed']}, {deaths['with_their_film']}, {len(deaths['failed'])}"),
    ]  # fmt: skip
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=2000)
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--killed-jobs", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    with folder() as one, folder() as other:
        crowd = crowded(Path(one), given.jobs, given.clients, given.seconds)
        print(crowd, flush=True)
        deaths = killed(Path(other), given.killed_jobs, given.kills, given.seed)
    print(table(crowd, deaths))
    command = f"python -m bench.service {' '.join(sys.argv[1:])}".rstrip()
    print(report.write("service", command, {"crowd": crowd, "killed": deaths}))


if __name__ == "__main__":
    main()
