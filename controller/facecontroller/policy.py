"""The decision: a pure function of an observation, a memory, the configuration and the time."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain, islice
from math import inf

from facecontroller.memory import is_old, recall
from facecontroller.model import (
    LAUNCH,
    Actions,
    Config,
    Counts,
    Decision,
    Instance,
    Memory,
    Observation,
    State,
)

COUNT_LAG_S = 60.0
"""For how long SQS's counts may be wrong. KEDA #7330: deleted messages reappear for up to a minute."""


def decide(observation: Observation | None, memory: Memory, config: Config, now: float) -> Decision:
    """What to start, launch, stop and terminate, and why.

    `observation` is None where it failed; `now` is Unix time in seconds. One request wants one instance,
    up to the maximum; what boots counts as capacity. Instances stop themselves: stopping and terminating
    is for the hung, the over-age, those of a former image and those above the maximum only.
    """
    memory = recall(memory, observation, now)
    if observation is None:
        return Decision(Actions(), "the observation failed: nothing is decided on an unknown", memory)
    fleet = _survey(observation, memory, config, now)
    start, launch = _grow(fleet, config)
    counts = Counts(observation.demand, fleet.desired, fleet.active, fleet.owned)
    reason = f"demand {counts.demand} wants {counts.desired}, {counts.active} active, {counts.owned} owned"
    if LAUNCH in fleet.held:
        reason += "; launching failed and is left alone for a while"
    if is_old(observation, now):
        reason += "; the observation is old, so nothing is taken away"
        return Decision(Actions(start, launch), reason, memory, counts)
    stop, terminate, why = _shrink(fleet, observation, memory, config, start)
    return Decision(Actions(start, launch, stop, terminate), "; ".join([reason, *why]), memory, counts)


@dataclass(frozen=True, slots=True)
class _Fleet:
    """The observed instances, sorted by what can be done with them."""

    desired: int
    active: int
    owned: int
    """Instances that hold a slot, with those asked for and not yet visible."""
    dying: int
    """Owned instances that will give their slot back by themselves."""
    hung: tuple[Instance, ...]
    running: tuple[Instance, ...]
    """Running, and nothing has been asked of them."""
    stopped: tuple[Instance, ...]
    """Stopped, and nothing has been asked of them; lowest number first."""
    startable: tuple[Instance, ...]
    """Those stopped ones that may be started."""
    held: frozenset[str]
    """Instances, or `LAUNCH`, that something failed on a moment ago."""
    taken_numbers: frozenset[int]


def _survey(observation: Observation, memory: Memory, config: Config, now: float) -> _Fleet:
    instances = observation.instances
    ids = {i.id for i in instances}
    numbers = {i.number for i in instances if i.number is not None}
    unseen = _unseen_launches(memory, ids, numbers)
    held = frozenset(key for key, hold in memory.holds.items() if now < hold.until)
    ending = memory.stops.keys() | memory.terminations.keys()
    alive = [i for i in instances if i.state in (State.PENDING, State.RUNNING) and i.id not in ending]
    hung = tuple(i for i in alive if _is_hung(i, observation.taken_at, config))
    asked = ending | memory.starts.keys()
    stopped = [i for i in instances if i.state is State.STOPPED and i.id not in asked]
    stopped.sort(key=_by_number)
    fit = (i for i in stopped if not _is_stale(i, observation) and not _is_aged(i, observation, config))
    return _Fleet(
        desired=min(observation.demand, config.max_instances),
        active=len(alive) - len(hung) + len(memory.starts) + len(unseen),
        owned=len(instances) + len(unseen) + len(memory.starts.keys() - ids),
        dying=sum(1 for i in instances if i.state is State.SHUTTING_DOWN or i.id in memory.terminations),
        hung=hung,
        running=tuple(i for i in alive if i.state is State.RUNNING),
        stopped=tuple(stopped),
        startable=tuple(i for i in fit if i.id not in held),
        held=held,
        taken_numbers=frozenset(numbers | unseen),
    )


def _unseen_launches(memory: Memory, ids: set[str], numbers: set[int]) -> set[int]:
    """Numbers of the launches that EC2's answer does not show yet."""
    return {
        number
        for number, launch in memory.launches.items()
        if launch.instance_id not in memory.terminations
        and not (number in numbers if launch.instance_id is None else launch.instance_id in ids)
    }


def _grow(fleet: _Fleet, config: Config) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Ids to start and numbers to launch. A stopped instance has its slot already; a launch needs room."""
    need = max(0, fleet.desired - fleet.active)
    # Binds only where more is owned than allowed: else each stopped instance has a slot of its own.
    slots = max(0, config.max_instances - (fleet.owned - len(fleet.stopped)))
    start = tuple(i.id for i in fleet.startable[: min(need, slots)])
    room = max(0, config.max_instances - fleet.owned)
    launches = 0 if LAUNCH in fleet.held else min(need - len(start), room)
    free = (n for n in range(1, config.max_instances + 1) if n not in fleet.taken_numbers)
    return start, tuple(islice(free, launches))


def _shrink(
    fleet: _Fleet, observation: Observation, memory: Memory, config: Config, start: tuple[str, ...]
) -> tuple[tuple[str, ...], tuple[str, ...], list[str]]:
    """Ids to stop, ids to terminate, and the reasons in words."""
    stale = _ids(i for i in fleet.stopped if _is_stale(i, observation))
    aged = _ids(i for i in fleet.stopped if _is_aged(i, observation, config) and not _is_stale(i, observation))
    hung = _ids(fleet.hung)
    doomed = {*stale, *aged, *hung}
    excess = max(0, fleet.owned - fleet.dying - len(doomed) - config.max_instances)
    starting = set(start)
    spare = [i for i in reversed(fleet.stopped) if i.id not in doomed and i.id not in starting]
    surplus = _ids(spare[:excess])
    quiet_s = 0.0 if memory.zero_since is None else observation.taken_at - memory.zero_since
    idle = _ids(i for i in fleet.running if _is_idle(i, observation, quiet_s, config))
    words = {
        "terminated while stopped: a former image": stale,
        "terminated while stopped: over-age": aged,
        "terminated: hung while booting": hung,
        "terminated while stopped: above the maximum": surplus,
        f"stopped: still running after {quiet_s:.0f} s without demand": idle,
    }
    done = {why: tuple(i for i in ids if i not in fleet.held) for why, ids in words.items()}
    *terminate, stop = done.values()
    return stop, tuple(chain(*terminate)), [f"{len(ids)} {why}" for why, ids in done.items() if ids]


def _is_stale(instance: Instance, observation: Observation) -> bool:
    return instance.image != observation.image


def _is_aged(instance: Instance, observation: Observation, config: Config) -> bool:
    return observation.taken_at - instance.created_at > config.max_age_s


def _is_hung(instance: Instance, now: float, config: Config) -> bool:
    return instance.state is State.PENDING and now - instance.started_at > config.boot_timeout_s


def _is_idle(instance: Instance, observation: Observation, quiet_s: float, config: Config) -> bool:
    """Whether nothing was asked of it for so long that it must have failed to stop itself."""
    aged = _is_aged(instance, observation, config)
    enough_s = COUNT_LAG_S if aged else config.reap_after_s
    return quiet_s >= enough_s and observation.taken_at - instance.started_at >= enough_s


def _ids(instances: Iterable[Instance]) -> tuple[str, ...]:
    return tuple(i.id for i in instances)


def _by_number(instance: Instance) -> tuple[float, str]:
    return (inf if instance.number is None else instance.number, instance.id)
