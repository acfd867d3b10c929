"""What is kept from tick to tick: pure functions that forget, and that add an act's outcome."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

from facecontroller.estimates import ColdStart, Estimates, Sample, asked, booted, learned, of_cold_start, sampled
from facecontroller.model import LAUNCH, RENAME, Launch, Observation, Outcome, State
from facecontroller.throttle import Allowance

UNSEEN_FOR_S = 60.0
"""How long an action counts though EC2's answers do not show it. ELASTICITY.md: forgotten after 60 s."""
STALE_AFTER_S = 30.0
"""Age from which an observation is old, and gap that breaks a row of samples. ELASTICITY.md: over 30 s."""
MAX_BACKOFF_S = 30.0
"""Longest time for which something that failed is left alone, unless for want of machines."""
CAPACITY_BACKOFF_S = 180.0
"""How long an offering without machines is skipped. ELASTICITY.md, rule 8: 3 minutes."""
RESTART_PAUSE_S = 30.0
"""Pause before the second start that no work followed; it doubles with each further one."""
MAX_RESTART_PAUSE_S = 900.0
FAILED_STARTS_KEPT_S = 3600.0

K = TypeVar("K")


@dataclass(frozen=True, slots=True)
class Backoff:
    """Something that failed and is left alone for a while."""

    failures: int
    """How often in a row."""
    until: float
    """Unix time in seconds."""
    capacity: bool = False
    """Whether it failed for want of machines."""


@dataclass(frozen=True, slots=True)
class FailedStarts:
    """How often an instance was started since any worker was last seen at work."""

    count: int
    last_at: float


@dataclass(frozen=True, slots=True)
class Memory:
    """What the controller remembers between two ticks. It is advisory: losing it is safe.

    It bridges the time until EC2's answers show what was asked for; marks expire by themselves.
    """

    starts: Mapping[str, float] = field(default_factory=dict)
    """Instance id → when it was started, until it is seen in another state than stopped."""
    launches: tuple[Launch, ...] = ()
    """The launches of the last minute."""
    stops: Mapping[str, float] = field(default_factory=dict)
    """Instance id → when it was stopped, until it is seen to stop."""
    terminations: Mapping[str, float] = field(default_factory=dict)
    """Instance id → when it was terminated."""
    backoffs: Mapping[str, Backoff] = field(default_factory=dict)
    """Instance id, an offering's key or `LAUNCH` → what failed on it."""
    names: Mapping[str, tuple[int, float]] = field(default_factory=dict)
    """Instance id → the number it was given, and when."""
    failed_starts: Mapping[str, FailedStarts] = field(default_factory=dict)
    """Instance id → its starts that no work followed."""
    allowances: Mapping[str, Allowance] = field(default_factory=dict)
    """"start" and "launch" → what EC2 still takes of them."""
    estimates: Estimates = field(default_factory=Estimates)
    samples: tuple[Sample, ...] = ()
    """The last good ones of one stretch, oldest first."""
    cold: ColdStart | None = None
    """The present period of demand; None without demand."""
    zero_since: float | None = None
    """When the first of the latest unbroken row of samples with zero demand was taken."""
    sampled_at: float | None = None
    """When the last sample of that row was taken."""


def recall(memory: Memory, observation: Observation | None, now: float) -> Memory:
    """The memory without what has expired or has been seen to happen, and with this sample of the demand.

    `observation` is None where it failed. `now` is Unix time in seconds.
    """
    states = {} if observation is None else {i.id: i.state for i in observation.instances}
    zero_since, sampled_at = _zero_row(memory, observation, now)
    good = None if observation is None or is_old(observation, now) else observation
    samples = sampled(memory.samples, good)
    cold = memory.cold if good is None else of_cold_start(memory.cold, good, _quiet_s(good, zero_since))
    return Memory(
        # A second start of a running instance does no harm, so one sight of it is enough.
        starts={i: at for i, at in _recent(memory.starts, now).items() if states.get(i) in (None, State.STOPPED)},
        # A second launch would cost, and EC2's answers may lose an instance again: kept for the whole time.
        launches=tuple(launch for launch in memory.launches if _is_recent(launch.asked_at, now)),
        stops={
            i: at
            for i, at in _recent(memory.stops, now).items()
            if states.get(i) in (None, State.PENDING, State.RUNNING)
        },
        terminations=_recent(memory.terminations, now),
        backoffs={k: h for k, h in memory.backoffs.items() if -UNSEEN_FOR_S < h.until - now <= CAPACITY_BACKOFF_S},
        names={i: name for i, name in memory.names.items() if _is_recent(name[1], now)},
        failed_starts=_failed_starts(memory, observation, now),
        allowances=memory.allowances,
        estimates=booted(learned(memory.estimates, samples), memory.cold, cold, samples),
        samples=samples,
        cold=cold,
        zero_since=zero_since,
        sampled_at=sampled_at,
    )


