"""The decision: a pure function of an observation, a memory, the configuration and the time."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from itertools import count
from typing import Literal

from facecontroller.estimates import Estimates, additional
from facecontroller.memory import Memory
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
    Order,
    Rename,
    State,
)
from facecontroller.survey import Survey, is_aged, survey
from facecontroller.throttle import available

COUNT_LAG_S = 60.0
"""For how long SQS's counts may be wrong: deleted messages reappear for up to a minute (KEDA #7330)."""
LATE = 1.5
"""How many times as long as usual a boot may take before it no longer counts."""


@dataclass(frozen=True, slots=True)
class Removal:
    """Instances to stop or to terminate, and why."""

    verb: Literal["stop", "terminate"]
    reason: str
    ids: tuple[str, ...]


def decide(observation: Observation | None, memory: Memory, config: Config, now: float) -> Decision:
    """What to start, launch, stop, terminate and rename, and why.

    `observation` is None if it failed, `memory` is what `recall` returned, `now` is Unix time in seconds. One request
    wants one instance, up to the maximum, or fewer if the goal is to be frugal; what boots counts as capacity.
    Instances stop themselves: stopping and terminating is for those that hang, are over-age, have a former image, or
    are above the maximum or the warm pool.
    """
    if observation is None:
        return Decision(Actions(), "the observation failed, so nothing is decided")
    fleet = survey(observation, memory, config, now)
    desired = _desired(observation, fleet, memory.estimates, config)
    start, launch = _growth(fleet, desired, memory, config, now)
    actions = Actions(start, launch)
    missing = desired - fleet.active - actions.grown
    is_old = observation.is_old(now)
    removals = [] if is_old else _removals(observation, fleet, memory, config, started={*start}, missing=missing)
    actions = replace(
        actions,
        stop=tuple(i for r in removals if r.verb == "stop" for i in r.ids),
        terminate=tuple(i for r in removals if r.verb == "terminate" for i in r.ids),
    )
    # Names are cosmetic: they wait for a tick that has nothing else to do.
    if not actions and RENAME not in fleet.backed_off:
        actions = replace(actions, rename=correction(observation.instances, memory, config.max_instances))
    reasons = [
        f"demand {observation.demand} wants {desired}, {fleet.active} active, {fleet.owned} owned",
        *(["launching is backed off"] if LAUNCH in fleet.backed_off else []),
        *(["every offering is out of capacity"] if fleet.offering is None else []),
        *(["the observation is old, so nothing is taken away"] if is_old else []),
        *(f"{removal.verb} {len(removal.ids)}: {removal.reason}" for removal in removals),
    ]
    counts = Counts(observation.demand, desired, fleet.active, fleet.owned)
    return Decision(actions, "; ".join(reasons), counts)


def correction(instances: Iterable[Instance], memory: Memory, maximum: int) -> Rename | None:
    """A new name for an instance whose number an older one has, is above the maximum, or is missing.

    None if all are right, or if no number is free.
    """
    numbers: set[int] = set()
    wrong: list[Instance] = []
    # The oldest instance keeps its number.
    lasting = (i for i in instances if i.state is not State.SHUTTING_DOWN and i.id not in memory.terminations)
    for instance in sorted(lasting, key=lambda i: (i.created_at, i.id)):
        number = memory.number(instance)
        if number is None or number > maximum or number in numbers:
            wrong.append(instance)
        else:
            numbers.add(number)
    number = _lowest_free(numbers)
    return Rename(wrong[0].id, number) if wrong and number <= maximum else None


def _desired(observation: Observation, fleet: Survey, estimates: Estimates, config: Config) -> int:
    """How many instances the requests are worth."""
    wanted = min(observation.demand, config.max_instances)
    boot_s, service_s = estimates.boot_s, estimates.service_s
    # Nothing can be saved on times that are not known yet.
    if config.goal is Goal.DEMAND or boot_s is None or service_s is None:
        return wanted
    ages_s = [(i.state, observation.taken_at - i.started_at) for i in fleet.alive]
    # An instance that has been booting for much too long may never come.
    punctual = [age_s for state, age_s in ages_s if not (state is State.PENDING and age_s > LATE * boot_s)]
    ready_s = [*(max(0.0, boot_s - age_s) for age_s in punctual), *[boot_s] * (fleet.active - len(fleet.alive))]
    # What arrives during a boot waits for it too.
    soon = observation.demand + estimates.rate * boot_s
    more = additional(soon, ready_s, boot_s, service_s, limit=wanted - fleet.active)
    return min(wanted, fleet.active + more)


