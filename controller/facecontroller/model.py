"""What the controller talks about: instances, an observation, a decision and its outcome."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from math import inf
from typing import TYPE_CHECKING, Self

from facecontroller.throttle import Limits

if TYPE_CHECKING:
    from facecontroller.memory import Memory


@dataclass(frozen=True, slots=True)
class Offering:
    """A kind of machine in a place. An empty part is the launch template's own."""

    instance_type: str = ""
    subnet: str = ""

    @property
    def key(self) -> str:
        """Its name in `Memory.backoffs` and in logs."""
        return f"{self.instance_type or 'any type'}@{self.subnet or 'any subnet'}"


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
    client_token: str = ""
    """Client token of the launch that made it; empty where EC2 does not say."""


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
    """Those requests of `demand` that a worker has in hand."""


LAUNCH = "launch"
"""The key of `Memory.backoffs`, and the target of a Failure, that stands for launching."""


RENAME = "rename"
"""The same for giving names."""


class Goal(StrEnum):
    """What the number of instances follows."""

    DEMAND = "demand"
    """One instance for each request, up to the maximum."""
    FRUGAL = "frugal"
    """As few instances as end the wait nearly as soon."""


@dataclass(frozen=True, slots=True)
class Config:
    """What the operator allows. Times in seconds."""

    max_instances: int
    boot_timeout_s: float
    reap_after_s: float
    max_age_s: float
    goal: Goal = Goal.DEMAND
    warm_pool: int = 10_000
    """Most stopped instances that are kept."""
    warm_s: float = inf
    """How long after its last start a stopped one is kept."""
    offerings: tuple[Offering, ...] = (Offering(),)
    """Where to launch, in order of preference."""
    limits: Limits = field(default_factory=Limits)
    """What EC2 takes of our calls."""


CLIENT_TOKEN_S = 60
"""Two equal launches within the same minute of the clock are one launch to EC2, as their client tokens are equal."""


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
    """An instance and the `n` of its name from now on."""

    id: str
    number: int


@dataclass(frozen=True, slots=True)
class Actions:
    """What to do: instance ids, a launch, and a name to put right."""

    start: tuple[str, ...] = ()
    launch: Order | None = None
    stop: tuple[str, ...] = ()
    terminate: tuple[str, ...] = ()
    rename: Rename | None = None

    def __bool__(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.start or self.launch or self.stop or self.terminate or self.rename)

    def limited(self, kinds: int) -> Self:
        """The first so many kinds of action, the most urgent first; what is left out is decided again."""
        urgent = ("start", "launch", "terminate", "stop", "rename")
        late = [kind for kind in urgent if getattr(self, kind)][kinds:]
        return replace(self, **{kind: getattr(NOTHING, kind) for kind in late})

    @property
    def grown(self) -> int:
        """Instances that it adds to those that are active."""
        return len(self.start) + (self.launch.count if self.launch else 0)


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
    """Instance id, an offering's key or `LAUNCH`."""
    code: str
    """AWS's error code, or the error's class where no answer came."""
    text: str
    capacity: bool = False
    """Whether EC2 has no such machine now."""


@dataclass(frozen=True, slots=True)
class Launch:
    """A launch that was asked for."""

    asked_at: float
    number: int
    """`n` in the name that its instances carry at first."""
    count: int
    """Instances that it made, or asked for where the answer was lost."""
    client_token: str = ""
    ids: tuple[str, ...] | None = None
    """None where the answer was lost: the instances may or may not exist."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a decision's actions."""

    started: tuple[str, ...] = ()
    launched: tuple[Launch, ...] = ()
    """What the calls of a launch made, or may have made."""
    stopped: tuple[str, ...] = ()
    terminated: tuple[str, ...] = ()
    renamed: Rename | None = None
    failures: tuple[Failure, ...] = ()

    @property
    def launched_ids(self) -> tuple[str, ...]:
        """Ids of the launched instances that are known."""
        return tuple(i for launch in self.launched for i in launch.ids or ())
