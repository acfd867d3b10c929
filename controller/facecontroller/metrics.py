"""The controller's Prometheus metrics, `elastic_face_controller_...`."""

from collections.abc import Callable
from functools import partial

from facecore.metrics import LATENCY_BUCKETS_S
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from facecontroller.memory import Memory
from facecontroller.model import Counts, Outcome


class Metrics:
    """What the loop reports, registered in one registry."""

    def __init__(self, registry: CollectorRegistry, clock: Callable[[], float]) -> None:
        gauge, counter = partial(Gauge, registry=registry), partial(Counter, registry=registry)
        histogram = partial(Histogram, registry=registry, buckets=LATENCY_BUCKETS_S)
        self._leader = gauge("elastic_face_controller_leader", "1 while this controller holds the lease, else 0")
        self._demand = gauge("elastic_face_controller_demand", "Requests waiting, in flight or delayed")
        self._desired = gauge("elastic_face_controller_instances_desired", "Instances wanted")
        self._active = gauge("elastic_face_controller_instances_active", "Instances that run, boot or were asked for")
        self._owned = gauge("elastic_face_controller_instances_owned", "Instances that are not terminated")
        self._actions = counter("elastic_face_controller_actions", "Actions that EC2 accepted", ["action"])
        self._failures = counter("elastic_face_controller_failures", "Observations and actions that failed", ["code"])
        self._tick = histogram("elastic_face_controller_tick_seconds", "Time of one tick with its AWS calls")
        self._cold_start = histogram(
            "elastic_face_controller_cold_start_seconds",
            "From the first demand to the first request in flight, by phase: ask, run, work",
            ["phase"],
        )
        self._estimates = gauge("elastic_face_controller_estimated_seconds", "What a request and a boot take", ["what"])
        self._running_s = counter("elastic_face_controller_instance_seconds", "Seconds that instances ran")
        self._cost = counter(
            "elastic_face_controller_estimated_cost_usd", "Price of those seconds, a minute at least for each start"
        )
        self._observed_at = clock()
        # Read at the scrape: a loop that hangs sets no gauge.
        age = gauge("elastic_face_controller_observation_age_seconds", "Since the last good observation")
        age.set_function(lambda: clock() - self._observed_at)
        # A counter without labels yet would be missing from a scrape until its first action.
        for action in ("start", "launch", "stop", "terminate", "rename"):
            self._actions.labels(action)

    def leading(self, leads: bool) -> None:
        """Whether this controller acts."""
        self._leader.set(leads)

    def observed(self, counts: Counts, taken_at: float) -> None:
        """A good observation, taken at Unix time `taken_at`, and the figures decided on."""
        self._observed_at = taken_at
        self._demand.set(counts.demand)
        self._desired.set(counts.desired)
        self._active.set(counts.active)
        self._owned.set(counts.owned)

    def recalled(self, before: Memory, after: Memory) -> None:
        """The estimates after an observation; a cold start that ended with it is counted."""
        for what, seconds in (("service", after.estimates.service_s), ("boot", after.estimates.boot_s)):
            if seconds is not None:
                self._estimates.labels(what).set(seconds)
        cold = after.cold
        if cold is None or before.cold is None or before.cold.working_at is not None or cold.asked_at is None:
            return
        if cold.working_at is not None and cold.running_at is not None:
            self._cold_start.labels("ask").observe(max(0.0, cold.asked_at - cold.demand_at))
            self._cold_start.labels("run").observe(max(0.0, cold.running_at - cold.asked_at))
            self._cold_start.labels("work").observe(max(0.0, cold.working_at - cold.running_at))

    def ran(self, seconds: float, cost_usd: float) -> None:
        """Instances ran for so long, summed, at that price."""
        self._running_s.inc(seconds)
        self._cost.inc(cost_usd)

    def acted(self, outcome: Outcome) -> None:
        """An act's outcome."""
        self._actions.labels("start").inc(len(outcome.started))
        self._actions.labels("launch").inc(len(outcome.launched_ids))
        self._actions.labels("stop").inc(len(outcome.stopped))
        self._actions.labels("terminate").inc(len(outcome.terminated))
        self._actions.labels("rename").inc(outcome.renamed is not None)
        for failure in outcome.failures:
            self.failed(failure.code)

    def failed(self, code: str) -> None:
        """An observation or an action that failed."""
        self._failures.labels(code).inc()

    def ticked(self, seconds: float) -> None:
        """The duration of one tick."""
        self._tick.observe(seconds)
