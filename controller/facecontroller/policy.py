"""The decision: a pure function of an observation, a memory, the configuration and the time."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from math import inf

from facecontroller import naming
from facecontroller.frugal import additional
from facecontroller.memory import Memory, is_backed_off, is_old, recall, unseen
from facecontroller.model import (
    CLIENT_TOKEN_S,
    LAUNCH,
    RENAME,
    Actions,
    Config,
    Counts,
    Decision,
    Goal,
    Instance,
    Observation,
    Offering,
    Order,
    State,
)
from facecontroller.throttle import available, spent

COUNT_LAG_S = 60.0
"""For how long SQS's counts may be wrong. KEDA #7330: deleted messages reappear for up to a minute."""
LATE = 1.5
"""How many times as long as usual a boot may take before it is not reckoned with."""


def decide(observation: Observation | None, memory: Memory, config: Config, now: float) -> Decision:
    """What to start, launch, stop, terminate and rename, and why.

    `observation` is None where it failed; `now` is Unix time in seconds. One request wants one instance, up to the
    maximum, or fewer where the goal is to be frugal; what boots counts as capacity. Instances stop themselves: stopping
    and terminating is for the hung, the over-age, those of a former image and those above the maximum or the pool.
    """
    memory = recall(memory, observation, now)
    if observation is None:
        return Decision(Actions(), "the observation failed: nothing is decided on an unknown", memory)
    fleet = _survey(observation, memory, config, now)
    start, launch = _grow(fleet, memory, config, now)
    reasons = _reasons(fleet, observation.demand)
    actions = Actions(start, launch)
    if is_old(observation, now):
        reasons.append("the observation is old, so nothing is taken away")
    else:
        actions, why = _shrink(fleet, observation, memory, config, actions)
        reasons += why
    if not actions and RENAME not in fleet.backed_off:
        actions = replace(actions, rename=naming.correction(observation.instances, memory, config.max_instances))
    counts = Counts(observation.demand, fleet.desired, fleet.active, fleet.owned)
    return Decision(actions, "; ".join(reasons), _spend(memory, actions, config, now), counts)


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
    backed_off: frozenset[str]
    """Instances, offerings or `LAUNCH`, that something failed on a moment ago."""
    offering: Offering | None
    """Where to launch now; None where no place is left."""
    numbers: frozenset[int]
    """Numbers that are taken."""


def _survey(observation: Observation, memory: Memory, config: Config, now: float) -> _Fleet:
    instances = observation.instances
    ids = {i.id: i for i in instances}
    tokens = Counter(i.client_token for i in instances)
    hidden = sum(unseen(launch, ids, tokens, memory) for launch in memory.launches)
    backed_off = frozenset(key for key, hold in memory.backoffs.items() if now < hold.until)
    ending = memory.stops.keys() | memory.terminations.keys()
    alive = [i for i in instances if i.state in (State.PENDING, State.RUNNING) and i.id not in ending]
    hung = tuple(i for i in alive if _is_hung(i, observation.taken_at, config))
    asked = ending | memory.starts.keys()
    stopped = [i for i in instances if i.state is State.STOPPED and i.id not in asked]
    stopped.sort(key=_by_number)
    fit = (i for i in stopped if not _is_stale(i, observation) and not _is_aged(i, observation, config))
    active = len(alive) - len(hung) + len(memory.starts) + hidden
    return _Fleet(
        desired=_desired(observation, memory, config, alive, active),
        active=active,
        owned=len(instances) + hidden + len(memory.starts.keys() - ids.keys()),
        dying=sum(1 for i in instances if i.state is State.SHUTTING_DOWN or i.id in memory.terminations),
        hung=hung,
        running=tuple(i for i in alive if i.state is State.RUNNING),
        stopped=tuple(stopped),
        startable=tuple(
            i for i in fit if i.id not in backed_off and not is_backed_off(memory.failed_starts.get(i.id), now)
        ),
        backed_off=backed_off,
        offering=next((o for o in config.offerings if o.key not in backed_off), None),
        numbers=frozenset(naming.taken(instances, memory)),
    )


def _desired(observation: Observation, memory: Memory, config: Config, alive: Sequence[Instance], active: int) -> int:
    """How many instances the requests are worth."""
    wanted = min(observation.demand, config.max_instances)
    boot_s, service_s = memory.estimates.boot_s, memory.estimates.service_s
    # What is not measured yet cannot be saved on.
    if config.goal is Goal.DEMAND or boot_s is None or service_s is None:
        return wanted
    # One that has been booting for much too long may never come.
    ages_s = [observation.taken_at - i.started_at for i in alive if not _is_late(i, observation.taken_at, boot_s)]
    ready_s = [*(max(0.0, boot_s - age_s) for age_s in ages_s), *[boot_s] * (active - len(alive))]
    soon = observation.demand + memory.estimates.rate * boot_s
    limit = min(wanted, config.max_instances) - active
    more = additional(soon, ready_s, boot_s, service_s, limit)
    return min(wanted, active + more)


