"""The traces: when requests come, how long each takes, and what goes wrong meanwhile."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from facecontroller.model import Offering
from facecontroller.throttle import Limits

SERVICE_S = 1.0
"""Mean seconds that a worker has a request in hand."""
SPREAD = 0.25
"""Standard deviation of a service time's logarithm."""


@dataclass(frozen=True)
class Faults:
    """How often AWS and the machines misbehave; shares are probabilities."""

    duplicate: float = 0.001
    """Of a message to be delivered twice."""
    false_zero: float = 0.02
    """Of a look at the queue that finds it empty."""
    stale: float = 0.1
    """Of a look that finds the counts of up to a minute ago."""
    lost_answer: float = 0.01
    """Of an EC2 call that changes something and whose answer is lost."""
    hang: float = 0.002
    """Of a boot that never ends."""
    crash: float = 0.0005
    """Of a worker to crash at one of the steps of a request."""
    poison: float = 0.0
    """Of a request that crashes each worker that has it."""
    controller_crash: float = 0.0
    """Of the controller to be killed and replaced by another, at each tick, between any two of its calls."""
    twin: bool = False
    """Whether a second controller acts at the same time, as where there is no lease."""


CALM = Faults(duplicate=0, false_zero=0, stale=0, lost_answer=0, hang=0, crash=0)
"""Good weather."""


@dataclass(frozen=True)
class Trace:
    """Requests by arrival, in seconds from the start, and the world that they meet."""

    name: str
    arrivals: np.ndarray
    service_s: np.ndarray
    mean_service_s: float = SERVICE_S
    """Of the distribution that `service_s` is drawn from."""
    max_instances: int = 15
    offerings: tuple[Offering, ...] = (Offering("m7i.large", "subnet-a"), Offering("m7i.large", "subnet-b"))
    out_of_capacity: tuple[tuple[Offering, float, float], ...] = ()
    """(offering, from, to): no machines there then."""
    outages: tuple[tuple[float, float], ...] = ()
    """(from, to): no call to AWS by the controller succeeds then."""
    call_s: float = 0.1
    """What each of the controller's calls takes."""
    faults: Faults = field(default_factory=Faults)
    limits: Limits = field(default_factory=Limits)
    """What EC2 takes of the account's calls."""


def _trace(name: str, arrivals: np.ndarray, rng: np.random.Generator, **rest: object) -> Trace:
    service = rng.lognormal(np.log(SERVICE_S) - SPREAD**2 / 2, SPREAD, len(arrivals))
    return Trace(name, np.sort(arrivals), service, **rest)  # type: ignore[arg-type]


def served_in(trace: Trace, service_s: float) -> Trace:
    """The same requests, where a worker has one in hand for so many seconds in the mean."""
    return replace(trace, service_s=trace.service_s * (service_s / trace.mean_service_s), mean_service_s=service_s)


def burst(rng: np.random.Generator) -> Trace:
    """100 at once, from nothing."""
    return _trace("burst", np.full(100, 5.0), rng)


def yesterday(rng: np.random.Generator) -> Trace:
    """400 at once, from nothing and in good weather, for the controller to learn from."""
    return _trace("yesterday", np.full(400, 5.0), rng, faults=CALM)


def daily(rng: np.random.Generator) -> Trace:
    """A day's tide in four hours: from none to two a second and back."""
    length_s, peak = 14_400.0, 2.0
    at = np.cumsum(rng.exponential(1 / peak, int(length_s * peak * 1.2)))
    at = at[at < length_s]
    tide = ((1 - np.cos(2 * np.pi * at / length_s)) / 2) ** 2
    return _trace("daily", at[rng.random(len(at)) < tide], rng)


def spikes(rng: np.random.Generator) -> Trace:
    """One request in twenty seconds, and twelve spikes of 10 to 80 at irregular times, in an hour and a half."""
    background = rng.uniform(0, 5400, 270)
    peaks = [rng.uniform(at, at + 3, rng.integers(10, 80)) for at in rng.uniform(0, 5300, 12)]
    return _trace("spikes", np.concatenate([background, *peaks]), rng)


def flood(rng: np.random.Generator) -> Trace:
    """A million requests within a minute, and a maximum of 10,000 instances."""
    return _trace("flood", rng.uniform(0, 60, 1_000_000), rng, max_instances=10_000)


def drought(rng: np.random.Generator) -> Trace:
    """Two bursts of 150 while the preferred offering has no machines."""
    at = np.concatenate([np.full(150, 5.0), np.full(150, 400.0)])
    return _trace("drought", at, rng, out_of_capacity=((Offering("m7i.large", "subnet-a"), 0.0, 300.0),))


def outage(rng: np.random.Generator) -> Trace:
    """One request a second for ten minutes, of which AWS answers the controller for all but two."""
    return _trace("outage", rng.uniform(0, 600, 600), rng, outages=((3.0, 63.0), (300.0, 360.0)))


TRACES: dict[str, Callable[[np.random.Generator], Trace]] = {
    "burst": burst,
    "daily": daily,
    "spikes": spikes,
    "flood": flood,
    "drought": drought,
    "outage": outage,
}
