"""Decides, instance by instance, what the workers on this computer need to match the emulated EC2.

`Driver` is how it is done: as processes, containers or whole machines.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol


@dataclass(frozen=True, slots=True)
class WorkerState:
    """A worker that runs, or that ended and was not removed yet."""

    running: bool
    exit_status: int | None = None
    """How it ended, negative for a signal; None while it runs and if its end was not seen."""


class Driver(Protocol):
    """Runs one worker per instance. A new driver over the same state finds the workers that an earlier one started."""

    def workers(self) -> dict[str, WorkerState]:
        """All workers by instance id, those that ended included until they are removed."""

    def start(self, instance_id: str, environment: Mapping[str, str]) -> None:
        """Starts the instance's worker, which must not run; an ended one is replaced. May return before it runs."""

    def stop(self, instance_id: str) -> None:
        """Asks the worker to end, and ends it after the grace period. Returns at once; call it until it has ended."""

    def remove(self, instance_id: str) -> None:
        """Removes a worker that ended; what it logged stays. May return before it is gone."""

    def close(self) -> None:
        """Completes the starts and removals in progress. Call it last: a new driver does not know of them."""


class Step(Enum):
    """What to do with an instance now."""

    BOOT = "start the worker"
    HALT = "end the worker: its instance does not run"
    POWER_OFF = "stop the instance: its worker is idle or keeps failing"
    CLEAR = "forget the worker: its instance does not run"


@dataclass(slots=True)
class _Machine:
    boots_at: float
    booted: bool = False
    failures: int = 0


@dataclass(slots=True)
class Machines:
    """The machines' own life: booting, restarting a failed worker, powering off. It knows neither EC2 nor processes.

    Losing it is safe: a machine whose worker runs counts as booted, all others boot once more.
    """

    boot_s: float
    restart_s: float
    max_failures: int
    _machines: dict[str, _Machine] = field(default_factory=dict)

    def steps(
        self, running: Iterable[str], workers: Mapping[str, WorkerState], now: float
    ) -> list[tuple[str, Step, str]]:
        """What to do, as (instance id, step, reason), given the ids of the running instances and the workers.

        `now` is in seconds of any clock that only goes forward.
        """
        wanted = set(running)
        for instance_id in self._machines.keys() - wanted:
            del self._machines[instance_id]
        steps = [self._of_running(instance_id, workers.get(instance_id), now) for instance_id in sorted(wanted)]
        steps += [
            (instance_id, Step.HALT if worker.running else Step.CLEAR, "the instance does not run")
            for instance_id, worker in workers.items()
            if instance_id not in wanted
        ]
        return [step for step in steps if step]

    def next_boot(self) -> float | None:
        """When the next machine will have booted, on the clock of `steps`; None if none boots."""
        return min((machine.boots_at for machine in self._machines.values() if not machine.booted), default=None)

    def _of_running(self, instance_id: str, worker: WorkerState | None, now: float) -> tuple[str, Step, str] | None:
        machine = self._machines.get(instance_id)
        if machine is None:
            machine = self._machines[instance_id] = _Machine(boots_at=now if worker else now + self.boot_s)
        if worker is None:
            machine.booted = now >= machine.boots_at
            return (instance_id, Step.BOOT, "booted") if machine.booted else None
        machine.booted = True
        if worker.running:
            # The pause before a restart counts from here.
            machine.boots_at = now
            return None
        failures = machine.failures + 1
        if worker.exit_status == 0 or failures >= self.max_failures:
            # It is forgotten, so that a start that comes before the next look is a boot like any other.
            del self._machines[instance_id]
            idle = worker.exit_status == 0
            return instance_id, Step.POWER_OFF, "the worker is idle" if idle else f"the worker failed {failures} times"
        if now < machine.boots_at + self.restart_s:
            return None
        machine.failures = failures
        return instance_id, Step.BOOT, f"the worker failed with status {worker.exit_status}"