def _grow(fleet: _Fleet, memory: Memory, config: Config, now: float) -> tuple[tuple[str, ...], Order | None]:
    """Ids to start and what to launch. A stopped instance has its slot already; a launch needs room."""
    need = max(0, fleet.desired - fleet.active)
    # Binds only where more is owned than allowed: else each stopped instance has a slot of its own.
    slots = max(0, config.max_instances - (fleet.owned - len(fleet.stopped)))
    start = _ids(fleet.startable[: min(need, slots, available(memory.allowances, "start", now, config.limits))])
    room = max(0, config.max_instances - fleet.owned)
    count = min(need - len(start), room, available(memory.allowances, "launch", now, config.limits))
    if count <= 0 or fleet.offering is None or LAUNCH in fleet.backed_off:
        return start, None
    number = naming.lowest_free(fleet.numbers)
    sequence = sum(1 for launch in memory.launches if launch.asked_at // CLIENT_TOKEN_S == now // CLIENT_TOKEN_S)
    return start, Order(count, number, fleet.offering, sequence)


def _shrink(
    fleet: _Fleet, observation: Observation, memory: Memory, config: Config, actions: Actions
) -> tuple[Actions, list[str]]:
    """The actions with ids to stop and to terminate, and the reasons in words."""
    stale = _ids(i for i in fleet.stopped if _is_stale(i, observation))
    aged = _ids(i for i in fleet.stopped if _is_aged(i, observation, config) and not _is_stale(i, observation))
    doomed = {*stale, *aged}
    kept = doomed | {*actions.start}
    spare = [i for i in reversed(fleet.stopped) if i.id not in kept]
    unwanted = (
        _displaced(spare, fleet, memory, config, actions)
        if observation.demand
        else _beyond_pool(spare, observation, config)
    )
    excess = max(0, fleet.owned - fleet.dying - len(doomed) - len(fleet.hung) - config.max_instances)
    surplus = _ids(spare[:excess])
    quiet_s = 0.0 if memory.zero_since is None else observation.taken_at - memory.zero_since
    idle = _ids(i for i in fleet.running if _is_idle(i, observation, quiet_s, config))
    words = {
        "terminated while stopped: a former image": stale,
        "terminated while stopped: over-age": aged,
        "terminated: hung while booting": _ids(fleet.hung),
        "terminated while stopped: above the maximum": surplus,
        "terminated while stopped: not worth keeping": tuple(i for i in unwanted if i not in surplus),
        f"stopped: still running after {quiet_s:.0f} s without demand": idle,
    }
    failing = _failing(fleet, memory)
    done = {why: tuple(i for i in ids if i not in failing) for why, ids in words.items()}
    *terminate, stop = done.values()
    why = [f"{len(ids)} {why}" for why, ids in done.items() if ids]
    return replace(actions, stop=stop, terminate=tuple(chain(*terminate))), why


def _beyond_pool(spare: Sequence[Instance], observation: Observation, config: Config) -> tuple[str, ...]:
    """Ids of the stopped instances that the warm pool has no place for, or has kept long enough."""
    beyond = set(_ids(spare[: max(0, len(spare) - config.warm_pool)]))
    return _ids(i for i in spare if i.id in beyond or observation.taken_at - i.started_at > config.warm_s)


def _displaced(
    spare: Sequence[Instance], fleet: _Fleet, memory: Memory, config: Config, actions: Actions
) -> tuple[str, ...]:
    """Ids of stopped instances in a place without machines, whose slots an offering that has some is to get."""
    short = fleet.desired - fleet.active - actions.grown - fleet.dying
    if short <= 0 or fleet.offering is None or fleet.owned < config.max_instances or LAUNCH in fleet.backed_off:
        return ()
    return _ids(i for i in spare if i.id in fleet.backed_off and memory.backoffs[i.id].capacity)[:short]


def _failing(fleet: _Fleet, memory: Memory) -> set[str]:
    """Ids of instances on which something failed; for want of machines an instance can still be terminated."""
    return {key for key in fleet.backed_off if not memory.backoffs[key].capacity}


def _spend(memory: Memory, actions: Actions, config: Config, now: float) -> Memory:
    launched = actions.launch.count if actions.launch else 0
    tokens = spent(memory.allowances, "start", len(actions.start), now, config.limits)
    tokens = spent(tokens, "launch", launched, now, config.limits)
    return replace(memory, allowances=tokens)


def _reasons(fleet: _Fleet, demand: int) -> list[str]:
    reasons = [f"demand {demand} wants {fleet.desired}, {fleet.active} active, {fleet.owned} owned"]
    if LAUNCH in fleet.backed_off:
        reasons.append("launching failed and is left alone for a while")
    if fleet.offering is None:
        reasons.append("no offering has machines")
    return reasons


def _is_stale(instance: Instance, observation: Observation) -> bool:
    return instance.image != observation.image


def _is_aged(instance: Instance, observation: Observation, config: Config) -> bool:
    return observation.taken_at - instance.created_at > config.max_age_s


def _is_hung(instance: Instance, now: float, config: Config) -> bool:
    return instance.state is State.PENDING and now - instance.started_at > config.boot_timeout_s


def _is_late(instance: Instance, now: float, boot_s: float) -> bool:
    return instance.state is State.PENDING and now - instance.started_at > LATE * boot_s


def _is_idle(instance: Instance, observation: Observation, quiet_s: float, config: Config) -> bool:
    """Whether nothing was asked of it for so long that it must have failed to stop itself."""
    aged = _is_aged(instance, observation, config)
    enough_s = COUNT_LAG_S if aged else config.reap_after_s
    return quiet_s >= enough_s and observation.taken_at - instance.started_at >= enough_s


def _ids(instances: Iterable[Instance]) -> tuple[str, ...]:
    return tuple(i.id for i in instances)


def _by_number(instance: Instance) -> tuple[float, str]:
    return (inf if instance.number is None else instance.number, instance.id)
