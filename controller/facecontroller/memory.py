"""What the controller remembers from tick to tick: `recall` forgets and samples, `remember` adds what was done."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from facecontroller.estimates import (
    ColdStart,
    Estimates,
    Sample,
    add_boot,
    add_sample,
    add_work,
    follow_cold_start,
    mark_asked,
)
from facecontroller.model import (
    LAUNCH,
    RENAME,
    STALE_AFTER_S,
    Actions,
    Instance,
    Launch,
    Observation,
    Outcome,
    State,
)
from facecontroller.throttle import Allowance, Limits, spent

UNSEEN_FOR_S = 60.0
"""How long an action counts although EC2's answers do not show it."""
MAX_BACKOFF_S = 30.0
"""Longest backoff, unless EC2 is out of capacity."""
CAPACITY_BACKOFF_S = 180.0
"""How long an offering that is out of capacity is skipped."""
RESTART_PAUSE_S = 30.0
"""Pause before the second start that no work followed; it doubles with each further one."""
MAX_RESTART_PAUSE_S = 900.0
FAILED_STARTS_KEPT_S = 3600.0

K = TypeVar("K")


@dataclass(frozen=True, slots=True)
class Backoff:
    """Something that failed and is not tried again for a while."""

    failures: int
    """How often in a row."""
    until: float
    """Unix time in seconds."""
    capacity: bool = False
    """Whether it failed because EC2 is out of capacity."""


@dataclass(frozen=True, slots=True)
class FailedStarts:
    """How often an instance was started since a worker was last seen at work."""

    count: int
    last_at: float

    def backs_off(self, now: float) -> bool:
        """Whether the instance is not started again for now."""
        if self.count < 2:  # noqa: PLR2004 - the first failed start may be bad luck
            return False
        pause_s = min(RESTART_PAUSE_S * 2.0 ** (min(self.count, 10) - 1), MAX_RESTART_PAUSE_S)
        return abs(now - self.last_at) < pause_s


@dataclass(frozen=True, slots=True)
class Memory:
    """What the controller remembers between two ticks. It is advisory: losing it is safe.

    It bridges the time until EC2's answers show what was asked for. Its marks expire.
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
    """By instance id, offering's key, `LAUNCH` or `RENAME`."""
    names: Mapping[str, tuple[int, float]] = field(default_factory=dict)
    """Instance id → the number that it was given, and when."""
    failed_starts: Mapping[str, FailedStarts] = field(default_factory=dict)
    """By instance id."""
    allowances: Mapping[str, Allowance] = field(default_factory=dict)
    """By operation: "start" and "launch"."""
    estimates: Estimates = field(default_factory=Estimates)
    samples: tuple[Sample, ...] = ()
    """The last good ones without a gap, oldest first."""
    cold: ColdStart | None = None
    """The present period of demand; None without demand."""
    zero_since: float | None = None
    """When the first of the latest unbroken row of samples with zero demand was taken."""
    sampled_at: float | None = None
    """When the last sample of that row was taken."""

    def hidden(self, instances: Sequence[Instance]) -> int:
        """How many launched instances EC2's answer `instances` does not show."""
        ids = {i.id for i in instances} | self.terminations.keys()
        # A launch whose answer was lost is recognised by its client token.
        shown = Counter(i.client_token for i in instances)
        return sum(
            max(0, launch.count - shown[launch.client_token])
            if launch.ids is None
            else sum(1 for i in launch.ids if i not in ids)
            for launch in self.launches
        )

    def number(self, instance: Instance) -> int | None:
        """An instance's number: the one that it was given a moment ago, or that of its name."""
        return self.names[instance.id][0] if instance.id in self.names else instance.number

    def quiet_s(self, at: float) -> float:
        """For how long there has been no demand at `at`."""
        return 0.0 if self.zero_since is None else at - self.zero_since


