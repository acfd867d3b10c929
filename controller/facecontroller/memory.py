"""What is kept from tick to tick: pure functions that forget, and that add an act's outcome."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TypeVar

from facecontroller.measure import asked, booted, learned, of_cold_start, sampled
from facecontroller.model import LAUNCH, RENAME, Observation, Outcome, State
from facecontroller.remembered import Boots, Hold, Launch, Memory

UNSEEN_FOR_S = 60.0
"""How long an action counts though EC2's answers do not show it. ELASTICITY.md: forgotten after 60 s."""
STALE_AFTER_S = 30.0
"""Age from which an observation is old, and gap that breaks a row of samples. ELASTICITY.md: over 30 s."""
MAX_HOLD_S = 30.0
"""Longest time for which something that failed is left alone, unless for want of machines."""
CAPACITY_HOLD_S = 180.0
"""How long an offering without machines is skipped. ELASTICITY.md, rule 8: 3 minutes."""
REBOOT_AFTER_S = 30.0
"""Pause before the second start that no work followed; it doubles with each further one."""
MAX_REBOOT_PAUSE_S = 900.0
BOOTS_KEPT_S = 3600.0

K = TypeVar("K")


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
        holds={k: h for k, h in memory.holds.items() if -UNSEEN_FOR_S < h.until - now <= CAPACITY_HOLD_S},
        names={i: name for i, name in memory.names.items() if _is_recent(name[1], now)},
        boots=_boots(memory, observation, now),
        tokens=memory.tokens,
        measured=booted(learned(memory.measured, samples), memory.cold, cold, samples),
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
        holds=_holds(memory.holds, outcome, now),
        names={**memory.names, **({outcome.renamed.id: (outcome.renamed.number, now)} if outcome.renamed else {})},
        boots={**memory.boots, **{i: _one_more(memory.boots.get(i), now) for i in new}},
        cold=asked(memory.cold, now) if new or outcome.launched else memory.cold,
    )


def is_old(observation: Observation, now: float) -> bool:
    """Whether too much may have changed since the observation to take anything away."""
    return abs(now - observation.taken_at) > STALE_AFTER_S


def rests(boots: Boots | None, now: float) -> bool:
    """Whether an instance has started in vain so often that it is left alone for now."""
    if boots is None or boots.count < 2:  # noqa: PLR2004 - the first start of a row may be bad luck
        return False
    pause_s = min(REBOOT_AFTER_S * 2.0 ** (min(boots.count, 10) - 1), MAX_REBOOT_PAUSE_S)
    return abs(now - boots.last_at) < pause_s


def unseen(launch: Launch, ids: Mapping[str, object], tokens: Mapping[str, int], memory: Memory) -> int:
    """How many instances of a launch EC2's answer does not show: `ids` and, by client token, counts it does show."""
    if launch.ids is None:
        return max(0, launch.count - tokens.get(launch.token, 0))
    return sum(1 for i in launch.ids if i not in ids and i not in memory.terminations)


def _quiet_s(observation: Observation, zero_since: float | None) -> float:
    return 0.0 if zero_since is None else observation.taken_at - zero_since


def _boots(memory: Memory, observation: Observation | None, now: float) -> dict[str, Boots]:
    if observation is not None and observation.in_flight > 0:
        return {}
    return {i: b for i, b in memory.boots.items() if abs(now - b.last_at) < BOOTS_KEPT_S}


def _one_more(boots: Boots | None, now: float) -> Boots:
    return Boots(1 if boots is None else boots.count + 1, now)


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
    if outcome.renamed:
        succeeded.add(RENAME)
    kept = {key: hold for key, hold in holds.items() if key not in succeeded}
    failed = {failure.target: failure.capacity for failure in outcome.failures}
    return kept | {key: _longer(kept.get(key), capacity, now) for key, capacity in failed.items()}


def _longer(hold: Hold | None, capacity: bool, now: float) -> Hold:
    failures = 1 if hold is None else hold.failures + 1
    # The exponent is bounded so that a long row of failures cannot make a huge number.
    pause_s = CAPACITY_HOLD_S if capacity else min(2.0 ** min(failures, 10), MAX_HOLD_S)
    return Hold(failures, now + pause_s, capacity)


def _recent(marks: Mapping[K, float], now: float) -> dict[K, float]:
    return {key: at for key, at in marks.items() if _is_recent(at, now)}


def _is_recent(at: float, now: float) -> bool:
    # A clock that was set back must not make a mark last.
    return abs(now - at) < UNSEEN_FOR_S
