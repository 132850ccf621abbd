"""What a service tells Prometheus: its queue, and what its workers have done since they were started."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from animatic import machine
from animatic.jobs import Jobs

STATUSES = ("queued", "in_progress", "waiting", "completed", "failed")


class Gauges:
    """Collected when they are asked for."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def text(self) -> bytes:
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        jobs = GaugeMetricFamily("animatic_jobs", "Jobs that are kept, by status.", labels=["status"])
        counts = self._jobs.counts()
        for status in STATUSES:
            jobs.add_metric([status], counts.get(status, 0))
        yield jobs
        yield GaugeMetricFamily(
            "animatic_server_memory_bytes", "Main memory of the HTTP process.", machine.used_bytes()
        )
        yield from self._workers()

    def _workers(self) -> Iterator[Metric]:
        gauge, counter = GaugeMetricFamily, CounterMetricFamily
        up = gauge("animatic_worker_up", "Whether a device's worker is alive.", labels=["device"])
        host = gauge("animatic_worker_memory_bytes", "Main memory of a worker.", labels=["device"])
        held = gauge("animatic_device_weights_bytes", "Device memory taken by weights.", labels=["device"])
        loaded = counter("animatic_loaded_bytes", "Bytes of weights that were loaded.", labels=["device"])
        hits = counter("animatic_hits", "Phases whose result was there already.", labels=["device"])
        clips = counter("animatic_clips", "Clips that were made.", labels=["device"])
        seconds = counter("animatic_phase_seconds", "Seconds of computing.", labels=["device", "phase"])
        phases = counter("animatic_phases", "Phases that were computed.", labels=["device", "phase"])
        for name, facts in self._jobs.workers().items():
            up.add_metric([name], float(facts["alive"]))
            host.add_metric([name], facts["host_bytes"])
            held.add_metric([name], facts["device_bytes"])
            loaded.add_metric([name], facts["loaded_bytes"])
            hits.add_metric([name], facts["hits"])
            clips.add_metric([name], facts["clips"])
            for phase, total in facts["seconds"].items():
                seconds.add_metric([name, phase], total)
                phases.add_metric([name, phase], facts["phases"][phase])
        yield from (up, host, held, loaded, hits, clips, seconds, phases)
