"""The simulation itself: requests, the queue, EC2, the workers and one controller (or two), on one virtual clock."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from botocore.exceptions import EndpointConnectionError
from facecontroller.lease import Lease, NoLease, S3Lease
from facecontroller.loop import Pace
from facecore.errors import UnavailableError
from support.fakes.aws import Crashed, Journal
from support.fakes.clock import Clock
from support.fakes.ec2_parts import Machine
from support.fakes.lease import FakeLeaseBucket

from simulation.ec2 import SimulatedEc2
from simulation.fleet import SimulatedFleet
from simulation.policies import Make, Scaler, Site
from simulation.queue import SimulatedQueue
from simulation.traces import Trace
from simulation.workers import Workers

TICK_S = 1.0
RESTART_S = 1.0
"""From the end of a controller's process to the next one's first tick."""
MOST_CALLS = 5
"""A controller that is killed in a tick is so before one of that many calls, or at the end of the tick."""


@dataclass
class Series:
    """What was so at each second."""

    at: list[float] = field(default_factory=list)
    queue: list[int] = field(default_factory=list)
    instances: list[int] = field(default_factory=list)


class World:
    """One trace under one policy. The same trace, policy and seed give the same run."""

    def __init__(self, trace: Trace, make: Make, seed: int) -> None:
        self.trace = trace
        self._make = make
        # Chance of several kinds, so that one policy's more frequent calls do not change how long another's boots take.
        chance = {name: random.Random(f"{seed} {name}") for name in ("requests", "counts", "workers", "controllers")}
        self._requests, self._kills = chance["requests"], chance["controllers"]
        self._arrivals = trace.arrivals.tolist()
        self._arrived = 0
        self.clock = Clock(0.0)
        self.calls = Journal(self.clock, trace.call_s, before=self._trouble)
        """The controller's calls."""
        self._calls_to_live = 0
        self._controllers = 0
        self._lease = FakeLeaseBucket(self.clock, self.calls)
        self.queue = SimulatedQueue(trace.faults, chance["counts"], self.clock, self.calls)
        self.workers = Workers(trace, chance["workers"], self.clock, self.queue, power_off=self._power_off)
        self.ec2 = SimulatedEc2(
            trace, seed, self.clock, self.calls, booted=self.workers.booted, halted=self.workers.halted
        )
        self.series = Series()
        self.ended = False
        """Whether a look found nothing that waits or runs, and nothing to come."""

    def run(self, until_s: float, progress: Callable[[float], object] = lambda _now: None) -> None:
        """Runs, once, until all requests are settled and nothing runs, or until `until_s`."""
        self.clock.later(0.0, self._arrive)
        for _ in range(2 if self.trace.faults.twin else 1):
            self.clock.later(0.0, self._start_controller)
        self.clock.later(0.0, lambda: self._look(progress))
        while self.clock.now_s < until_s and not self.ended:
            self.clock.step()
        self.ec2.bill.settle(self.clock.now_s)

    @property
    def replied_at(self) -> np.ndarray:
        """When each request was answered for the first time; NaN if it was not."""
        return np.array(self.workers.replied_at)

    @property
    def dead(self) -> set[int]:
        """The requests in the dead queue."""
        return {int(body) for body in self.queue.dead.bodies()}

    def _look(self, progress: Callable[[float], object]) -> None:
        self.queue.note()
        self.series.at.append(self.clock.now_s)
        self.series.queue.append(self.queue.visible + self.queue.in_flight)
        self.series.instances.append(self.ec2.active)
        settled = not self.queue.visible and not self.queue.in_flight and not self.ec2.active
        self.ended = settled and self._arrived == len(self._arrivals)
        progress(self.clock.now_s)
        self.clock.later(TICK_S, lambda: self._look(progress))

    def _arrive(self) -> None:
        """The request that is due, and all that come before anything else happens; then plans the next ones."""
        while self._arrived < len(self._arrivals) and self._arrivals[self._arrived] <= self.clock.next_at:
            self.clock.now_s = max(self.clock.now_s, self._arrivals[self._arrived])
            copies = 1 + (self._requests.random() < self.trace.faults.duplicate)
            for _ in range(copies):
                self.queue.send(str(self._arrived))
            self._arrived += 1
            if self.workers.may_poll:
                self.workers.serve()
        if self._arrived < len(self._arrivals):
            self.clock.at(self._arrivals[self._arrived], self._arrive)

    def _power_off(self, machine: Machine) -> None:
        # EC2 is made after the workers, whom it boots and halts.
        self.ec2.power_off(machine)

    def _start_controller(self) -> None:
        self._controllers += 1
        s3: Any = self._lease
        # Two act at once only where no lease keeps one of them from it.
        twin = self.trace.faults.twin
        lease: Lease = NoLease() if twin else S3Lease(s3, "bucket", f"controller-{self._controllers}", self.clock)
        site = Site(self.trace, self.queue, SimulatedFleet(self.ec2), lease, self.clock)
        self._tick(self._make(site), Pace(TICK_S, self.clock.now_s))

    def _tick(self, scaler: Scaler, pace: Pace) -> None:
        """One tick and the plan for the next one. Its calls take time, in which everything else goes on."""
        killed = self._kills.random() < self.trace.faults.controller_crash
        self._calls_to_live = self._kills.randint(1, MOST_CALLS) if killed else 0
        try:
            succeeded = scaler.tick()
            killed = self._calls_to_live > 0
        except Crashed:
            killed = True
        self._calls_to_live = 0
        if killed:
            self.clock.later(RESTART_S, self._start_controller)
        else:
            self.clock.later(pace.wait_s(succeeded, self.clock.now_s), lambda: self._tick(scaler, pace))

    def _trouble(self, call: str) -> None:
        """What happens to a controller's call before it has an effect."""
        if self._calls_to_live:
            self._calls_to_live -= 1
            if not self._calls_to_live:
                raise Crashed(call)
        if any(since <= self.clock.now_s < until for since, until in self.trace.outages):
            if call == "depth":
                raise UnavailableError("no answer")
            raise EndpointConnectionError(endpoint_url="http://aws.test")
