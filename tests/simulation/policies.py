"""What decides in the simulation: production's `decide`, and three ways that others scale from a queue."""

from collections.abc import Callable
from functools import cache
from math import ceil
from typing import Protocol

import numpy as np
from facecontroller.estimates import Estimates
from facecontroller.memory import Memory, recall, remember
from facecontroller.model import Actions, Config, Goal, Observation, Order, Outcome, State
from facecontroller.policy import decide

from simulation.traces import Trace


class Policy(Protocol):
    """Decides once a second."""

    def decide(self, observation: Observation | None, now: float) -> Actions:
        """What to do; `observation` is None where it failed."""

    def done(self, outcome: Outcome, now: float) -> None:
        """What became of it."""


class Production:
    """The controller's own policy with its memory."""

    def __init__(self, trace: Trace, goal: Goal, measured: Estimates | None = None) -> None:
        self._config = Config(
            trace.max_instances,
            boot_timeout_s=300,
            reap_after_s=300,
            max_age_s=86_400,
            goal=goal,
            warm_pool=trace.max_instances,
            offerings=trace.offerings,
            limits=trace.limits,
        )
        self.memory = Memory(estimates=measured or Estimates())

    def decide(self, observation: Observation | None, now: float) -> Actions:
        """See Policy."""
        self.memory = recall(self.memory, observation, now)
        self._attempted = decide(observation, self.memory, self._config, now).actions
        return self._attempted

    def done(self, outcome: Outcome, now: float) -> None:
        """See Policy."""
        self.memory = remember(self.memory, self._attempted, outcome, self._config.limits, now)


class Baseline:
    """A policy that wants so many instances at set times, and knows nothing but the last look.

    It is given what these ways of scaling lack: our workers, which stop themselves, our stopped instances to start,
    and our way to launch. It differs in when it looks and what it counts.
    """

    def __init__(self, trace: Trace, every_s: float, wanted: Callable[[int, int, int], int]) -> None:
        self._max, self._offerings = trace.max_instances, trace.offerings
        self._every_s, self._wanted = every_s, wanted
        self._next_at = 0.0
        self._launches = 0
        self._offering = 0

    def decide(self, observation: Observation | None, now: float) -> Actions:
        """See Policy."""
        if observation is None or now < self._next_at:
            return Actions()
        states = [i.state for i in observation.instances]
        running = states.count(State.RUNNING)
        booting = states.count(State.PENDING)
        more = self._wanted(observation.demand - observation.in_flight, running, booting)
        more = min(more, self._max - running - booting)
        if more <= 0:
            return Actions()
        self._next_at = now + self._every_s
        start = tuple(i.id for i in observation.instances if i.state is State.STOPPED)[: min(more, 500)]
        count = min(more - len(start), self._max - len(states), 1000)
        self._launches += 1
        offering = self._offerings[self._offering % len(self._offerings)]
        return Actions(start, Order(count, 1, offering, self._launches) if count > 0 else None)

    def done(self, outcome: Outcome, now: float) -> None:
        """See Policy."""
        self._offering += any(failure.capacity for failure in outcome.failures)


def visible_cooldown(trace: Trace) -> Policy:
    """An instance for each visible message, then a cooldown of a minute."""
    return Baseline(trace, 60.0, lambda visible, running, booting: visible - running - booting)


BACKLOG_PER_INSTANCE = 10
"""Messages that an instance may have waiting: ten seconds' work."""


class Polled(Baseline):
    """Looks once a period, whenever requests come."""

    def __init__(self, trace: Trace, period_s: float, wanted: Callable[[int, int, int], int]) -> None:
        super().__init__(trace, 0.0, wanted)
        self._period_s = self._due_at = period_s

    def decide(self, observation: Observation | None, now: float) -> Actions:
        """See Policy."""
        if now < self._due_at:
            return Actions()
        self._due_at += self._period_s
        return super().decide(observation, now)


def backlog_tracking(trace: Trace) -> Policy:
    """Backlog per instance as a target, on metrics of 60 s: the managed way.

    https://docs.aws.amazon.com/autoscaling/ec2/userguide/as-using-sqs-queue.html
    """
    return Polled(trace, 60.0, lambda visible, up, booting: ceil(visible / BACKLOG_PER_INSTANCE) - up - booting)


def queued_minus_running(trace: Trace) -> Policy:
    """Queued messages minus running jobs at each poll of 30 s, as KEDA's ScaledJob does by default.

    https://keda.sh/docs/latest/reference/scaledjob-spec/
    """
    return Polled(trace, 30.0, lambda visible, up, booting: visible - up - booting)


@cache
def measured_before(service_s: float) -> Estimates:
    """What the controller has learned from a burst of the day before: before that, `frugal` is `demand`."""
    from simulation.traces import burst, served_in
    from simulation.world import World

    made: list[Production] = []

    def make(trace: Trace) -> Policy:
        made.append(Production(trace, Goal.DEMAND))
        return made[-1]

    World(served_in(burst(np.random.default_rng(0)), service_s), make, 0).run(1000.0)
    return made[0].memory.estimates


POLICIES: dict[str, Callable[[Trace], Policy]] = {
    "demand": lambda trace: Production(trace, Goal.DEMAND),
    "frugal": lambda trace: Production(trace, Goal.FRUGAL, measured_before(trace.mean_service_s)),
    "visible-cooldown": visible_cooldown,
    "backlog-tracking": backlog_tracking,
    "queued-minus-running": queued_minus_running,
}
ORACLE = "oracle"