def _growth(
    fleet: Survey, desired: int, memory: Memory, config: Config, now: float
) -> tuple[tuple[str, ...], Order | None]:
    """Ids to start and what to launch. A stopped instance has its slot already; a launch needs room."""
    need = max(0, desired - fleet.active)
    # Binds only if more is owned than allowed: else each stopped instance has a slot of its own.
    slots = max(0, config.max_instances - (fleet.owned - fleet.stopped))
    start = _ids(fleet.startable[: min(need, slots, available(memory.allowances, "start", now, config.limits))])
    room = max(0, config.max_instances - fleet.owned)
    # A launch that EC2's limits cut short is completed by the next ticks.
    more = min(need - len(start), room, available(memory.allowances, "launch", now, config.limits))
    if more <= 0 or fleet.offering is None or LAUNCH in fleet.backed_off:
        return start, None
    # A second launch within the minute needs another client token, or EC2 answers with the first one's instances.
    sequence = sum(1 for launch in memory.launches if launch.asked_at // CLIENT_TOKEN_S == now // CLIENT_TOKEN_S)
    return start, Order(more, _lowest_free(fleet.numbers), fleet.offering, sequence)


def _removals(
    observation: Observation, fleet: Survey, memory: Memory, config: Config, *, started: set[str], missing: int
) -> list[Removal]:
    """What to stop and to terminate, by reason, in a tick that starts `started` and leaves `missing` instances out."""
    at, quiet_s = observation.taken_at, memory.quiet_s(observation.taken_at)
    # The highest numbers go first.
    spare = [i for i in reversed(fleet.reusable) if i.id not in started]
    # What goes anyway makes room by itself.
    going = fleet.dying + len(fleet.stale) + len(fleet.aged) + len(fleet.hung)
    surplus = _ids(spare[: max(0, fleet.owned - going - config.max_instances)])
    displaced: tuple[str, ...] = ()
    beyond: tuple[str, ...] = ()
    if not observation.demand:
        pool = config.max_instances if config.warm_pool is None else config.warm_pool
        excess = {*_ids(spare[: max(0, len(spare) - pool)])}
        beyond = _ids(i for i in spare if i.id in excess or at - i.started_at > config.warm_s)
    # A slot is worth freeing only if no other is free and a place with machines can use it.
    elif fleet.owned >= config.max_instances and fleet.offering is not None and LAUNCH not in fleet.backed_off:
        unusable = _ids(i for i in spare if i.id in fleet.backed_off and memory.backoffs[i.id].capacity)
        displaced = unusable[: max(0, missing - fleet.dying)]
    idle = _ids(i for i in fleet.running if _is_idle(i, at, quiet_s, config))
    found = [
        Removal("terminate", "a former image", _ids(fleet.stale)),
        Removal("terminate", "over-age", _ids(fleet.aged)),
        Removal("terminate", "hung while booting", _ids(fleet.hung)),
        Removal("terminate", "above the maximum", surplus),
        Removal("terminate", "beyond the warm pool", beyond),
        Removal("terminate", "out of capacity, and another offering needs the slot", displaced),
        Removal("stop", f"still running after {quiet_s:.0f} s without demand", idle),
    ]
    # What failed a moment ago is not tried again yet. An instance that could not be started because EC2 is out of
    # capacity can still be terminated.
    left_out = {key for key in fleet.backed_off if not memory.backoffs[key].capacity}
    removals = []
    for removal in found:
        ids = tuple(i for i in removal.ids if i not in left_out)
        # The first reason counts: none is removed twice.
        left_out |= {*ids}
        if ids:
            removals.append(replace(removal, ids=ids))
    return removals


def _is_idle(instance: Instance, at: float, quiet_s: float, config: Config) -> bool:
    """Whether there was no demand for so long that the instance must have failed to stop itself."""
    enough_s = COUNT_LAG_S if is_aged(instance, at, config) else config.reap_after_s
    return quiet_s >= enough_s and at - instance.started_at >= enough_s


def _lowest_free(numbers: Collection[int]) -> int:
    return next(n for n in count(1) if n not in numbers)


def _ids(instances: Iterable[Instance]) -> tuple[str, ...]:
    return tuple(i.id for i in instances)
