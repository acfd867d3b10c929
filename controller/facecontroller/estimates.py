"""What the controller learns by watching, and what it expects: service time, boot time, and when work will be done."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from statistics import median

from facecontroller.model import STALE_AFTER_S, Observation, State

SLACK = 1.2
"""How much longer than with every instance the wait may be. The project's own bound: p99 no worse than 1.2 times."""
ENOUGH_DONE = 5.0
"""Requests from which a service time is known."""
FADE_ABOVE = 200.0
"""Requests after which what was measured before counts half."""
SAMPLES_KEPT = 6
"""Two that something happened between, and two on either side to check them by."""
RESOLVED = 4
"""Most requests that a worker is credited with between two looks: requests that came and went unseen are many."""
ARRIVALS_KEPT = 30
"""Samples whose arrivals are remembered: about a boot's length."""
BOOTS_KEPT = 5
"""Cold starts whose boots are remembered: two of five may hang without moving the median."""
QUIET_S = 60.0
"""Without demand for so long, a period of demand is over although no worker was seen."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One good look at the queue."""

    at: float
    demand: int
    in_flight: int


@dataclass(frozen=True, slots=True)
class ColdStart:
    """A period of demand that began without a running instance. Unix times in seconds; None means not yet."""

    demand_at: float
    asked_at: float | None = None
    """When EC2 accepted the first start or launch."""
    running_at: float | None = None
    """When the first instance was seen running."""
    working_at: float | None = None
    """When the first request was seen in flight."""


@dataclass(frozen=True, slots=True)
class Estimates:
    """What the controller has learned of the workers. A time is None while too little has been seen."""

    busy_s: float = 0.0
    """Seconds that requests were in flight, summed over the workers; old ones fade."""
    done: float = 0.0
    """Requests that left the queue meanwhile."""
    boots_s: tuple[float, ...] = ()
    """Seconds from asking for instances to the first request in flight, of the last cold starts."""
    arrivals: tuple[float, ...] = ()
    """Requests that came a second, between each two of the last samples."""

    @property
    def service_s(self) -> float | None:
        """Seconds that a worker holds one request, by Little's law: the mean of in flight over throughput."""
        return self.busy_s / self.done if self.done >= ENOUGH_DONE else None

    @property
    def boot_s(self) -> float | None:
        """Seconds that a boot takes: the median, so that one that hung does not count."""
        return median(self.boots_s) if self.boots_s else None

    @property
    def rate(self) -> float:
        """Requests that steadily come a second: the median, so that a burst is not extrapolated."""
        return median(self.arrivals) if self.arrivals else 0.0


def add_sample(samples: tuple[Sample, ...], observation: Observation | None) -> tuple[Sample, ...]:
    """The last good samples with this one; None if it failed or is old. A gap starts a new row."""
    if observation is None:
        return ()
    sample = Sample(observation.taken_at, observation.demand, observation.in_flight)
    if samples and not 0 < sample.at - samples[-1].at <= STALE_AFTER_S:
        return (sample,)
    return (*samples, sample)[-SAMPLES_KEPT:]


def add_work(known: Estimates, samples: tuple[Sample, ...]) -> Estimates:
    """The estimates of service time and arrivals after the last of `samples`.

    Service time follows from Little's law (https://en.wikipedia.org/wiki/Little%27s_law): seconds in flight over
    requests that left. Requests that come while others leave hide those, so that it errs upwards.
    """
    if len(samples) < SAMPLES_KEPT:
        return known
    last, here = _checked(samples[:-1]), _checked(samples[1:])
    passed_s = here.at - last.at
    if known.service_s is not None:
        # What there is more of, and what has been done meanwhile.
        gone = last.in_flight * passed_s / max(known.service_s, passed_s / RESOLVED)
        came = max(0.0, here.demand - last.demand + gone)
        known = replace(known, arrivals=(*known.arrivals, came / passed_s)[-ARRIVALS_KEPT:])
    in_flight = (last.in_flight + here.in_flight) / 2
    done = min(max(0, last.demand - here.demand), in_flight * RESOLVED)
    busy_s, done = known.busy_s + in_flight * passed_s, known.done + done
    # Old requests fade, so that a new model or machine is noticed.
    fade = 2 if done > FADE_ABOVE else 1
    return replace(known, busy_s=busy_s / fade, done=done / fade)


