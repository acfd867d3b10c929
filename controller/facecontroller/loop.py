"""The loop: observe, decide, act, remember and log, once a second."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from facecore.errors import AwsError, FaceError
from facecore.logs import get_logger
from facecore.queues import Depth

from facecontroller.cost import RunningCost
from facecontroller.fleet import Fleet
from facecontroller.lease import Lease, NoLease
from facecontroller.memory import Memory, remember
from facecontroller.metrics import Metrics
from facecontroller.model import Config, Counts, Decision, Observation, Outcome
from facecontroller.policy import decide

MAX_DELAY_S = 5.0
"""Longest time between two ticks while AWS cannot be observed."""

CALLS_PER_TICK = 4
"""Calls to AWS in one tick, if those that look at the instances leave one for acting."""

log = get_logger(__name__)


class RequestQueue(Protocol):
    """Where the demand is read."""

    def depth(self) -> Depth:
        """The queue's depth; raises an error of `facecore.errors` where it is not known."""


class Controller:
    """Keeps the fleet as large as the queue asks for. It can be killed at any moment."""

    def __init__(
        self,
        queue: RequestQueue,
        fleet: Fleet,
        config: Config,
        metrics: Metrics,
        clock: Callable[[], float] = time.time,
        *,
        lease: Lease | None = None,
        cost: RunningCost | None = None,
    ) -> None:
        self._lease = lease or NoLease()
        self._cost = cost or RunningCost(0.0)
        self._queue = queue
        self._fleet = fleet
        self._config = config
        self._metrics = metrics
        self._clock = clock
        self._memory = Memory()
        self._leads = False
        self._reads = 0
        self._trouble = ""
        self._logged: tuple[int, int] = (0, 0)

    def tick(self) -> bool:
        """Observes, decides, acts and remembers once; returns whether the observation succeeded.

        Four calls to AWS at most while instances fit on a page and no call fails; what is left over is decided again
        a tick later. Where another controller has the lease, nothing is observed and nothing done.
        """
        ours, calls = self._lease.acquire()
        self._metrics.leading(ours)
        taken, self._leads = ours and not self._leads, ours
        if not ours:
            self._memory = Memory()
        if not ours or (taken and calls):
            return True
        observation = self._observe(refresh=calls == 0)
        before = self._memory
        decision = decide(observation, before, self._config, self._clock())
        self._memory = decision.memory
        if observation is not None and decision.counts is not None:
            self._metrics.observed(decision.counts, observation.taken_at)
            self._metrics.learned(before, decision.memory)
            self._metrics.ran(*self._cost.read(observation))
        self._act(replace(decision, actions=decision.actions.limited(max(1, CALLS_PER_TICK - calls - self._reads))))
        return observation is not None

    def _act(self, decision: Decision) -> None:
        self._log_decision(decision)
        if decision.actions:
            outcome = self._fleet.act(decision.actions, self._clock())
            self._memory = remember(decision.memory, outcome, self._clock())
            self._metrics.acted(outcome)
            _log_outcome(outcome)

    def release(self) -> None:
        """Lets another controller act at once; raises AWS errors.

        Not after a launch that EC2's answers may not show yet: then the next controller waits until the lease is over.
        """
        if not self._memory.launches:
            self._lease.release()

    def _observe(self, *, refresh: bool) -> Observation | None:
        now = self._clock()
        try:
            depth = self._queue.depth()
            view = self._fleet.look(now, refresh=refresh)
            self._reads = 1 + view.calls
        except FaceError as error:
            self._log_trouble(error)
            return None
        if self._trouble:
            log.info("observation_recovered", after=self._trouble)
            self._trouble = ""
        return Observation(now, depth.total, view.image, view.instances, depth.in_flight)

    def _log_trouble(self, error: FaceError) -> None:
        code = (isinstance(error, AwsError) and error.aws_code) or type(error).__name__
        self._metrics.failed(code)
        if code != self._trouble:
            log.error("observation_failed", code=code, error=str(error))
            self._trouble = code

    def _log_decision(self, decision: Decision) -> None:
        counts = decision.counts
        if counts is None:
            return
        changed = (counts.demand, counts.desired) != self._logged
        self._logged = (counts.demand, counts.desired)
        # A name that is put right is no news.
        write = log.info if changed or replace(decision.actions, rename=None) else log.debug
        write("decision", reason=decision.reason, **_figures(counts), **_actions(decision))


class Heartbeat:
    """A file whose modification time says that the loop lives."""

    def __init__(self, path: str) -> None:
        self._path = Path(path) if path else None

    def beat(self) -> None:
        """Touches the file; raises OSError where that is not possible."""
        if self._path is not None:
            self._path.touch()


class Pace:
    """When the next tick is due: a fixed rhythm without drift, slower while AWS cannot be observed."""

    def __init__(self, tick_s: float, started_at: float) -> None:
        self._tick_s = tick_s
        self._due_at = started_at
        self._failures = 0

    def wait_s(self, succeeded: bool, now: float) -> float:
        """Seconds from `now` to the next tick. `now` and `started_at` are of one monotonic clock."""
        self._failures = 0 if succeeded else min(self._failures + 1, 10)
        delay_s = self._tick_s
        if self._failures:
            delay_s = max(self._tick_s, min(self._tick_s * 2.0**self._failures, MAX_DELAY_S))
        # A tick that took too long is not made up for.
        self._due_at = max(self._due_at + delay_s, now)
        return self._due_at - now


def run(
    controller: Controller,
    metrics: Metrics,
    tick_s: float,
    heartbeat: Heartbeat,
    *,
    sleep: Callable[[float], object] = time.sleep,
    monotonic: Callable[[], float] = time.monotonic,
) -> None:
    """Ticks until something raises out of a tick or out of `sleep`: the program's end is a signal."""
    pace = Pace(tick_s, monotonic())
    while True:
        began = monotonic()
        succeeded = controller.tick()
        metrics.ticked(monotonic() - began)
        heartbeat.beat()
        sleep(pace.wait_s(succeeded, monotonic()))


def _figures(counts: Counts) -> dict[str, int]:
    return {
        "demand": counts.demand,
        "desired": counts.desired,
        "active": counts.active,
        "owned": counts.owned,
    }


def _actions(decision: Decision) -> dict[str, object]:
    actions = decision.actions
    named = {
        "start": actions.start,
        "stop": actions.stop,
        "terminate": actions.terminate,
        "launch": actions.launch and {"count": actions.launch.count, "offering": actions.launch.offering.key},
        "rename": actions.rename and {actions.rename.id: actions.rename.number},
    }
    return {name: what for name, what in named.items() if what}


def _log_outcome(outcome: Outcome) -> None:
    """One line for each kind of failure; what failed is left alone for a while, so that lines stay few."""
    for action, code in sorted({(failure.action, failure.code) for failure in outcome.failures}):
        alike = [f for f in outcome.failures if (f.action, f.code) == (action, code)]
        log.warning("action_failed", action=action, code=code, targets=[f.target for f in alike], error=alike[0].text)
