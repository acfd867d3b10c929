"""What the controller learns of the workers by watching the queue and its own starts: service time and boot time."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median

from facecontroller.model import Observation, State

FADE_ABOVE = 200.0
"""Requests after which what was measured before counts half."""
MAX_GAP_S = 30.0
"""Longest time between two samples that is still taken for one stretch."""
SAMPLES_KEPT = 6
"""Two that something happened between, and two on either side to believe them by."""
RESOLVED = 4
"""Requests that a worker is believed to do between two looks: hands that were full and empty again were not seen."""
ARRIVALS_KEPT = 30
"""Samples whose arrivals are remembered: about a boot's length."""
BOOTS_KEPT = 5
"""Cold starts whose boots are remembered: two of five may have hung without being taken for the usual."""
QUIET_S = 60.0
"""Without demand for so long, a period of demand is over though nobody was seen at work."""
ENOUGH_DONE = 5.0
"""Requests from which a service time is known."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One good look at the queue."""

    at: float
    demand: int
    in_flight: int


@dataclass(frozen=True, slots=True)
class ColdStart:
    """A period of demand that began with nobody at work, by phase. Unix times in seconds; None is not yet."""

    demand_at: float
    asked_at: float | None = None
    """When EC2 accepted the first start or launch."""
    running_at: float | None = None
    """When the first instance was seen to run."""
    working_at: float | None = None
    """When the first request was seen in hand."""


@dataclass(frozen=True, slots=True)
class Estimates:
    """What the controller has learned of the workers by watching; None and zero are not yet known."""

    busy_s: float = 0.0
    """Seconds that requests were in hand, summed over the workers; old ones fade."""
    done: float = 0.0
    """Requests that left the queue meanwhile."""
    boots_s: tuple[float, ...] = ()
    """Seconds from asking for instances to the first request in hand, of the last cold starts."""
    arrivals: tuple[float, ...] = ()
    """Requests that came a second, between each two of the last samples."""

    @property
    def service_s(self) -> float | None:
        """Seconds that a worker has one request in hand, by Little's law: the mean of in flight over throughput."""
        return self.busy_s / self.done if self.done >= ENOUGH_DONE else None

    @property
    def boot_s(self) -> float | None:
        """Seconds that a boot takes: the median, so that one that hung does not count."""
        return median(self.boots_s) if self.boots_s else None

    @property
    def rate(self) -> float:
        """Requests that steadily come a second: the median, so that a burst counts as what it is, not as a stream."""
        return median(self.arrivals) if self.arrivals else 0.0


def sampled(samples: tuple[Sample, ...], observation: Observation | None) -> tuple[Sample, ...]:
    """The last good samples with this one; None where it failed or is old. A gap begins anew."""
    if observation is None:
        return ()
    sample = Sample(observation.taken_at, observation.demand, observation.in_flight)
    if samples and not 0 < sample.at - samples[-1].at <= MAX_GAP_S:
        return (sample,)
    return (*samples, sample)[-SAMPLES_KEPT:]


def learned(known: Estimates, samples: tuple[Sample, ...]) -> Estimates:
    """What is known of service and arrivals after the last of `samples`.

    Service time follows from Little's law (https://en.wikipedia.org/wiki/Little%27s_law): seconds in hand over requests
    that left. Requests that come while others leave hide those, so that it errs upwards.
    """
    if len(samples) < SAMPLES_KEPT:
        return known
    last, here = _believed(samples[:-1]), _believed(samples[1:])
    passed_s = here.at - last.at
    known = _with_arrivals(known, last, here, passed_s)
    hands = (last.in_flight + here.in_flight) / 2
    done = min(max(0, last.demand - here.demand), hands * RESOLVED)
    busy_s, done = known.busy_s + hands * passed_s, known.done + done
    fade = 2 if done > FADE_ABOVE else 1
    return replace(known, busy_s=busy_s / fade, done=done / fade)


def _believed(samples: Sequence[Sample]) -> Sample:
    """The sample in the middle, or what those around say where it stands apart: SQS's counts err now and then.

    In a tick about as many requests leave as are in hand; a larger change is believed when the next samples show it.
    """
    sample = samples[len(samples) // 2]
    demand, in_flight = median(s.demand for s in samples), median(s.in_flight for s in samples)
    if abs(sample.demand - demand) <= max(1, in_flight):
        return sample
    return Sample(sample.at, int(demand), int(in_flight))


def _with_arrivals(known: Estimates, last: Sample, here: Sample, passed_s: float) -> Estimates:
    """What came since the last sample: what there is more of, and what has been done meanwhile."""
    if known.service_s is None:
        return known
    done = last.in_flight * passed_s / max(known.service_s, passed_s / RESOLVED)
    came = max(0.0, here.demand - last.demand + done)
    return replace(known, arrivals=(*known.arrivals, came / passed_s)[-ARRIVALS_KEPT:])


def booted(known: Estimates, cold: ColdStart | None, latest: ColdStart | None, samples: Sequence[Sample]) -> Estimates:
    """What is known of boots, where a cold start has just brought its first request into a hand.

    It was `cold` until now and is `latest`. After a gap in `samples` nobody knows for how long that request was there.
    """
    if cold is None or cold.working_at is not None or latest is None or latest.working_at is None:
        return known
    if cold.asked_at is None or len(samples) == 1:
        return known
    boot_s = max(0.0, latest.working_at - cold.asked_at)
    return replace(known, boots_s=(*known.boots_s, boot_s)[-BOOTS_KEPT:])


def of_cold_start(cold: ColdStart | None, observation: Observation, quiet_s: float) -> ColdStart | None:
    """The present period of demand after this observation; None where there is no demand.

    `quiet_s` is for how long there was none: while somebody boots, a single zero means nothing. Once somebody runs, it
    may mean that the work was done between two looks.
    """
    at = observation.taken_at
    runs = any(i.state is State.RUNNING for i in observation.instances)
    if observation.demand == 0:
        return cold if cold is not None and cold.running_at is None and quiet_s < QUIET_S else None
    if cold is None:
        # Somebody is there already: nothing that follows tells how long a boot takes.
        warm = at if runs else None
        return ColdStart(at, None, warm, warm)
    if cold.running_at is None and runs:
        cold = replace(cold, running_at=at)
    # Where nobody runs, what is in hand is a count of long ago.
    if cold.working_at is None and observation.in_flight and runs:
        cold = replace(cold, working_at=at)
    return cold


def asked(cold: ColdStart | None, now: float) -> ColdStart | None:
    """The present period of demand after EC2 accepted a start or launch."""
    if cold is None or cold.asked_at is not None or cold.working_at is not None:
        return cold
    return replace(cold, asked_at=now)
