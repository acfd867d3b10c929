"""The simulation itself: a heap of events, the queue, EC2, the workers and one controller (or two)."""

import heapq
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from facecontroller.model import Actions, Observation, Outcome
from faceworker.lifecycle import Event, Lifecycle, Step

from simulation.ec2 import SimEc2, SimMachine
from simulation.policies import Policy
from simulation.queue import SimQueue
from simulation.traces import Trace

IDLE_S, VISIBILITY_S, RESTART_S = 5.0, 6.0, 1.0
"""The worker's settings, and its systemd unit's pause before a restart."""
TICK_S = 1.0
STEPS = ("received", "stored", "replied")
"""Where a worker can crash: before the result is stored, before the reply, before the message is deleted."""
MAX_FAILURES = 5
"""Failures of a worker in a row after which its unit powers the machine off."""


@dataclass(slots=True)
class SimWorker:
    """One worker's process, or the next one on the same machine."""

    machine: SimMachine
    life: int
    lifecycle: Lifecycle = field(default_factory=Lifecycle)
    request: int | None = None
    poll: int = 0
    failures: int = 0


@dataclass
class Series:
    """What was so at each tick."""

    at: list[float] = field(default_factory=list)
    queue: list[int] = field(default_factory=list)
    instances: list[int] = field(default_factory=list)


