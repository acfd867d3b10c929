"""EC2 in the simulation: six states, a lag before they are seen, token buckets, dry offerings, partial launches."""

import random
from collections.abc import Callable
from dataclasses import astuple, dataclass

from facecontroller.cost import LEAST_BILLED_S
from facecontroller.model import CLIENT_TOKEN_S, LAUNCH, Actions, Failure, Instance, Launch, Order, Outcome, State

from simulation.traces import Trace

COLD_S, WARM_S, AFTER_RUNNING_S = 25.8, 21.2, 3.2
"""ELASTICITY.md: a cold launch, a start, and the part of both that follows `running`."""
STOPPING_S = 5.0
MOST_LAG_S = 2.0
USD_PER_HOUR = 0.1008


@dataclass(slots=True)
class SimMachine:
    """One instance and its bill."""

    id: str
    number: int
    offering: str
    created_at: float
    state: State | None = State.PENDING
    """None once it is terminated."""
    started_at: float = 0.0
    running_at: float | None = None
    stopped_at: float = -1e9
    token: str = ""
    life: int = 0
    """Counts its boots, so that what was planned for a former one is void."""


class Bucket:
    """One of EC2's token buckets."""

    def __init__(self, burst: float, per_s: float) -> None:
        self._burst, self._per_s = burst, per_s
        self._held, self._at = burst, 0.0

    def take(self, wanted: float, now: float) -> bool:
        """Takes `wanted` tokens if they are there."""
        self._held = min(self._burst, self._held + self._per_s * (now - self._at))
        self._at = now
        if self._held < wanted:
            return False
        self._held -= wanted
        return True


