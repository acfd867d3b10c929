"""Starts stacks of containers for tests, each on free ports and under a project name of its own."""

import io
import os
import subprocess
import tarfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import docker

from support.ground import ROOT, free_ports, until
from support.stacks.stack import Stack, log_lines

NETWORK_LABEL = "elastic-face.network"
COMPOSE_LABEL = "com.docker.compose"
GONE_IN_S = 30.0


@dataclass
class ComposeStack(Stack):
    """A stack whose containers can be found, inspected, killed and paused."""

    project: str = ""

    @cached_property
    def engine(self) -> Any:
        return docker.from_env()

    def service(self, name: str) -> Any:
        """The container of a service."""
        return self._containers(f"{COMPOSE_LABEL}.project={self.project}", f"{COMPOSE_LABEL}.service={name}")[0]

    def workers(self) -> list[Any]:
        """The workers' containers that run."""
        return [worker for worker in self._containers(self._worker_label) if worker.status == "running"]

    def worker_logs(self) -> list[list[dict[str, Any]]]:
        # The hypervisor keeps a worker's log when it removes the container.
        until(lambda: not self._containers(self._worker_label), GONE_IN_S, "a worker's container exists")
        chunks, _ = self.service("hypervisor").get_archive("/var/log/elastic-face")
        with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as archive:
            files = [archive.extractfile(entry) for entry in archive if entry.name.endswith(".log")]
            return [log_lines(file.read().decode()) for file in files if file]

    def leftovers(self) -> list[str]:
        """Containers, networks and volumes of this stack that exist."""
        label = f"{COMPOSE_LABEL}.project={self.project}"
        found = [
            *self._containers(label),
            *self._containers(self._worker_label),
            *self.engine.networks.list(filters={"label": label}),
            *self.engine.volumes.list(filters={"label": label}),
        ]
        return [thing.name for thing in found]

    @property
    def _worker_label(self) -> str:
        return f"{NETWORK_LABEL}={self.project}-instances"

    def _containers(self, *labels: str) -> list[Any]:
        # Workers come and go: one that is removed after it was listed is passed over.
        return list(self.engine.containers.list(all=True, ignore_removed=True, filters={"label": list(labels)}))


def compose(command: str, environment: dict[str, str], timeout_s: int = 840) -> subprocess.CompletedProcess[str]:
    """Runs a command of the compose stack as `make` does."""
    return subprocess.run(
        [ROOT / "local/compose", command],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


@contextmanager
def started(**variables: str) -> Iterator[ComposeStack]:
    """A stack that is up while the block runs."""
    web_port, aws_port = free_ports(2)
    project = f"elastic-face-test-{uuid.uuid4().hex[:8]}"
    environment = {"COMPOSE_PROJECT_NAME": project, "WEB_PORT": str(web_port), "AWS_PORT": str(aws_port), **variables}
    up = compose("up", environment)
    stack = ComposeStack(f"http://127.0.0.1:{web_port}", f"http://127.0.0.1:{aws_port}", project)
    try:
        assert up.returncode == 0, up.stdout + up.stderr
        yield stack
    finally:
        down = compose("down", environment)
        assert down.returncode == 0, down.stdout + down.stderr
    assert stack.leftovers() == []