class World:
    """One trace under one policy. The same trace, policies and seed give the same run."""

    def __init__(self, trace: Trace, make: Callable[[Trace], Policy], seed: int) -> None:
        self.trace = trace
        self._rng = random.Random(seed)
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._planned = 0
        self.now = 0.0
        self.queue = SimQueue(trace.faults, self._rng)
        self.ec2 = SimEc2(trace, self._rng, self.later, self._booted, self._halted)
        self._make = make
        self._controllers = [make(trace) for _ in range(2 if trace.faults.twin else 1)]
        self._workers: dict[str, SimWorker] = {}
        self._polling: deque[tuple[SimWorker, int]] = deque()
        self.replied_at = np.full(len(trace.arrivals), np.nan)
        self.deleted: set[int] = set()
        self._poisonous = {
            n for n in range(len(trace.arrivals)) if trace.faults.poison and self._rng.random() < trace.faults.poison
        }
        self.series = Series()
        self.stopped_while_busy = 0
        self.after_tick: Callable[[Observation | None, Actions], None] = lambda _observation, _actions: None

    def later(self, delay_s: float, call: Callable[[], None]) -> None:
        """Runs `call` after `delay_s` seconds."""
        self._planned += 1
        heapq.heappush(self._events, (self.now + delay_s, self._planned, call))

    def run(self, until_s: float, progress: Callable[[float], object] = lambda _now: None) -> None:
        """Runs until all requests are settled and nothing runs, or until `until_s`."""
        arrivals, services = self.trace.arrivals.tolist(), self.trace.service_s.tolist()
        self._services = services
        self.later(0.0, self._tick)
        upcoming, count = 0, len(arrivals)
        while self.now < until_s:
            next_at = self._events[0][0]
            while upcoming < count and arrivals[upcoming] <= next_at:
                self.now = arrivals[upcoming]
                self.queue.put(upcoming)
                upcoming += 1
                self._serve()
                next_at = self._events[0][0]
            self.now, _, call = heapq.heappop(self._events)
            call()
            if call == self._tick:
                progress(self.now)
                if upcoming == count and self.is_over():
                    break
        self.ec2.settle(self.now)

    def is_over(self) -> bool:
        """Whether nothing waits and nothing runs."""
        return not self.queue.visible and self.queue.in_flight == 0 and self.ec2.active == 0

    def _tick(self) -> None:
        self.later(TICK_S, self._tick)
        self.series.at.append(self.now)
        self.series.queue.append(len(self.queue.visible) + self.queue.in_flight)
        self.series.instances.append(self.ec2.active)
        away = any(since <= self.now < until for since, until in self.trace.outages)
        for n in range(len(self._controllers)):
            self._control(n, away)

    def _control(self, n: int, away: bool) -> None:
        controller = self._controllers[n]
        observation = None if away else self._observe()
        actions = controller.decide(observation, self.now)
        if actions:
            for machine_id in actions.stop:
                worker = self._workers.get(machine_id)
                self.stopped_while_busy += worker is not None and worker.request is not None
            outcome = Outcome() if away else self.ec2.act(actions, self.now)
            controller.done(outcome, self.now)
        self.after_tick(observation, actions)
        if self._rng.random() < self.trace.faults.controller_crash:
            self._controllers[n] = self._make(self.trace)

    def _observe(self) -> Observation:
        visible, in_flight = self.queue.look()
        return Observation(self.now, visible + in_flight, "ami", tuple(self.ec2.seen.values()), in_flight)

    def _booted(self, machine: SimMachine) -> None:
        worker = self._workers[machine.id] = SimWorker(machine, machine.life)
        self._advance(worker, Event.READY)

    def _halted(self, machine: SimMachine) -> None:
        worker = self._workers.pop(machine.id, None)
        if worker is not None and worker.request is not None:
            self._lose(worker.request)

    def _advance(self, worker: SimWorker, event: Event) -> None:
        """What the worker's own state machine says is next."""
        step = worker.lifecycle.after(event, stopping=False)
        if step is Step.POLL:
            self._poll(worker)
        elif step is Step.HANDLE:
            self._handle(worker)
        elif step is Step.END:
            del self._workers[worker.machine.id]
            self.ec2.power_off(worker.machine, self.now)

    def _poll(self, worker: SimWorker) -> None:
        worker.poll += 1
        poll = worker.poll
        self._polling.append((worker, poll))
        self._serve()
        if worker.request is None:
            self.later(IDLE_S, lambda: self._poll_ends(worker, poll))

    def _poll_ends(self, worker: SimWorker, poll: int) -> None:
        if worker.poll == poll and worker.request is None and self._lives(worker):
            worker.poll += 1
            self._advance(worker, Event.EMPTY)

    def _serve(self) -> None:
        """Gives what is visible to those who poll."""
        while self._polling and self.queue.visible:
            worker, poll = self._polling.popleft()
            if worker.poll != poll or not self._lives(worker):
                continue
            request = self.queue.take()
            if request is None:
                self._polling.appendleft((worker, poll))
                return
            worker.request = request
            self._advance(worker, Event.RECEIVED)

    def _handle(self, worker: SimWorker) -> None:
        request = worker.request
        assert request is not None
        poisonous = request in self._poisonous
        if poisonous or self._rng.random() < self.trace.faults.crash:
            at = STEPS[0] if poisonous else self._rng.choice(STEPS)
            self.later(self._services[request], lambda: self._crash(worker, request, at))
        else:
            self.later(self._services[request], lambda: self._answer(worker, request))

    def _answer(self, worker: SimWorker, request: int) -> None:
        if not self._lives(worker):
            return
        self._reply(request)
        self.queue.delete()
        self.deleted.add(request)
        worker.request, worker.failures = None, 0
        self._advance(worker, Event.HANDLED)

    def _crash(self, worker: SimWorker, request: int, at: str) -> None:
        if not self._lives(worker):
            return
        if at == "replied":
            self._reply(request)
        worker.request = None
        self._lose(request)
        worker.failures += 1
        if worker.failures == MAX_FAILURES:
            del self._workers[worker.machine.id]
            self.ec2.power_off(worker.machine, self.now)
            return
        worker.lifecycle = Lifecycle()
        self.later(RESTART_S, lambda: self._lives(worker) and self._advance(worker, Event.READY))

    def _reply(self, request: int) -> None:
        if np.isnan(self.replied_at[request]):
            self.replied_at[request] = self.now

    def _lose(self, request: int) -> None:
        self.later(VISIBILITY_S, lambda: (self.queue.reappear(request), self._serve()))

    def _lives(self, worker: SimWorker) -> bool:
        return self._workers.get(worker.machine.id) is worker