def add_boot(
    known: Estimates, before: ColdStart | None, after: ColdStart | None, samples: Sequence[Sample]
) -> Estimates:
    """The estimates with the boot of a cold start whose first request has just been seen in flight."""
    if before is None or before.working_at is not None or after is None or after.working_at is None:
        return known
    # After a gap in the samples it is unknown for how long that request has been in flight.
    if before.asked_at is None or len(samples) == 1:
        return known
    boot_s = max(0.0, after.working_at - before.asked_at)
    return replace(known, boots_s=(*known.boots_s, boot_s)[-BOOTS_KEPT:])


def follow_cold_start(cold: ColdStart | None, observation: Observation, quiet_s: float) -> ColdStart | None:
    """The present period of demand after this observation; None without demand. It has been quiet for `quiet_s`."""
    at = observation.taken_at
    runs = any(i.state is State.RUNNING for i in observation.instances)
    if observation.demand == 0:
        # During a boot a single zero means nothing. Later it may mean that the work was done between two looks.
        return cold if cold is not None and cold.running_at is None and quiet_s < QUIET_S else None
    if cold is None:
        # An instance runs already: nothing that follows tells how long a boot takes.
        warm = at if runs else None
        return ColdStart(at, None, warm, warm)
    if cold.running_at is None and runs:
        cold = replace(cold, running_at=at)
    # Without a running instance, requests in flight are a count of long ago.
    if cold.working_at is None and observation.in_flight and runs:
        cold = replace(cold, working_at=at)
    return cold


def mark_asked(cold: ColdStart | None, now: float) -> ColdStart | None:
    """The present period of demand after EC2 accepted a start or launch."""
    if cold is None or cold.asked_at is not None or cold.working_at is not None:
        return cold
    return replace(cold, asked_at=now)


def additional(demand: float, ready_s: Sequence[float], boot_s: float, service_s: float, limit: int) -> int:
    """The fewest new instances with which `demand` requests are done within SLACK of the shortest time.

    `ready_s` has, for each active instance, the seconds until it takes requests; `boot_s` and `service_s` are the
    estimated times; at most `limit` new instances are allowed.
    """
    if limit <= 0:
        return 0
    ready = sorted(ready_s)
    work_s = max(1, demand) * service_s
    within_s = SLACK * finish_s(work_s, ready, boot_s, service_s, limit)
    # More instances never take longer, so that the fewest can be searched by halves.
    return bisect_left(
        range(limit), True, key=lambda more: finish_s(work_s, ready, boot_s, service_s, more) <= within_s
    )


def finish_s(work_s: float, ready: Sequence[float], boot_s: float, service_s: float, more: int) -> float:
    """Seconds until `work_s` seconds of work are done by the sorted `ready` and `more` that come after `boot_s`.

    Infinite without an instance. The work is divisible in this model, but the last request takes its whole time.
    """
    times = [*ready[: (place := bisect_left(ready, boot_s))], *[boot_s] * more, *ready[place:]]
    finish = float("inf")
    for count, total in enumerate(accumulate(times), 1):
        # With the first `count` of them at work; later ones only matter if they come before the end.
        finish = (work_s + total) / count
        if count == len(times) or finish <= times[count]:
            break
    return max(finish, (min(times) if times else 0.0) + service_s)


def _checked(samples: Sequence[Sample]) -> Sample:
    """The sample in the middle, or what those around it say if it is an outlier: SQS's counts err now and then.

    In a tick about as many requests leave as are in flight; a larger change counts once the next samples show it.
    """
    sample = samples[len(samples) // 2]
    demand, in_flight = median(s.demand for s in samples), median(s.in_flight for s in samples)
    if abs(sample.demand - demand) <= max(1, in_flight):
        return sample
    return Sample(sample.at, int(demand), int(in_flight))