def remember(memory: Memory, outcome: Outcome, now: float) -> Memory:
    """The memory with an act's outcome added. `now` is Unix time in seconds."""
    stops = {i: at for i, at in memory.stops.items() if i not in outcome.started}
    new = (*outcome.started, *outcome.launched_ids)
    return replace(
        memory,
        starts={**memory.starts, **dict.fromkeys(outcome.started, now)},
        launches=(*memory.launches, *outcome.launched),
        stops={**stops, **dict.fromkeys(outcome.stopped, now)},
        terminations={**memory.terminations, **dict.fromkeys(outcome.terminated, now)},
        backoffs=_backoffs(memory.backoffs, outcome, now),
        names={**memory.names, **({outcome.renamed.id: (outcome.renamed.number, now)} if outcome.renamed else {})},
        failed_starts={**memory.failed_starts, **{i: _one_more(memory.failed_starts.get(i), now) for i in new}},
        cold=asked(memory.cold, now) if new or outcome.launched else memory.cold,
    )


def is_old(observation: Observation, now: float) -> bool:
    """Whether too much may have changed since the observation to take anything away."""
    return abs(now - observation.taken_at) > STALE_AFTER_S


def is_backed_off(boots: FailedStarts | None, now: float) -> bool:
    """Whether an instance has started in vain so often that it is left alone for now."""
    if boots is None or boots.count < 2:  # noqa: PLR2004 - the first start of a row may be bad luck
        return False
    pause_s = min(RESTART_PAUSE_S * 2.0 ** (min(boots.count, 10) - 1), MAX_RESTART_PAUSE_S)
    return abs(now - boots.last_at) < pause_s


def unseen(launch: Launch, ids: Mapping[str, object], tokens: Mapping[str, int], memory: Memory) -> int:
    """How many instances of a launch EC2's answer does not show: `ids` and, by client token, counts it does show."""
    if launch.ids is None:
        return max(0, launch.count - tokens.get(launch.client_token, 0))
    return sum(1 for i in launch.ids if i not in ids and i not in memory.terminations)


def _quiet_s(observation: Observation, zero_since: float | None) -> float:
    return 0.0 if zero_since is None else observation.taken_at - zero_since


def _failed_starts(memory: Memory, observation: Observation | None, now: float) -> dict[str, FailedStarts]:
    if observation is not None and observation.in_flight > 0:
        return {}
    return {i: b for i, b in memory.failed_starts.items() if abs(now - b.last_at) < FAILED_STARTS_KEPT_S}


def _one_more(boots: FailedStarts | None, now: float) -> FailedStarts:
    return FailedStarts(1 if boots is None else boots.count + 1, now)


def _zero_row(memory: Memory, observation: Observation | None, now: float) -> tuple[float | None, float | None]:
    if observation is None or is_old(observation, now) or observation.demand > 0:
        return None, None
    taken_at = observation.taken_at
    since, last = memory.zero_since, memory.sampled_at
    if since is None or last is None or not 0 <= taken_at - last <= STALE_AFTER_S:
        return taken_at, taken_at
    return since, taken_at


def _backoffs(backoffs: Mapping[str, Backoff], outcome: Outcome, now: float) -> dict[str, Backoff]:
    succeeded = {*outcome.started, *outcome.stopped, *outcome.terminated}
    if outcome.launched:
        succeeded.add(LAUNCH)
    if outcome.renamed:
        succeeded.add(RENAME)
    kept = {key: hold for key, hold in backoffs.items() if key not in succeeded}
    failed = {failure.target: failure.capacity for failure in outcome.failures}
    return kept | {key: _longer(kept.get(key), capacity, now) for key, capacity in failed.items()}


def _longer(hold: Backoff | None, capacity: bool, now: float) -> Backoff:
    failures = 1 if hold is None else hold.failures + 1
    # The exponent is bounded so that a long row of failures cannot make a huge number.
    pause_s = CAPACITY_BACKOFF_S if capacity else min(2.0 ** min(failures, 10), MAX_BACKOFF_S)
    return Backoff(failures, now + pause_s, capacity)


def _recent(marks: Mapping[K, float], now: float) -> dict[K, float]:
    return {key: at for key, at in marks.items() if _is_recent(at, now)}


def _is_recent(at: float, now: float) -> bool:
    # A clock that was set back must not make a mark last.
    return abs(now - at) < UNSEEN_FOR_S
