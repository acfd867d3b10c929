"""Machines that boot a built AMI, and what they find in the account: a deployment with a gallery."""

import io
import tarfile
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
from docker.types import Mount
from facecore.aws import Aws
from facelocal.emulator import resources
from facelocal.hypervisor.machines import WorkerState
from facelocal.hypervisor.whole_machines import MachineDriver
from facelocal.settings import EmulatorSettings

from support.aws.cloud import Cloud
from support.ground import CREDENTIALS, ROOT, until
from support.stacks.machine_build import MACHINE_IMAGE, BuiltMachine

# Its disk is copied first, a gigabyte.
STARTED_IN_S = 120.0
ENDPOINT = "http://localstack:4566"
"""LocalStack as machines reach it."""


@dataclass
class Machine:
    """One machine, from its boot to its power-off."""

    instance_id: str
    driver: MachineDriver
    container: Any

    def state(self) -> WorkerState:
        """Whether it runs, and how it ended."""
        return self.driver.workers()[self.instance_id]

    def wait_until_off(self, timeout_s: float) -> float:
        """Seconds until it has powered itself off; raises AssertionError after `timeout_s`, or where it crashed."""
        start = time.monotonic()
        until(lambda: not self.state().running, timeout_s, f"the machine runs:\n{self.console()}")
        assert self.state().exit_status == 0, self.console()
        return time.monotonic() - start

    def console(self) -> str:
        """What was written to its console, as EC2 keeps it."""
        return str(self.container.logs().decode(errors="replace"))

    def run(self, *command: str) -> str:
        """What a command says that is run on the machine; raises AssertionError where it fails."""
        status, output = self.container.exec_run(list(command))
        assert status == 0, output
        return str(output.decode())

    def journal(self, unit: str) -> str:
        """What the unit logged, read from the machine's disk: it may be off."""
        with tempfile.TemporaryDirectory() as folder:
            chunks, _ = self.container.get_archive("/var/log/journal")
            with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as archive:
                archive.extractall(folder, filter="data")
            client = docker.from_env()
            command = ["journalctl", "--directory", "/journal", "--unit", unit, "--output", "cat", "--no-pager"]
            mounts = [Mount("/journal", f"{folder}/journal", type="bind", read_only=True)]
            return str(client.containers.run(self.container.image.id, command, remove=True, mounts=mounts).decode())


def new_driver(
    cloud: Cloud, machine: BuiltMachine, metadata_image: str, log_dir: Path, network: str = ""
) -> MachineDriver:
    """A driver whose instances are all of the built AMI."""
    return MachineDriver(
        cloud.engine,
        ami_of=lambda _: machine.ami,
        machine_image=MACHINE_IMAGE,
        metadata_image=metadata_image,
        network=network or cloud.network,
        log_dir=log_dir,
        stop_grace_s=30,
    )


@contextmanager
def booted(driver: MachineDriver, cloud: Cloud, settings: Mapping[str, str], network: str = "") -> Iterator[Machine]:
    """A machine that was told `settings` as its user data, while the block runs."""
    instance_id = f"i-{uuid.uuid4().hex[:17]}"
    name = f"{network or cloud.network}-{instance_id}"
    driver.start(instance_id, CREDENTIALS | {"EFACE_REGION": "us-east-1", "AWS_ENDPOINT_URL": ENDPOINT} | settings)
    try:
        until(
            lambda: cloud.engine.containers.list(filters={"name": f"{name}$"}),
            STARTED_IN_S,
            "the machine does not start",
        )
        yield Machine(instance_id, driver, cloud.engine.containers.get(name))
    finally:
        off = False
        while not off:
            driver.stop(instance_id)
            time.sleep(0.3)
            off = not driver.workers()[instance_id].running
        driver.remove(instance_id)
        # Its disk goes last.
        until(lambda: not cloud.engine.volumes.list(filters={"name": name}), failure="the machine is not removed")


def log_group(deployment_id: str) -> str:
    """The log group of a deployment's programs."""
    return f"/elastic-face/{deployment_id}"


def logged(settings: EmulatorSettings, stream: str) -> str:
    """What a program wrote to its log stream, `<instance id>/<program>`."""
    logs = Aws(settings).client("logs")
    events = logs.get_log_events(logGroupName=log_group(settings.id), logStreamName=stream, startFromHead=True)[
        "events"
    ]
    return "\n".join(event["message"] for event in events)


def deploy(cloud: Cloud, worker_image: str, ami: str, worker_environment: str = "", name: str = "") -> EmulatorSettings:
    """A deployment in the account: its resources, its log group, and the gallery of the tests."""
    settings = EmulatorSettings(
        id=name or f"t{uuid.uuid4().hex[:10]}",
        endpoint_url=cloud.aws_url,
        resources_file=ROOT / "deploy/resources.yaml",
        ami=ami,
        worker_environment=worker_environment,
    )
    resources.create(Aws(settings), settings)
    Aws(settings).client("logs").create_log_group(logGroupName=log_group(settings.id))
    cloud.engine.containers.run(
        worker_image,
        ["faceworker.enrol", "/gallery", "--upload", "--model", "auto"],
        environment=CREDENTIALS | {"EFACE_ID": settings.id, "AWS_ENDPOINT_URL": ENDPOINT},
        network=cloud.network,
        mounts=[Mount("/gallery", str(ROOT / "tests/faces/gallery"), type="bind", read_only=True)],
        remove=True,
    )
    return settings
