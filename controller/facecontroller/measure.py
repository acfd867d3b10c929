"""What the controller learns of the workers by watching the queue and its own starts: service time and boot time."""

from dataclasses import replace

from facecontroller.model import Observation, State
from facecontroller.remembered import ColdStart, Measured, Memory, Sample

FADE_ABOVE = 200.0
"""Requests after which what was measured before counts half."""
MAX_GAP_S = 30.0
"""Longest time between two samples that is still taken for one stretch."""
ARRIVALS_KEPT = 30
"""Samples whose arrivals are remembered: about a boot's length."""
QUIET_S = 60.0
"""Without demand for so long, a period of demand is over though nobody was seen at work."""
_BOOT_SHARE = 0.5
"""How much the latest boot counts against those before."""


def learned(memory: Memory, observation: Observation | None) -> Measured:
    """What is known after this observation; None where it failed or is old.

    Service time follows from Little's law (https://en.wikipedia.org/wiki/Little%27s_law): seconds in hand over requests
    that left. Requests that come and go between two samples hide each other, so that it errs upwards.
    """
    known = memory.measured
    if observation is None:
        return known
    last = memory.sample
    known = _with_arrivals(known, last, observation)
    if last is not None and 0 < observation.taken_at - last.at <= MAX_GAP_S and last.in_flight > 0:
        known = replace(
            known,
            busy_s=known.busy_s + last.in_flight * (observation.taken_at - last.at),
            done=known.done + max(0, last.demand - observation.demand),
        )
        if known.done > FADE_ABOVE:
            known = replace(known, busy_s=known.busy_s / 2, done=known.done / 2)
    boot_s = _boot_s(memory.cold, observation)
    if boot_s is None:
        return known
    former_s = boot_s if known.boot_s is None else known.boot_s
    return replace(known, boot_s=_BOOT_SHARE * boot_s + (1 - _BOOT_SHARE) * former_s)


def _with_arrivals(known: Measured, last: Sample | None, observation: Observation) -> Measured:
    """What came since the last sample: what there is more of, and what has been done meanwhile."""
    if last is None or not 0 < observation.taken_at - last.at <= MAX_GAP_S or known.service_s is None:
        return known
    passed_s = observation.taken_at - last.at
    done = last.in_flight * passed_s / max(known.service_s, passed_s / 10)
    came = max(0.0, observation.demand - last.demand + done)
    return replace(known, arrivals=(*known.arrivals, came / passed_s)[-ARRIVALS_KEPT:])


def of_cold_start(cold: ColdStart | None, observation: Observation, quiet_s: float) -> ColdStart | None:
    """The present period of demand after this observation; None where there is no demand.

    `quiet_s` is for how long there was none: while somebody boots, a single zero means nothing.
    """
    at = observation.taken_at
    runs = any(i.state is State.RUNNING for i in observation.instances)
    if observation.demand == 0:
        return cold if cold is not None and cold.working_at is None and quiet_s < QUIET_S else None
    if cold is None:
        # Somebody is there already: nothing that follows tells how long a boot takes.
        warm = at if runs or observation.in_flight else None
        return ColdStart(at, None, warm, warm)
    if cold.running_at is None and runs:
        cold = replace(cold, running_at=at)
    if cold.working_at is None and observation.in_flight:
        cold = replace(cold, working_at=at, running_at=cold.running_at or at)
    return cold


def asked(cold: ColdStart | None, now: float) -> ColdStart | None:
    """The present period of demand after EC2 accepted a start or launch."""
    if cold is None or cold.asked_at is not None or cold.working_at is not None:
        return cold
    return replace(cold, asked_at=now)


def _boot_s(cold: ColdStart | None, observation: Observation) -> float | None:
    if cold is None or cold.asked_at is None or cold.working_at is not None or not observation.in_flight:
        return None
    return max(0.0, observation.taken_at - cold.asked_at)
