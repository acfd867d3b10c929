"""The controller's Prometheus metrics."""

from collections.abc import Callable

from facecore.metrics import LATENCY_BUCKETS_S
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from facecontroller.memory import Memory
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
        for action in ("start", "launch", "stop", "terminate", "rename"):
            self._actions.labels(action)
        self._leader = Gauge(
            "elastic_face_leader", "1 where this controller acts, 0 where it stands by", registry=registry
        )
        self._cold = Histogram(
            "elastic_face_cold_start_seconds",
            "From the first demand to the first request in a worker's hand, by phase: ask, run, work",
            ["phase"],
            buckets=LATENCY_BUCKETS_S,
            registry=registry,
        )
        self._measured = Gauge(
            "elastic_face_measured_seconds", "What a request and a boot take, as measured", ["what"], registry=registry
        )
        self._running_s = Counter("elastic_face_instance_seconds", "Seconds that instances ran", registry=registry)
        self._cost = Counter(
            "elastic_face_estimated_cost_usd",
            "Price of those seconds, a minute at least for each start",
            registry=registry,
        )
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
        self._actions.labels("launch").inc(len(outcome.launched_ids))
        self._actions.labels("stop").inc(len(outcome.stopped))
        self._actions.labels("terminate").inc(len(outcome.terminated))
        self._actions.labels("rename").inc(outcome.renamed is not None)
        for failure in outcome.failures:
            self.failed(failure.code)

    def leading(self, leads: bool) -> None:
        """Whether this controller acts."""
        self._leader.set(leads)

    def learned(self, before: Memory, after: Memory) -> None:
        """What is known after a tick; a cold start that ended in it is counted."""
        for what, seconds in (("service", after.estimates.service_s), ("boot", after.estimates.boot_s)):
            if seconds is not None:
                self._measured.labels(what).set(seconds)
        cold = after.cold
        if cold is None or before.cold is None or before.cold.working_at is not None or cold.asked_at is None:
            return
        if cold.working_at is not None and cold.running_at is not None:
            self._cold.labels("ask").observe(max(0.0, cold.asked_at - cold.demand_at))
            self._cold.labels("run").observe(max(0.0, cold.running_at - cold.asked_at))
            self._cold.labels("work").observe(max(0.0, cold.working_at - cold.running_at))

    def ran(self, seconds: float, cost_usd: float) -> None:
        """Instances ran for so long in sum, at that price."""
        self._running_s.inc(seconds)
        self._cost.inc(cost_usd)

    def failed(self, code: str) -> None:
        """An observation or an action that failed."""
        self._failures.labels(code).inc()

    def ticked(self, seconds: float) -> None:
        """One tick took this long."""
        self._tick.observe(seconds)
