"""The worker's Prometheus metrics."""

from collections.abc import Mapping

from facecore.metrics import LATENCY_BUCKETS_S
from prometheus_client import CollectorRegistry, Counter, Histogram


class Metrics:
    """Counts requests by how they ended, and times their phases."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._answered = Counter(
            "elastic_face_worker_answered", "Requests answered, by the kind of answer", ["kind"], registry=registry
        )
        self._left = Counter(
            "elastic_face_worker_left", "Requests left in the queue, by the error", ["error"], registry=registry
        )
        self._phases = Histogram(
            "elastic_face_worker_phase_seconds",
            "Time that a request spent, by phase",
            ["phase"],
            buckets=LATENCY_BUCKETS_S,
            registry=registry,
        )

    def answered(self, kind: str, timings: Mapping[str, float]) -> None:
        """One request was answered; `timings` are seconds by phase."""
        self._answered.labels(kind).inc()
        for phase, duration_s in timings.items():
            self._phases.labels(phase).observe(duration_s)

    def left(self, error: Exception) -> None:
        """One message was left in the queue because of `error`."""
        self._left.labels(type(error).__name__).inc()
