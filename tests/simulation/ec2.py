"""EC2 in the simulation: the tests' FakeEc2, with times and failures drawn at random, and a bill."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf

from facecontroller.cost import LEAST_BILLED_S
from support.fakes.aws import Journal
from support.fakes.clock import Clock
from support.fakes.ec2 import FakeEc2
from support.fakes.ec2_parts import LOST_ANSWER, Bucket, Machine

from simulation.traces import Trace

# A cold launch, a start, and the part of both that follows `running`, as measured by others: see docs/simulation.md.
COLD_S, WARM_S, AFTER_RUNNING_S = 25.8, 21.2, 3.2
MOST_LAG_S = 2.0
PARTIAL = 0.1
"""Share of launches that make fewer instances than asked for."""
USD_PER_HOUR = 0.1008
CHANGING = ("run_instances", "start_instances", "stop_instances", "terminate_instances", "create_tags")


@dataclass
class Bill:
    """What instances ran and cost."""

    running_s: float = 0.0
    billed_s: float = 0.0
    starts: int = 0
    flaps: int = 0
    """Starts of what has been stopped for less than the minute that is billed at least."""
    running_since: dict[str, float] = field(default_factory=dict)
    stopped_at: dict[str, float] = field(default_factory=dict)

    def changed(self, machine: Machine, now: float) -> None:
        """Counts a change of state."""
        if machine.state == "pending":
            self.starts += 1
            self.flaps += now - self.stopped_at.get(machine.id, -inf) < LEAST_BILLED_S
        elif machine.state == "running":
            self.running_since[machine.id] = now
        elif machine.state == "stopped":
            self.stopped_at[machine.id] = now
        elif machine.id in self.running_since:
            self._end(machine.id, now)

    def settle(self, now: float) -> None:
        """Adds what still runs."""
        for machine_id in [*self.running_since]:
            self._end(machine_id, now)

    def _end(self, machine_id: str, now: float) -> None:
        ran_s = now - self.running_since.pop(machine_id)
        self.running_s += ran_s
        self.billed_s += max(ran_s, LEAST_BILLED_S)


class SimulatedEc2(FakeEc2):
    """FakeEc2 in the weather of a trace. `booted` and `halted` are told when a worker can begin and has to end."""

    def __init__(
        self,
        trace: Trace,
        seed: int,
        clock: Clock,
        journal: Journal,
        *,
        booted: Callable[[Machine], None],
        halted: Callable[[Machine], None],
    ) -> None:
        super().__init__(clock, journal)
        self._trace = trace
        self._boots, self._lags, self._calls = (random.Random(f"{seed} {name}") for name in ("boots", "lags", "calls"))
        self._booted, self._halted = booted, halted
        self.image = "ami"
        self.bill = Bill()
        self.active = 0
        """Instances that boot or run."""
        self.owned = self.most_owned = 0
        """Instances that are not terminated."""
        for operation in ("run_instances", "start_instances"):
            limits = trace.limits
            rates = ((limits.calls, limits.calls_per_s), (limits.instances, limits.instances_per_s))
            self.limits[operation] = tuple(Bucket(*rate) for rate in rates)
        for offering, since, until in trace.out_of_capacity:
            place = (offering.instance_type, offering.subnet)
            clock.at(since, lambda place=place: self.out_of_capacity.add(place))
            clock.at(until, lambda place=place: self.out_of_capacity.discard(place))

    def boot_time_s(self, machine: Machine) -> float:
        """See FakeEc2."""
        hangs = self._boots.random() < self._trace.faults.hang
        boot_s = WARM_S if machine.state else COLD_S
        return inf if hangs else boot_s * self._boots.uniform(0.9, 1.1) - AFTER_RUNNING_S

    def shown_after_s(self) -> float:
        """See FakeEc2."""
        return self._lags.uniform(0, MOST_LAG_S)

    def made(self, wanted: int) -> int:
        """See FakeEc2."""
        return wanted if self._calls.random() > PARTIAL else self._calls.randint(1, wanted)

    def fault(self, operation: str) -> str:
        """See FakeEc2."""
        lost = operation in CHANGING and self._calls.random() < self._trace.faults.lost_answer
        return LOST_ANSWER if lost else ""

    def changed(self, machine: Machine, former: str) -> None:
        """See FakeEc2."""
        self.bill.changed(machine, self._clock.now_s)
        alive = ("pending", "running")
        self.active += (machine.state in alive) - (former in alive)
        if machine.state == "terminated" or not former:
            self.owned += 1 if not former else -1
            self.most_owned = max(self.most_owned, self.owned)
        if machine.state == "running":
            change = machine.changes
            self._clock.later(AFTER_RUNNING_S, lambda: machine.changes == change and self._booted(machine))
        elif former == "running":
            self._halted(machine)