def recall(memory: Memory, observation: Observation | None, now: float) -> Memory:
    """The memory without what has expired or has been seen to happen, and with this sample of the demand.

    `observation` is None if it failed. `now` is Unix time in seconds.
    """
    states = {} if observation is None else {i.id: i.state for i in observation.instances}
    # Nothing is learned from an old observation: its demand is not that of now.
    good = None if observation is None or observation.is_old(now) else observation
    zero_since, sampled_at = _zero_row(memory, good)
    recalled = replace(
        memory,
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
        # Kept for a while after its end, so that a further failure counts as one in a row.
        backoffs={k: b for k, b in memory.backoffs.items() if -UNSEEN_FOR_S < b.until - now <= CAPACITY_BACKOFF_S},
        names={i: name for i, name in memory.names.items() if _is_recent(name[1], now)},
        failed_starts={i: f for i, f in memory.failed_starts.items() if abs(now - f.last_at) < FAILED_STARTS_KEPT_S},
        samples=add_sample(memory.samples, good),
        zero_since=zero_since,
        sampled_at=sampled_at,
    )
    # A request in flight proves that starts lead to work.
    if observation is not None and observation.in_flight > 0:
        recalled = replace(recalled, failed_starts={})
    if good is None:
        return recalled
    cold = follow_cold_start(memory.cold, good, recalled.quiet_s(good.taken_at))
    estimates = add_boot(add_work(memory.estimates, recalled.samples), memory.cold, cold, recalled.samples)
    return replace(recalled, cold=cold, estimates=estimates)


def remember(memory: Memory, attempted: Actions, outcome: Outcome, limits: Limits, now: float) -> Memory:
    """The memory with what was attempted and what became of it. `now` is Unix time in seconds."""
    # Every start counts as failed until a request is seen in flight.
    failed_starts = dict(memory.failed_starts)
    for i in (*outcome.started, *outcome.launched_ids):
        failed_starts[i] = FailedStarts(failed_starts[i].count + 1 if i in failed_starts else 1, now)
    # EC2's buckets pay for what it was asked for, whether it succeeded or not; what was only decided costs nothing.
    allowances = spent(memory.allowances, "start", len(attempted.start), now, limits)
    if attempted.launch:
        allowances = spent(allowances, "launch", attempted.launch.count, now, limits)
    return replace(
        memory,
        # Only what EC2 accepted: a start that failed must not count as capacity.
        starts={**memory.starts, **dict.fromkeys(outcome.started, now)},
        launches=(*memory.launches, *outcome.launched),
        # A stop that was overtaken by a start is over.
        stops={
            **{i: at for i, at in memory.stops.items() if i not in outcome.started},
            **dict.fromkeys(outcome.stopped, now),
        },
        terminations={**memory.terminations, **dict.fromkeys(outcome.terminated, now)},
        backoffs=_backoffs(memory.backoffs, outcome, now),
        names={**memory.names, **({outcome.renamed.id: (outcome.renamed.number, now)} if outcome.renamed else {})},
        failed_starts=failed_starts,
        allowances=allowances,
        cold=mark_asked(memory.cold, now) if outcome.started or outcome.launched else memory.cold,
    )


def _zero_row(memory: Memory, good: Observation | None) -> tuple[float | None, float | None]:
    """When the row of samples without demand began and when its last sample was taken. Any gap ends the row."""
    # SQS's counts err: a single zero means nothing, and neither does a row with a gap.
    if good is None or good.demand > 0:
        return None, None
    since, last = memory.zero_since, memory.sampled_at
    if since is None or last is None or not 0 <= good.taken_at - last <= STALE_AFTER_S:
        return good.taken_at, good.taken_at
    return since, good.taken_at


def _backoffs(backoffs: Mapping[str, Backoff], outcome: Outcome, now: float) -> dict[str, Backoff]:
    """The backoffs without those that a success ended, and with those of the failures."""
    succeeded = {*outcome.started, *outcome.stopped, *outcome.terminated}
    if outcome.launched:
        succeeded.add(LAUNCH)
    if outcome.renamed:
        succeeded.add(RENAME)
    kept = {key: backoff for key, backoff in backoffs.items() if key not in succeeded}
    failed = {}
    for failure in outcome.failures:
        count = 1 + (kept[failure.target].failures if failure.target in kept else 0)
        # The exponent is bounded so that a long row of failures cannot make a huge number.
        pause_s = CAPACITY_BACKOFF_S if failure.capacity else min(2.0 ** min(count, 10), MAX_BACKOFF_S)
        failed[failure.target] = Backoff(count, now + pause_s, failure.capacity)
    return kept | failed


def _recent(marks: Mapping[K, float], now: float) -> dict[K, float]:
    return {key: at for key, at in marks.items() if _is_recent(at, now)}


def _is_recent(at: float, now: float) -> bool:
    # A clock that was set back must not make a mark last.
    return abs(now - at) < UNSEEN_FOR_S
