"""The controller's Prometheus metrics."""

from collections.abc import Callable

from facecore.metrics import LATENCY_BUCKETS_S
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from facecontroller.model import Counts, Outcome


class Metrics:
    """What the loop reports, registered in one registry."""

    def __init__(self, registry: CollectorRegistry, clock: Callable[[], float]) -> None:
        self._demand = Gauge("elastic_face_demand", "Requests waiting, in flight or delayed", registry=registry)
        self._desired = Gauge("elastic_face_instances_desired", "Instances wanted", registry=registry)
        self._active = Gauge(
            "elastic_face_instances_active", "Instances that run, boot or were asked for", registry=registry
        )
        self._owned = Gauge("elastic_face_instances_owned", "Instances that are not terminated", registry=registry)
        self._actions = Counter("elastic_face_actions", "Actions that EC2 accepted", ["action"], registry=registry)
        self._failures = Counter(
            "elastic_face_failures", "Observations and actions that failed", ["code"], registry=registry
        )
        self._tick = Histogram(
            "elastic_face_tick_seconds",
            "Time of one tick with its AWS calls",
            buckets=LATENCY_BUCKETS_S,
            registry=registry,
        )
        for action in ("start", "launch", "stop", "terminate"):
            self._actions.labels(action)
        self._observed_at = clock()
        Gauge(
            "elastic_face_observation_age_seconds", "Since the last good observation", registry=registry
        ).set_function(lambda: clock() - self._observed_at)

    def observed(self, counts: Counts, taken_at: float) -> None:
        """A good observation, taken at Unix time `taken_at`, and the figures decided on."""
        self._observed_at = taken_at
        self._demand.set(counts.demand)
        self._desired.set(counts.desired)
        self._active.set(counts.active)
        self._owned.set(counts.owned)

    def acted(self, outcome: Outcome) -> None:
        """An act's outcome."""
        self._actions.labels("start").inc(len(outcome.started))
        self._actions.labels("launch").inc(sum(1 for i in outcome.launched.values() if i is not None))
        self._actions.labels("stop").inc(len(outcome.stopped))
        self._actions.labels("terminate").inc(len(outcome.terminated))
        for failure in outcome.failures:
            self.failed(failure.code)

    def failed(self, code: str) -> None:
        """An observation or an action that failed."""
        self._failures.labels(code).inc()

    def ticked(self, seconds: float) -> None:
        """One tick took this long."""
        self._tick.observe(seconds)
