"""Workers as containers: one for each instance, within the limits of its instance type."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import docker
import docker.errors
from facecore.logs import get_logger

from facelocal.hypervisor.machines import WorkerState

if TYPE_CHECKING:
    from docker import DockerClient

log = get_logger(__name__)

NETWORK_LABEL = "elastic-face.network"
"""Tells the workers of two stacks on one engine apart."""
INSTANCE_LABEL = "elastic-face.instance-id"
# Compose labels the images that it builds, and a container has its image's labels: Compose would take it for its own.
_NOT_OF_COMPOSE = {"com.docker.compose.project": "", "com.docker.compose.service": ""}
_STARTS_AT_ONCE = 5
_NANO = 1_000_000_000
_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Machine:
    """What an instance's container may use."""

    cpus: float
    memory_mib: int


class InstanceContainers(ABC):
    """A container for each instance, labelled with its id, by which a later driver finds it."""

    stop_signal = "SIGTERM"
    """What asks a container to end."""
    powered_off: int | None = None
    """The exit code of a container whose worker was idle, if it is another than the worker's own."""

    def __init__(self, client: DockerClient, *, network: str, log_dir: Path, stop_grace_s: float) -> None:
        self._client = client
        self._network = network
        self._log_dir = log_dir
        self._stop_grace_s = stop_grace_s
        self._kill_at: dict[str, float] = {}
        self._starts: dict[str, Future[None]] = {}
        self._removals: dict[str, Future[None]] = {}
        # The engine takes a second or so for a start or a removal, and works on several at once.
        self._pool = ThreadPoolExecutor(_STARTS_AT_ONCE)
        log_dir.mkdir(parents=True, exist_ok=True)

    def workers(self) -> dict[str, WorkerState]:
        """See Driver. Containers that are being made count as running; those that could not be made have failed."""
        # Before the list: a start that ends in between is on it.
        self._starts = {id_: start for id_, start in self._starts.items() if not start.done() or start.exception()}
        starting = {id_: WorkerState(running=not start.done()) for id_, start in self._starts.items()}
        listed = self._client.api.containers(all=True, filters={"label": f"{NETWORK_LABEL}={self._network}"})
        containers = {container["Labels"][INSTANCE_LABEL]: container for container in listed}
        found = {id_: self._state(container) for id_, container in containers.items() if id_ not in self._removals}
        # After the list: what was gone by then is not on it.
        for instance_id, removal in list(self._removals.items()):
            if removal.done():
                del self._removals[instance_id]
                if error := removal.exception():
                    # The next list has its container again, so the removal is tried again.
                    log.error("container_not_removed", instance_id=instance_id, error=str(error))
        return {id_: state for id_, state in found.items() if state} | starting

    def start(self, instance_id: str, environment: Mapping[str, str]) -> None:
        """See Driver. Returns before the container runs."""
        self._kill_at.pop(instance_id, None)
        if removal := self._removals.pop(instance_id, None):
            # One that failed is tried again before the container is made.
            wait([removal])
        self._starts[instance_id] = self._pool.submit(self._start, instance_id, dict(environment))

    def stop(self, instance_id: str) -> None:
        """See Driver."""
        start = self._starts.get(instance_id)
        if start and not start.done():
            return
        now = time.monotonic()
        deadline = self._kill_at.setdefault(instance_id, now + self._stop_grace_s)
        try:
            self._client.api.kill(self._name(instance_id), "SIGKILL" if now >= deadline else self.stop_signal)
        except docker.errors.APIError as error:
            if error.status_code not in (404, 409):  # it is gone, or it does not run any more
                raise

    def remove(self, instance_id: str) -> None:
        """See Driver. What the worker logged stays in the folder of logs; returns before the container is gone."""
        self._kill_at.pop(instance_id, None)
        self._starts.pop(instance_id, None)
        self._removals[instance_id] = self._pool.submit(self._discard, instance_id)

    def close(self) -> None:
        """See Driver. Without it a container may appear after everything of the stack was removed."""
        self._pool.shutdown()

    def _state(self, container: Mapping[str, Any]) -> WorkerState | None:
        """The state of a container that was listed; None if it was removed since."""
        if container["State"] == "created":
            # Made by a hypervisor that did not live to start it, or about to be started by this one: see `workers`.
            return WorkerState(running=False)
        if container["State"] not in ("exited", "dead"):
            return WorkerState(running=True)
        try:
            details = self._client.api.inspect_container(container["Id"])
        except docker.errors.NotFound:
            return None
        exit_code = int(details["State"]["ExitCode"])
        return WorkerState(running=False, exit_status=0 if exit_code == self.powered_off else exit_code)

    def _start(self, instance_id: str, environment: dict[str, str]) -> None:
        try:
            self._discard(instance_id)
            common = {
                "detach": True,
                "name": self._name(instance_id),
                "labels": _NOT_OF_COMPOSE | {NETWORK_LABEL: self._network, INSTANCE_LABEL: instance_id},
            }
            self._client.containers.run(**self._options(instance_id, environment) | common)
        except Exception as error:
            # Whatever it is: a thread of the pool has no other way to tell.
            log.error("container_did_not_start", instance_id=instance_id, error=str(error))
            raise

    @abstractmethod
    def _options(self, instance_id: str, environment: dict[str, str]) -> dict[str, Any]:
        """Makes what the instance's container needs, and returns the arguments of the Docker client for it."""

    def _discard(self, instance_id: str) -> None:
        """Removes the instance's container, if there is one, and keeps what it logged."""
        try:
            container = self._client.containers.get(self._name(instance_id))
            # The engine removes a container's log with it.
            with (self._log_dir / f"worker-{instance_id}.log").open("ab") as stream:
                for chunk in container.logs(stream=True, follow=False):
                    stream.write(chunk)
            container.remove(force=True)
        except docker.errors.NotFound:
            log.debug("container_was_gone", instance_id=instance_id)

    def _name(self, instance_id: str) -> str:
        return f"{self._network}-{instance_id}"


class ContainerDriver(InstanceContainers):
    """Runs each worker in a container, within the limits of its machine."""

    def __init__(
        self,
        client: DockerClient,
        *,
        image: str,
        network: str,
        machine: Machine,
        log_dir: Path,
        stop_grace_s: float,
    ) -> None:
        super().__init__(client, network=network, log_dir=log_dir, stop_grace_s=stop_grace_s)
        self._image = image
        self._machine = machine

    def _options(self, instance_id: str, environment: dict[str, str]) -> dict[str, Any]:
        return {
            "image": self._image,
            "environment": environment,
            "network": self._network,
            "nano_cpus": int(self._machine.cpus * _NANO),
            "mem_limit": self._machine.memory_mib * _MIB,
            "pids_limit": 256,
            "read_only": True,
            "tmpfs": {"/tmp": "size=512m,mode=1777"},  # noqa: S108  the container's own
            "cap_drop": ["ALL"],
            "security_opt": ["no-new-privileges"],
            "init": True,
            # The hypervisor watches the process; fifteen checks every few seconds would cost a laptop's processor.
            "healthcheck": {"test": ["NONE"]},
        }
