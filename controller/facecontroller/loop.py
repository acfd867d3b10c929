"""The loop: observe, decide, act, remember and log, once a second."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from facecore.errors import AwsError, FaceError
from facecore.logs import get_logger
from facecore.queues import Depth

from facecontroller.fleet import Fleet
from facecontroller.memory import remember
from facecontroller.metrics import Metrics
from facecontroller.model import Config, Counts, Decision, Memory, Observation, Outcome
from facecontroller.policy import decide

MAX_DELAY_S = 5.0
"""Longest time between two ticks while AWS cannot be observed."""

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
    ) -> None:
        self._queue = queue
        self._fleet = fleet
        self._config = config
        self._metrics = metrics
        self._clock = clock
        self._memory = Memory()
        self._trouble = ""
        self._logged: tuple[int, int] = (0, 0)

    def tick(self) -> bool:
        """Observes, decides, acts and remembers once; returns whether the observation succeeded."""
        observation = self._observe()
        decision = decide(observation, self._memory, self._config, self._clock())
        self._memory = decision.memory
        self._log_decision(decision)
        if observation is not None and decision.counts is not None:
            self._metrics.observed(decision.counts, observation.taken_at)
        if decision.actions:
            outcome = self._fleet.act(decision.actions, self._clock())
            self._memory = remember(decision.memory, outcome, self._clock())
            self._metrics.acted(outcome)
            _log_outcome(outcome)
        return observation is not None

    def _observe(self) -> Observation | None:
        now = self._clock()
        try:
            demand = self._queue.depth().total
            view = self._fleet.look(now)
        except FaceError as error:
            self._log_trouble(error)
            return None
        if self._trouble:
            log.info("observation_recovered", after=self._trouble)
            self._trouble = ""
        return Observation(now, demand, view.image, view.instances)

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
        write = log.info if changed or decision.actions else log.debug
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
        "launch": actions.launch,
        "stop": actions.stop,
        "terminate": actions.terminate,
    }
    return {name: ids for name, ids in named.items() if ids}


def _log_outcome(outcome: Outcome) -> None:
    """One line for each kind of failure; what failed is left alone for a while, so that lines stay few."""
    for action, code in sorted({(failure.action, failure.code) for failure in outcome.failures}):
        alike = [f for f in outcome.failures if (f.action, f.code) == (action, code)]
        log.warning("action_failed", action=action, code=code, targets=[f.target for f in alike], error=alike[0].text)
