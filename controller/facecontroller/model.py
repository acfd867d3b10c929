"""What the controller talks about: instances, an observation, a decision, its outcome, and what is remembered."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class State(StrEnum):
    """EC2's instance states, without `terminated`: such an instance is gone.

    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-instance-lifecycle.html
    """

    PENDING = "pending"
    RUNNING = "running"
    STOPPING = "stopping"
    STOPPED = "stopped"
    SHUTTING_DOWN = "shutting-down"


@dataclass(frozen=True, slots=True)
class Instance:
    """One instance of the app tier, as EC2 describes it. All times are Unix times in seconds."""

    id: str
    number: int | None
    """`n` of its name `app-tier-instance-<n>`; None where the name ends in something else."""
    state: State
    image: str
    created_at: float
    """When it was launched for the first time."""
    started_at: float
    """When it was launched or last started."""


@dataclass(frozen=True, slots=True)
class Observation:
    """What one look at the queue and at EC2 found."""

    taken_at: float
    """Unix time in seconds just before the look."""
    demand: int
    """Requests that wait, are in flight or are delayed."""
    image: str
    """Image that a launch would take now."""
    instances: tuple[Instance, ...]
    """Every owned instance that is not terminated."""


@dataclass(frozen=True, slots=True)
class Launch:
    """A launch that was asked for."""

    asked_at: float
    instance_id: str | None
    """None where the answer was lost: the instance may or may not exist."""


@dataclass(frozen=True, slots=True)
class Hold:
    """Something that failed and is left alone for a while."""

    failures: int
    """How often in a row."""
    until: float
    """Unix time in seconds."""


@dataclass(frozen=True, slots=True)
class Memory:
    """What the controller remembers between two ticks. It is advisory: losing it is safe.

    It bridges the time until EC2's answers show what was asked for; marks expire by themselves.
    """

    starts: Mapping[str, float] = field(default_factory=dict)
    """Instance id → when it was started, until it is seen in another state than stopped."""
    launches: Mapping[int, Launch] = field(default_factory=dict)
    """Number in the name → the latest launch under it."""
    stops: Mapping[str, float] = field(default_factory=dict)
    """Instance id → when it was stopped, until it is seen to stop."""
    terminations: Mapping[str, float] = field(default_factory=dict)
    """Instance id → when it was terminated."""
    holds: Mapping[str, Hold] = field(default_factory=dict)
    """Instance id, or `LAUNCH`, → what failed on it."""
    zero_since: float | None = None
    """When the first of the latest unbroken row of samples with zero demand was taken."""
    sampled_at: float | None = None
    """When the last sample of that row was taken."""


LAUNCH = "launch"
"""The key of `Memory.holds`, and the target of a Failure, that stands for launching."""


@dataclass(frozen=True, slots=True)
class Config:
    """What the operator allows. Times in seconds."""

    max_instances: int
    boot_timeout_s: float
    reap_after_s: float
    max_age_s: float


@dataclass(frozen=True, slots=True)
class Actions:
    """What to do: instance ids, and for launches the numbers of the new names."""

    start: tuple[str, ...] = ()
    launch: tuple[int, ...] = ()
    stop: tuple[str, ...] = ()
    terminate: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.start or self.launch or self.stop or self.terminate)


@dataclass(frozen=True, slots=True)
class Counts:
    """The figures that a decision rests on."""

    demand: int
    desired: int
    active: int
    owned: int


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do and why, and what to remember of the sample it rests on."""

    actions: Actions
    reason: str
    memory: Memory
    counts: Counts | None = None
    """None where the observation failed."""


@dataclass(frozen=True, slots=True)
class Failure:
    """One action that did not succeed."""

    action: str
    target: str
    """Instance id, or `LAUNCH`."""
    code: str
    """AWS's error code, or the error's class where no answer came."""
    text: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a decision's actions."""

    started: tuple[str, ...] = ()
    launched: Mapping[int, str | None] = field(default_factory=dict)
    """Number → instance id, or None where the answer was lost."""
    stopped: tuple[str, ...] = ()
    terminated: tuple[str, ...] = ()
    failures: tuple[Failure, ...] = ()
