"""What scales in the simulation: the production controller, and three ways in which others scale from a queue."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from math import ceil
from typing import Protocol

import numpy as np
from facecontroller.cost import RunningCost
from facecontroller.estimates import Estimates
from facecontroller.fleet import Fleet
from facecontroller.lease import Lease
from facecontroller.loop import Controller
from facecontroller.memory import Memory
from facecontroller.metrics import Metrics
from facecontroller.model import Actions, Config, Goal, Order, State
from facecore.errors import FaceError
from facecore.queues import Queue
from prometheus_client import CollectorRegistry

from simulation.ec2 import USD_PER_HOUR
from simulation.traces import Trace


class Scaler(Protocol):
    """Looks and acts, once a second."""

    def tick(self) -> bool:
        """One round; returns whether it could look."""


@dataclass(frozen=True)
class Site:
    """What a scaler is given: a simulated queue, fleet and lease, on a virtual clock."""

    trace: Trace
    queue: Queue
    fleet: Fleet
    lease: Lease
    clock: Callable[[], float]


Make = Callable[[Site], Scaler]


def controller(site: Site, goal: Goal, estimates: Estimates | None = None) -> Controller:
    """The production controller."""
    config = Config(
        site.trace.max_instances,
        boot_timeout_s=300,
        reap_after_s=300,
        max_age_s=86_400,
        goal=goal,
        warm_pool=site.trace.max_instances,
        offerings=site.trace.offerings,
        limits=site.trace.limits,
    )
    return Controller(
        site.queue,
        site.fleet,
        config,
        Metrics(CollectorRegistry(), site.clock),
        site.clock,
        lease=site.lease,
        cost=RunningCost(USD_PER_HOUR),
        memory=Memory(estimates=estimates or Estimates()),
    )


class Baseline:
    """A way to scale that wants so many instances at set times, and knows nothing but the last look.

    It is given what these ways of scaling lack: our workers, which stop themselves, our stopped instances to start,
    and our way to launch. It differs in when it looks and what it counts.
    """

    def __init__(self, site: Site, every_s: float, wanted: Callable[[int, int, int], int]) -> None:
        self._site = site
        self._every_s, self._wanted = every_s, wanted
        self._next_at = 0.0
        self._launches = 0
        self._offering = 0

    def tick(self) -> bool:
        """See Scaler. It looks once a second in an outage too."""
        if self._site.clock() >= self._next_at:
            try:
                visible = self._site.queue.depth().visible
                # None of these ways wants an instance for what is in flight.
                if visible:
                    self._grow(visible)
            except FaceError:
                pass
        return True

    def _grow(self, visible: int) -> None:
        now, trace = self._site.clock(), self._site.trace
        instances = self._site.fleet.look(now).instances
        states = [i.state for i in instances]
        running = states.count(State.RUNNING)
        booting = states.count(State.PENDING)
        more = min(self._wanted(visible, running, booting), trace.max_instances - running - booting)
        if more <= 0:
            return
        self._next_at = now + self._every_s
        start = tuple(i.id for i in instances if i.state is State.STOPPED)[: min(more, 500)]
        count = min(more - len(start), trace.max_instances - len(states), 1000)
        offering = trace.offerings[self._offering % len(trace.offerings)]
        launch = Order(count, 1, offering, self._launches) if count > 0 else None
        outcome = self._site.fleet.act(Actions(start, launch), now)
        # Each launch has a number of its own, so that no two are one to EC2.
        self._launches += max(1, len(outcome.launched))
        self._offering += any(failure.capacity for failure in outcome.failures)


def visible_cooldown(site: Site) -> Scaler:
    """An instance for each visible message, then a cooldown of a minute."""
    return Baseline(site, 60.0, lambda visible, running, booting: visible - running - booting)


BACKLOG_PER_INSTANCE = 10
"""Messages that an instance may have waiting: ten seconds' work."""


class Polled(Baseline):
    """Looks once a period, whenever requests come."""

    def __init__(self, site: Site, period_s: float, wanted: Callable[[int, int, int], int]) -> None:
        super().__init__(site, 0.0, wanted)
        self._period_s = self._due_at = period_s

    def tick(self) -> bool:
        """See Scaler."""
        if self._site.clock() < self._due_at:
            return True
        self._due_at += self._period_s
        return super().tick()


def backlog_tracking(site: Site) -> Scaler:
    """Backlog per instance as a target, on metrics of 60 s: the managed way.

    https://docs.aws.amazon.com/autoscaling/ec2/userguide/as-using-sqs-queue.html
    """
    return Polled(site, 60.0, lambda visible, up, booting: ceil(visible / BACKLOG_PER_INSTANCE) - up - booting)


def queued_minus_running(site: Site) -> Scaler:
    """Queued messages minus running jobs at each poll of 30 s, as KEDA's ScaledJob does by default.

    https://keda.sh/docs/latest/reference/scaledjob-spec/
    """
    return Polled(site, 30.0, lambda visible, up, booting: visible - up - booting)


@cache
def estimated_before(service_s: float) -> Estimates:
    """What the controller has learned from a burst of the day before: without it, `frugal` is `demand`.

    That burst was a larger one, in good weather. A hundred requests teach little where a tenth of the counts are stale:
    from 0.3 to 0.7 s for requests of 0.5 s.
    """
    from simulation.traces import served_in, yesterday
    from simulation.world import World

    made: list[Controller] = []

    def make(site: Site) -> Scaler:
        made.append(controller(site, Goal.DEMAND))
        return made[-1]

    World(served_in(yesterday(np.random.default_rng(0)), service_s), make, 0).run(1000.0)
    return made[0].memory.estimates


POLICIES: dict[str, Make] = {
    "demand": lambda site: controller(site, Goal.DEMAND),
    "frugal": lambda site: controller(site, Goal.FRUGAL, estimated_before(site.trace.mean_service_s)),
    "visible-cooldown": visible_cooldown,
    "backlog-tracking": backlog_tracking,
    "queued-minus-running": queued_minus_running,
}
ORACLE = "oracle"
