"""What is kept from tick to tick: pure functions that forget, and that add an act's outcome."""

from collections.abc import Mapping
from dataclasses import replace

from facecontroller.model import LAUNCH, Failure, Hold, Launch, Memory, Observation, Outcome, State

UNSEEN_FOR_S = 60.0
"""How long an action counts though EC2's answers do not show it. ELASTICITY.md: forgotten after 60 s."""
STALE_AFTER_S = 30.0
"""Age from which an observation is old, and gap that breaks a row of samples. ELASTICITY.md: over 30 s."""
MAX_HOLD_S = 30.0
"""Longest time for which something that failed is left alone."""


def recall(memory: Memory, observation: Observation | None, now: float) -> Memory:
    """The memory without what has expired or has been seen to happen, and with this sample of the demand.

    `observation` is None where it failed. `now` is Unix time in seconds.
    """
    states = {} if observation is None else {i.id: i.state for i in observation.instances}
    zero_since, sampled_at = _zero_row(memory, observation, now)
    return Memory(
        # A second start of a running instance does no harm, so one sight of it is enough.
        starts={i: at for i, at in _recent(memory.starts, now).items() if states.get(i) in (None, State.STOPPED)},
        # A second launch would cost, and EC2's answers may lose an instance again: kept for the whole time.
        launches={n: launch for n, launch in memory.launches.items() if _is_recent(launch.asked_at, now)},
        stops={
            i: at
            for i, at in _recent(memory.stops, now).items()
            if states.get(i) in (None, State.PENDING, State.RUNNING)
        },
        terminations=_recent(memory.terminations, now),
        holds={k: h for k, h in memory.holds.items() if -UNSEEN_FOR_S < h.until - now <= MAX_HOLD_S},
        zero_since=zero_since,
        sampled_at=sampled_at,
    )


def remember(memory: Memory, outcome: Outcome, now: float) -> Memory:
    """The memory with an act's outcome added. `now` is Unix time in seconds."""
    stops = {i: at for i, at in memory.stops.items() if i not in outcome.started}
    return replace(
        memory,
        starts={**memory.starts, **dict.fromkeys(outcome.started, now)},
        launches={**memory.launches, **{n: Launch(now, i) for n, i in outcome.launched.items()}},
        stops={**stops, **dict.fromkeys(outcome.stopped, now)},
        terminations={**memory.terminations, **dict.fromkeys(outcome.terminated, now)},
        holds=_holds(memory.holds, outcome, now),
    )


def is_old(observation: Observation, now: float) -> bool:
    """Whether too much may have changed since the observation to take anything away."""
    return abs(now - observation.taken_at) > STALE_AFTER_S


def _zero_row(memory: Memory, observation: Observation | None, now: float) -> tuple[float | None, float | None]:
    if observation is None or is_old(observation, now) or observation.demand > 0:
        return None, None
    taken_at = observation.taken_at
    since, last = memory.zero_since, memory.sampled_at
    if since is None or last is None or not 0 <= taken_at - last <= STALE_AFTER_S:
        return taken_at, taken_at
    return since, taken_at


def _holds(holds: Mapping[str, Hold], outcome: Outcome, now: float) -> dict[str, Hold]:
    succeeded = {*outcome.started, *outcome.stopped, *outcome.terminated}
    if outcome.launched:
        succeeded.add(LAUNCH)
    kept = {key: hold for key, hold in holds.items() if key not in succeeded}
    failed: dict[str, Failure] = {failure.target: failure for failure in outcome.failures}
    return kept | {key: _longer(kept.get(key), now) for key in failed}


def _longer(hold: Hold | None, now: float) -> Hold:
    failures = 1 if hold is None else hold.failures + 1
    # The exponent is bounded so that a long row of failures cannot make a huge number.
    return Hold(failures, now + min(2.0 ** min(failures, 10), MAX_HOLD_S))


def _recent(marks: Mapping[str, float], now: float) -> dict[str, float]:
    return {key: at for key, at in marks.items() if _is_recent(at, now)}


def _is_recent(at: float, now: float) -> bool:
    # A clock that was set back must not make a mark last.
    return abs(now - at) < UNSEEN_FOR_S
