"""What the controller talks about: instances, an observation, a decision and its outcome."""

from dataclasses import dataclass, field, replace
from enum import StrEnum
from math import inf
from typing import Any, Self

from facecontroller.throttle import Limits

STALE_AFTER_S = 30.0
"""Age from which an observation is old, and gap that breaks a row of samples."""
CLIENT_TOKEN_S = 60
"""Two equal launches within the same minute of the clock are one launch to EC2, as their client tokens are equal."""
LAUNCH = "launch"
"""Stands for launching, whatever the offering, as the target of a Failure and as a key of `Memory.backoffs`."""
RENAME = "rename"
"""The same for renaming."""


@dataclass(frozen=True, slots=True)
class Offering:
    """A kind of machine in a place. The launch template decides what is left empty."""

    instance_type: str = ""
    subnet: str = ""

    @property
    def key(self) -> str:
        """Its name in `Memory.backoffs` and in logs."""
        return f"{self.instance_type or 'any type'}@{self.subnet or 'any subnet'}"


class State(StrEnum):
    """EC2's instance states. `terminated` is missing: a terminated instance is gone.

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
    """`n` of its name `app-tier-instance-<n>`; None if the name ends in something else."""
    state: State
    image: str
    created_at: float
    """When it was launched for the first time."""
    started_at: float
    """When it was launched or last started."""
    client_token: str = ""
    """Client token of the launch that made it; empty if EC2 does not say."""


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
    in_flight: int = 0
    """Those requests of `demand` that a worker holds."""

    def is_old(self, now: float) -> bool:
        """Whether too much may have changed since then to take anything away."""
        return abs(now - self.taken_at) > STALE_AFTER_S


class Goal(StrEnum):
    """What the number of instances follows."""

    DEMAND = "demand"
    """One instance for each request, up to the maximum."""
    FRUGAL = "frugal"
    """As few instances as end the wait nearly as soon."""


@dataclass(frozen=True, slots=True)
class Config:
    """What the operator allows. Times in seconds; `Settings` has the defaults."""

    max_instances: int
    boot_timeout_s: float
    reap_after_s: float
    max_age_s: float
    goal: Goal = Goal.DEMAND
    warm_pool: int | None = None
    """Most stopped instances that are kept; the maximum if None."""
    warm_s: float = inf
    """How long after its last start a stopped instance is kept."""
    offerings: tuple[Offering, ...] = (Offering(),)
    """Where to launch, in order of preference."""
    limits: Limits = field(default_factory=Limits)
    """How fast EC2 lets this account start and launch."""


@dataclass(frozen=True, slots=True)
class Order:
    """One launch: so many instances of an offering."""

    count: int
    number: int
    """`n` of the name that all of them carry at first."""
    offering: Offering = Offering()
    sequence: int = 0
    """How many launches this minute has seen; tells one launch from its repetition."""


@dataclass(frozen=True, slots=True)
class Rename:
    """An instance and the `n` of its new name."""

    id: str
    number: int


@dataclass(frozen=True, slots=True)
class Actions:
    """What to do: ids of instances, a launch and a new name."""

    start: tuple[str, ...] = ()
    launch: Order | None = None
    stop: tuple[str, ...] = ()
    terminate: tuple[str, ...] = ()
    rename: Rename | None = None

    def __bool__(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.start or self.launch or self.stop or self.terminate or self.rename)

    def limited(self, kinds: int) -> Self:
        """The `kinds` most urgent kinds of action; the next tick decides again on the rest."""
        # Requests wait for the first two; the others save money or are cosmetic.
        urgent = ("start", "launch", "terminate", "stop", "rename")
        late = [kind for kind in urgent if getattr(self, kind)][kinds:]
        return replace(self, **{kind: getattr(NOTHING, kind) for kind in late})

    @property
    def grown(self) -> int:
        """Instances that it adds to the active ones."""
        return len(self.start) + (self.launch.count if self.launch else 0)

    def fields(self) -> dict[str, Any]:
        """What there is to do, as fields of a log line."""
        named = {
            "start": self.start,
            "launch": self.launch and {"count": self.launch.count, "offering": self.launch.offering.key},
            "stop": self.stop,
            "terminate": self.terminate,
            "rename": self.rename and {self.rename.id: self.rename.number},
        }
        return {name: what for name, what in named.items() if what}


NOTHING = Actions()


@dataclass(frozen=True, slots=True)
class Counts:
    """The figures that a decision rests on."""

    demand: int
    desired: int
    active: int
    owned: int


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do and why."""

    actions: Actions
    reason: str
    counts: Counts | None = None
    """None if the observation failed."""


@dataclass(frozen=True, slots=True)
class Failure:
    """One action that did not succeed."""

    action: str
    target: str
    """Instance id, an offering's key, `LAUNCH` or `RENAME`."""
    code: str
    """AWS's error code, or the error's class if no answer came."""
    text: str
    capacity: bool = False
    """Whether EC2 is out of capacity."""


@dataclass(frozen=True, slots=True)
class Launch:
    """One RunInstances call that made instances, or may have made them."""

    asked_at: float
    number: int
    """`n` in the name that its instances carry at first."""
    count: int
    """Instances that it made, or asked for if the answer was lost."""
    client_token: str = ""
    ids: tuple[str, ...] | None = None
    """None if the answer was lost: the instances may or may not exist."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a decision's actions."""

    started: tuple[str, ...] = ()
    launched: tuple[Launch, ...] = ()
    stopped: tuple[str, ...] = ()
    terminated: tuple[str, ...] = ()
    renamed: Rename | None = None
    failures: tuple[Failure, ...] = ()

    @property
    def launched_ids(self) -> tuple[str, ...]:
        """Ids of the launched instances that are known."""
        return tuple(i for launch in self.launched for i in launch.ids or ())
