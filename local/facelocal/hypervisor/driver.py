"""What the hypervisor needs of whatever runs the workers: one worker per instance, by instance id."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class WorkerState:
    """A worker that runs, or that ended and is still remembered."""

    running: bool
    exit_status: int | None = None
    """How it ended, negative for a signal; None while it runs and where nobody can tell."""


class Driver(Protocol):
    """Runs workers. A new driver over the same state finds the workers that an earlier one started."""

    def workers(self) -> dict[str, WorkerState]:
        """All workers by instance id, those that ended included until they are removed."""

    def start(self, instance_id: str, environment: Mapping[str, str]) -> None:
        """Starts the instance's worker, which must not run; an ended one is replaced."""

    def stop(self, instance_id: str) -> None:
        """Asks the worker to end, and ends it after the grace period. Returns at once; call it until it has ended."""

    def remove(self, instance_id: str) -> None:
        """Forgets a worker that ended."""
