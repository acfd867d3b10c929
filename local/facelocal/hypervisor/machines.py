"""Decides, instance by instance, what the workers on this computer need to match the emulated EC2."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum

from facelocal.hypervisor.driver import WorkerState


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

    Losing it is safe: a machine whose worker runs is taken as booted, all others boot once more.
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
        """When the next machine will have booted, on the clock of `steps`; None where none boots."""
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
            machine.boots_at = now
            return None
        if worker.exit_status == 0:
            return self._power_off(instance_id, "the worker is idle")
        return self._of_failed(instance_id, machine, worker, now)

    def _of_failed(
        self, instance_id: str, machine: _Machine, worker: WorkerState, now: float
    ) -> tuple[str, Step, str] | None:
        if machine.failures + 1 >= self.max_failures:
            return self._power_off(instance_id, f"the worker failed {machine.failures + 1} times")
        if now < machine.boots_at + self.restart_s:
            return None
        machine.failures += 1
        return instance_id, Step.BOOT, f"the worker failed with status {worker.exit_status}"

    def _power_off(self, instance_id: str, reason: str) -> tuple[str, Step, str]:
        """Forgets the machine, so that a start that comes before the next look is a boot like any other."""
        del self._machines[instance_id]
        return instance_id, Step.POWER_OFF, reason
