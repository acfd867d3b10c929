"""The loop: observe, recall, decide, limit, act and remember, once a second."""

import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

from facecore.errors import AwsError, FaceError
from facecore.logs import get_logger
from facecore.queues import Queue

from facecontroller.cost import RunningCost
from facecontroller.fleet import Fleet
from facecontroller.lease import Lease, NoLease
from facecontroller.memory import Memory, recall, remember
from facecontroller.metrics import Metrics
from facecontroller.model import Actions, Config, Decision, Observation, Outcome
from facecontroller.policy import decide

MAX_DELAY_S = 5.0
"""Longest time between two ticks while AWS cannot be observed."""

CALLS_PER_TICK = 4
"""Calls to AWS in one tick, if those that look at the instances leave one for acting."""

log = get_logger(__name__)


class Controller:
    """Keeps the fleet as large as the queue asks for. It can be killed at any moment.

    `memory` is what it knows at first; nothing, unless another is given.
    """

    def __init__(
        self,
        queue: Queue,
        fleet: Fleet,
        config: Config,
        metrics: Metrics,
        clock: Callable[[], float] = time.time,
        *,
        lease: Lease | None = None,
        cost: RunningCost | None = None,
        memory: Memory | None = None,
    ) -> None:
        self._queue = queue
        self._fleet = fleet
        self._config = config
        self._metrics = metrics
        self._clock = clock
        self._lease = lease or NoLease()
        self._cost = cost or RunningCost(0.0)
        self._memory = memory or Memory()
        self._leads = False
        self._trouble = ""
        self._logged: tuple[int, int] = (0, 0)

    @property
    def memory(self) -> Memory:
        """What it knows after the last tick."""
        return self._memory

    def tick(self) -> bool:
        """Observes, decides, acts and remembers once; returns whether the observation succeeded.

        Four calls to AWS at most while instances fit on a page and no call fails. While another controller has the
        lease, nothing is observed and nothing done.
        """
        leads, lease_calls = self._lease.acquire()
        self._metrics.leading(leads)
        took_over, self._leads = leads and not self._leads, leads
        if not leads:
            # Another controller may act now: what this one remembers would mislead a later tick.
            self._memory = Memory()
        # Taking the lease costs up to three calls, and leaves too few to observe and act.
        if not leads or (took_over and lease_calls):
            return True
        observation, reads = self._observe(refresh=lease_calls == 0)
        memory = recall(self._memory, observation, self._clock())
        decision = decide(observation, memory, self._config, self._clock())
        # What is left out is decided again a second later.
        actions = decision.actions.limited(max(1, CALLS_PER_TICK - lease_calls - reads))
        self._report(observation, memory, decision, actions)
        outcome = self._fleet.act(actions, self._clock()) if actions else Outcome()
        self._memory = remember(memory, actions, outcome, self._config.limits, self._clock())
        self._metrics.acted(outcome)
        _log_failures(outcome)
        return observation is not None

    def release(self) -> None:
        """Lets another controller act at once; raises AWS errors.

        Not after a launch that EC2's answers may not show yet: then the next controller waits until the lease is over.
        """
        if not self._memory.launches:
            self._lease.release()

    def _observe(self, *, refresh: bool) -> tuple[Observation | None, int]:
        """The observation, None if it failed, and how many calls to AWS it took."""
        now = self._clock()
        try:
            depth = self._queue.depth()
            view = self._fleet.look(now, refresh=refresh)
        except FaceError as error:
            code = (isinstance(error, AwsError) and error.aws_code) or type(error).__name__
            self._metrics.failed(code)
            # An outage is logged when it begins and when it ends, not at every tick.
            if code != self._trouble:
                log.error("observation_failed", code=code, error=str(error))
                self._trouble = code
            # How many calls were made before the failure does not matter: nothing is decided.
            return None, CALLS_PER_TICK
        if self._trouble:
            log.info("observation_recovered", after=self._trouble)
            self._trouble = ""
        return Observation(now, depth.total, view.image, view.instances, depth.in_flight), 1 + view.calls

    def _report(self, observation: Observation | None, memory: Memory, decision: Decision, actions: Actions) -> None:
        """Metrics and a log line of a decision, before it is carried out: the program may be killed in between."""
        counts = decision.counts
        if observation is None or counts is None:
            return
        self._metrics.observed(counts, observation.taken_at)
        self._metrics.recalled(self._memory, memory)
        self._metrics.ran(*self._cost.add(observation))
        changed = (counts.demand, counts.desired) != self._logged
        self._logged = (counts.demand, counts.desired)
        # A new name alone is no news.
        write = log.info if changed or replace(actions, rename=None) else log.debug
        write("decision", reason=decision.reason, **asdict(counts), **actions.fields())


class Heartbeat:
    """A file whose modification time says that the loop lives."""

    def __init__(self, path: str) -> None:
        self._path = Path(path) if path else None

    def beat(self) -> None:
        """Touches the file, if there is one; raises OSError if that is not possible."""
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
        # Ticks that a long one left no time for are skipped, not caught up with.
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
    """Ticks until something raises out of a tick or out of `sleep`: a signal ends the program."""
    pace = Pace(tick_s, monotonic())
    while True:
        began = monotonic()
        succeeded = controller.tick()
        metrics.ticked(monotonic() - began)
        heartbeat.beat()
        sleep(pace.wait_s(succeeded, monotonic()))


def _log_failures(outcome: Outcome) -> None:
    # One line for each kind of failure: a thousand instances can fail for one reason.
    for action, code in sorted({(failure.action, failure.code) for failure in outcome.failures}):
        alike = [f for f in outcome.failures if (f.action, f.code) == (action, code)]
        log.warning("action_failed", action=action, code=code, targets=[f.target for f in alike], error=alike[0].text)
