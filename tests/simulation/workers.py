"""The workers in the simulation: production's state machine on each machine, and how it crashes."""

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf, isnan, nan

from facecore.queues import Message
from faceworker.lifecycle import Event, Lifecycle, Step
from support.fakes.aws import FakeQueue
from support.fakes.clock import Clock
from support.fakes.ec2_parts import Machine

from simulation.traces import Trace

# The worker's settings, and its systemd unit's pause before a restart.
IDLE_S, VISIBILITY_S, RESTART_S = 5.0, 6.0, 1.0
STEPS = ("received", "stored", "replied")
"""Where a worker can crash: before the result is stored, before the reply, before the message is deleted."""
MAX_FAILURES = 5
"""Failures of a worker in a row after which its unit powers the machine off."""


@dataclass(slots=True)
class Worker:
    """One worker's process, or the next one on the same machine."""

    machine: Machine
    lifecycle: Lifecycle = field(default_factory=Lifecycle)
    message: Message | None = None
    polls: int = 0
    failures: int = 0


class Workers:
    """All workers of a trace. A machine tells when one can begin and when it has to end; `power_off` is a worker's own.

    Their calls to the queue take no time: they are part of the time for which a worker has a request in hand.
    """

    def __init__(
        self, trace: Trace, rng: random.Random, clock: Clock, queue: FakeQueue, power_off: Callable[[Machine], None]
    ) -> None:
        self._faults, self._rng, self._clock, self._queue = trace.faults, rng, clock, queue
        self._power_off = power_off
        self._services = trace.service_s.tolist()
        self._poisonous = {n for n in range(len(self._services)) if rng.random() < trace.faults.poison}
        self._workers: dict[str, Worker] = {}
        self._polling: deque[tuple[Worker, int]] = deque()
        self.replied_at = [nan] * len(self._services)
        """When each request was answered for the first time."""
        self.stopped_while_busy = 0

    @property
    def may_poll(self) -> bool:
        """Whether a request may find one that polls."""
        return bool(self._polling)

    def booted(self, machine: Machine) -> None:
        """A machine's worker begins."""
        worker = self._workers[machine.id] = Worker(machine)
        self._advance(worker, Event.READY)

    def halted(self, machine: Machine) -> None:
        """A machine's worker ends, whatever it was doing."""
        worker = self._workers.pop(machine.id, None)
        if worker is not None and worker.message is not None:
            self.stopped_while_busy += 1
            self._lose(worker)

    def serve(self) -> None:
        """Gives what is visible to those that poll."""
        while self._polling and self._queue.visible:
            worker, poll = self._polling.popleft()
            if worker.polls != poll or not self._lives(worker):
                continue
            # A heartbeat keeps it hidden for as long as its worker lives: only a crash brings it back.
            received = self._queue.receive(visibility_s=inf)
            if not received:
                # What was visible is in the dead queue now.
                self._polling.appendleft((worker, poll))
                return
            worker.message = received[0]
            self._advance(worker, Event.RECEIVED)

    def _advance(self, worker: Worker, event: Event) -> None:
        """What the worker's own state machine says is next."""
        step = worker.lifecycle.after(event, stopping=False)
        if step is Step.POLL:
            self._poll(worker)
        elif step is Step.HANDLE:
            self._handle(worker)
        elif step is Step.END:
            self._end(worker)

    def _poll(self, worker: Worker) -> None:
        worker.polls += 1
        poll = worker.polls
        self._polling.append((worker, poll))
        self.serve()
        if worker.message is None:
            self._clock.later(IDLE_S, lambda: self._poll_ends(worker, poll))

    def _poll_ends(self, worker: Worker, poll: int) -> None:
        if worker.polls == poll and worker.message is None and self._lives(worker):
            worker.polls += 1
            self._advance(worker, Event.EMPTY)

    def _handle(self, worker: Worker) -> None:
        assert worker.message is not None
        request = int(worker.message.body)
        if request in self._poisonous:
            self._clock.later(self._services[request], lambda: self._crash(worker, request, STEPS[0]))
        elif self._rng.random() < self._faults.crash:
            at = self._rng.choice(STEPS)
            self._clock.later(self._services[request], lambda: self._crash(worker, request, at))
        else:
            self._clock.later(self._services[request], lambda: self._answer(worker, request))

    def _answer(self, worker: Worker, request: int) -> None:
        if not self._lives(worker):
            return
        assert worker.message is not None
        self._reply(request)
        self._queue.delete([worker.message.receipt])
        worker.message, worker.failures = None, 0
        self._advance(worker, Event.HANDLED)

    def _crash(self, worker: Worker, request: int, at: str) -> None:
        if not self._lives(worker):
            return
        if at == "replied":
            self._reply(request)
        self._lose(worker)
        worker.failures += 1
        if worker.failures == MAX_FAILURES:
            self._end(worker)
            return
        worker.lifecycle = Lifecycle()
        self._clock.later(RESTART_S, lambda: self._lives(worker) and self._advance(worker, Event.READY))

    def _reply(self, request: int) -> None:
        # The reply to a duplicate comes too late to matter.
        if isnan(self.replied_at[request]):
            self.replied_at[request] = self._clock.now_s

    def _lose(self, worker: Worker) -> None:
        """Its message comes again when the last heartbeat has run out."""
        assert worker.message is not None
        self._queue.extend(worker.message.receipt, VISIBILITY_S)
        worker.message = None
        self._clock.later(VISIBILITY_S, self.serve)

    def _end(self, worker: Worker) -> None:
        del self._workers[worker.machine.id]
        self._power_off(worker.machine)

    def _lives(self, worker: Worker) -> bool:
        return self._workers.get(worker.machine.id) is worker