class SimEc2:
    """The fleet. `later(delay_s, call)` runs something later; `booted` and `halted` tell of workers."""

    def __init__(
        self,
        trace: Trace,
        rng: random.Random,
        later: Callable[[float, Callable[[], None]], None],
        booted: Callable[[SimMachine], None],
        halted: Callable[[SimMachine], None],
    ) -> None:
        self._trace, self._rng, self._later = trace, rng, later
        self._booted, self._halted = booted, halted
        calls, instances = astuple(trace.limits)[:2], astuple(trace.limits)[2:]
        self._buckets = {name: (Bucket(*calls), Bucket(*instances)) for name in ("start", "launch")}
        self._launches: dict[str, tuple[Order, list[str]]] = {}
        self.machines: dict[str, SimMachine] = {}
        self.seen: dict[str, Instance] = {}
        self.alive = 0
        self.most_alive = 0
        self.throttled = 0
        self.starts = self.flaps = 0
        self.running_s = self.billed_s = 0.0
        self.active = 0
        self.stops_of_busy = 0

    def act(self, actions: Actions, now: float) -> Outcome:
        """Does what was decided, as far as EC2 lets it."""
        failures: list[Failure] = []
        started = self._start(actions.start, now, failures)
        launched = self._launch(actions.launch, now, failures) if actions.launch else None
        for machine_id in actions.stop:
            self.power_off(self.machines[machine_id], now)
        for machine_id in actions.terminate:
            self._terminate(self.machines[machine_id], now)
        if actions.rename:
            self.machines[actions.rename.id].number = actions.rename.number
            self._show(self.machines[actions.rename.id])
        launches = (launched,) if launched else ()
        return Outcome(started, launches, actions.stop, actions.terminate, actions.rename, tuple(failures))

    def power_off(self, machine: SimMachine, now: float) -> None:
        """What a worker without work does, or StopInstances."""
        if machine.state is not State.RUNNING:
            return
        self._end_run(machine, now)
        self._become(machine, State.STOPPING)
        life = machine.life
        self._later(STOPPING_S, lambda: self._stopped(machine, life, now + STOPPING_S))

    def settle(self, now: float) -> None:
        """Adds what still runs to the bill."""
        for machine in self.machines.values():
            if machine.state is State.RUNNING:
                self._end_run(machine, now)

    def _start(self, ids: tuple[str, ...], now: float, failures: list[Failure]) -> tuple[str, ...]:
        if not ids:
            return ()
        if not self._allowed("start", len(ids), now):
            failures += [Failure("start", i, "RequestLimitExceeded", "") for i in ids]
            return ()
        started = []
        for machine_id in ids:
            machine = self.machines[machine_id]
            if self._is_dry(machine.offering, now):
                failures.append(Failure("start", machine_id, "InsufficientInstanceCapacity", "", capacity=True))
            elif machine.state is State.STOPPED:
                self.flaps += now - machine.stopped_at < LEAST_BILLED_S
                self._boot(machine, WARM_S, now)
                started.append(machine_id)
        return tuple(started)

    def _launch(self, order: Order, now: float, failures: list[Failure]) -> Launch | None:
        token = f"{order.offering.key}/{now // CLIENT_TOKEN_S:.0f}/{order.sequence}"
        former, ids = self._launches.get(token, (order, []))
        if former != order:
            failures.append(Failure("launch", LAUNCH, "IdempotentParameterMismatch", ""))
            return None
        if not ids:
            if not self._allowed("launch", order.count, now):
                failures.append(Failure("launch", LAUNCH, "RequestLimitExceeded", ""))
                return None
            if self._is_dry(order.offering.key, now):
                key = order.offering.key
                failures.append(Failure("launch", key, "InsufficientInstanceCapacity", "", capacity=True))
                return None
            # EC2 makes as many as it can: now and then that is fewer.
            count = order.count if self._rng.random() > 0.1 else self._rng.randint(1, order.count)
            ids = [self._new(order, token, now) for _ in range(count)]
            self._launches[token] = (order, ids)
        if self._rng.random() < self._trace.faults.lost_answer:
            failures.append(Failure("launch", LAUNCH, "UnavailableError", ""))
            return Launch(now, order.number, order.count, token)
        return Launch(now, order.number, len(ids), token, tuple(ids))

    def _new(self, order: Order, token: str, now: float) -> str:
        machine = SimMachine(f"i-{len(self.machines):05}", order.number, order.offering.key, now, token=token)
        self.machines[machine.id] = machine
        self.alive += 1
        self.most_alive = max(self.most_alive, self.alive)
        self._boot(machine, COLD_S, now)
        return machine.id

    def _boot(self, machine: SimMachine, boot_s: float, now: float) -> None:
        self.starts += 1
        machine.life += 1
        machine.started_at = now
        self.active += 1
        self._become(machine, State.PENDING)
        if self._rng.random() < self._trace.faults.hang:
            return
        boot_s *= self._rng.uniform(0.9, 1.1)
        life = machine.life
        self._later(boot_s - AFTER_RUNNING_S, lambda: self._runs(machine, life, now + boot_s - AFTER_RUNNING_S))

    def _runs(self, machine: SimMachine, life: int, now: float) -> None:
        if machine.life != life or machine.state is not State.PENDING:
            return
        machine.running_at = now
        self._become(machine, State.RUNNING)
        self._later(AFTER_RUNNING_S, lambda: self._ready(machine, life))

    def _ready(self, machine: SimMachine, life: int) -> None:
        if machine.life == life and machine.state is State.RUNNING:
            self._booted(machine)

    def _stopped(self, machine: SimMachine, life: int, now: float) -> None:
        if machine.life == life and machine.state is State.STOPPING:
            machine.stopped_at = now
            self._become(machine, State.STOPPED)

    def _terminate(self, machine: SimMachine, now: float) -> None:
        if machine.state in (None, State.SHUTTING_DOWN):
            return
        if machine.state is State.RUNNING:
            self._end_run(machine, now)
        elif machine.state is State.PENDING:
            self.active -= 1
        machine.life += 1
        self._become(machine, State.SHUTTING_DOWN)
        self._later(STOPPING_S, lambda: self._gone(machine))

    def _gone(self, machine: SimMachine) -> None:
        self.alive -= 1
        machine.state = None
        self._later(self._rng.uniform(0, MOST_LAG_S), lambda: self.seen.pop(machine.id, None))

    def _end_run(self, machine: SimMachine, now: float) -> None:
        assert machine.running_at is not None
        ran_s = now - machine.running_at
        self.running_s += ran_s
        self.billed_s += max(ran_s, LEAST_BILLED_S)
        self.active -= 1
        machine.running_at = None
        self._halted(machine)

    def _become(self, machine: SimMachine, state: State) -> None:
        machine.state = state
        self._show(machine)

    def _show(self, machine: SimMachine) -> None:
        assert machine.state is not None
        described = Instance(
            machine.id, machine.number, machine.state, "ami", machine.created_at, machine.started_at, machine.token
        )
        self._later(self._rng.uniform(0, MOST_LAG_S), lambda: self._see(machine, described))

    def _see(self, machine: SimMachine, described: Instance) -> None:
        if machine.state is not None:
            self.seen[machine.id] = described

    def _allowed(self, operation: str, instances: int, now: float) -> bool:
        calls, resources = self._buckets[operation]
        allowed = calls.take(1, now) and resources.take(instances, now)
        self.throttled += not allowed
        return allowed

    def _is_dry(self, key: str, now: float) -> bool:
        return any(offering == key and since <= now < until for offering, since, until in self._trace.dry)
