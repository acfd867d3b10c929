"""The observed instances, sorted by what can be done with them."""

from dataclasses import dataclass
from math import inf

from facecontroller.memory import Memory
from facecontroller.model import Config, Instance, Observation, Offering, State


@dataclass(frozen=True, slots=True)
class Survey:
    """What there is. An instance that was just asked to start, stop or terminate is in none of the groups."""

    active: int
    """Instances that run, boot or were asked for."""
    owned: int
    """Instances that hold a slot, with those asked for and not yet visible."""
    dying: int
    """Owned instances that will give their slot back by themselves."""
    alive: tuple[Instance, ...]
    """Pending and running."""
    hung: tuple[Instance, ...]
    """Those of `alive` that have been pending for too long."""
    running: tuple[Instance, ...]
    stale: tuple[Instance, ...]
    """Stopped, and of a former image."""
    aged: tuple[Instance, ...]
    """Stopped, of the current image, and past the maximum age."""
    reusable: tuple[Instance, ...]
    """All other stopped ones, lowest number first."""
    startable: tuple[Instance, ...]
    """Those of `reusable` that are not backed off."""
    backed_off: frozenset[str]
    """Instances, offerings, `LAUNCH` and `RENAME`, as far as they failed a moment ago."""
    offering: Offering | None
    """Where to launch now; None if every offering is out of capacity."""
    numbers: frozenset[int]
    """Numbers in use."""

    @property
    def stopped(self) -> int:
        """How many stopped instances there are."""
        return len(self.stale) + len(self.aged) + len(self.reusable)


def survey(observation: Observation, memory: Memory, config: Config, now: float) -> Survey:
    """Sorts the observed instances. `now` is Unix time in seconds."""
    instances, at = observation.instances, observation.taken_at
    # What failed a moment ago would fail again, and would cost a call in each tick.
    backed_off = frozenset(key for key, backoff in memory.backoffs.items() if now < backoff.until)
    failing = {i for i, starts in memory.failed_starts.items() if starts.backs_off(now)} | backed_off
    ending = memory.stops.keys() | memory.terminations.keys()
    alive = [i for i in instances if i.state in (State.PENDING, State.RUNNING) and i.id not in ending]
    hung = tuple(i for i in alive if _is_hung(i, at, config))
    stopped = [i for i in instances if i.state is State.STOPPED and i.id not in ending | memory.starts.keys()]
    # The lowest numbers are started first, so that the highest are left to remove.
    stopped.sort(key=lambda i: (inf if i.number is None else i.number, i.id))
    current = [i for i in stopped if not _is_stale(i, observation)]
    reusable = tuple(i for i in current if not is_aged(i, at, config))
    hidden = memory.hidden(instances)
    return Survey(
        # What boots or was asked for is capacity: without it each tick would start the same number again.
        active=len(alive) - len(hung) + len(memory.starts) + hidden,
        # Every live state holds a slot, `stopping` too: it cannot be started yet, but it is not gone.
        owned=len(instances) + hidden + len(memory.starts.keys() - {i.id for i in instances}),
        dying=sum(1 for i in instances if i.state is State.SHUTTING_DOWN or i.id in memory.terminations),
        alive=tuple(alive),
        hung=hung,
        running=tuple(i for i in alive if i.state is State.RUNNING),
        stale=tuple(i for i in stopped if _is_stale(i, observation)),
        aged=tuple(i for i in current if is_aged(i, at, config)),
        reusable=reusable,
        startable=tuple(i for i in reusable if i.id not in failing),
        backed_off=backed_off,
        offering=next((o for o in config.offerings if o.key not in backed_off), None),
        # All instances of a launch carry one number until they are renamed.
        numbers=frozenset(
            n for n in (*map(memory.number, instances), *(launch.number for launch in memory.launches)) if n is not None
        ),
    )


def is_aged(instance: Instance, at: float, config: Config) -> bool:
    """Whether the instance is past its maximum age."""
    return at - instance.created_at > config.max_age_s


def _is_stale(instance: Instance, observation: Observation) -> bool:
    return instance.image != observation.image


def _is_hung(instance: Instance, at: float, config: Config) -> bool:
    return instance.state is State.PENDING and at - instance.started_at > config.boot_timeout_s
