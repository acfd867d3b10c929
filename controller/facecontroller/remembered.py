"""What the controller remembers between two ticks: what it asked for, what failed, and what it has learned."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import median

ENOUGH_DONE = 5.0
"""Requests from which a service time is known."""


@dataclass(frozen=True, slots=True)
class Launch:
    """A launch that was asked for."""

    asked_at: float
    number: int
    """`n` in the name that its instances carry at first."""
    count: int
    """Instances that it made, or asked for where the answer was lost."""
    token: str = ""
    ids: tuple[str, ...] | None = None
    """None where the answer was lost: the instances may or may not exist."""


@dataclass(frozen=True, slots=True)
class Hold:
    """Something that failed and is left alone for a while."""

    failures: int
    """How often in a row."""
    until: float
    """Unix time in seconds."""
    capacity: bool = False
    """Whether it failed for want of machines."""


@dataclass(frozen=True, slots=True)
class Boots:
    """How often an instance was started since any worker was last seen at work."""

    count: int
    last_at: float


@dataclass(frozen=True, slots=True)
class Tokens:
    """What EC2's token buckets hold for one operation, as far as our own calls empty them."""

    calls: float
    instances: float
    at: float


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
class Measured:
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
    holds: Mapping[str, Hold] = field(default_factory=dict)
    """Instance id, an offering's key or `LAUNCH` → what failed on it."""
    names: Mapping[str, tuple[int, float]] = field(default_factory=dict)
    """Instance id → the number it was given, and when."""
    boots: Mapping[str, Boots] = field(default_factory=dict)
    """Instance id → its starts that no work followed."""
    tokens: Mapping[str, Tokens] = field(default_factory=dict)
    """"start" and "launch" → what EC2 still takes of them."""
    measured: Measured = field(default_factory=Measured)
    samples: tuple[Sample, ...] = ()
    """The last good ones of one stretch, oldest first."""
    cold: ColdStart | None = None
    """The present period of demand; None without demand."""
    zero_since: float | None = None
    """When the first of the latest unbroken row of samples with zero demand was taken."""
    sampled_at: float | None = None
    """When the last sample of that row was taken."""
