"""Converges the workers on this computer to the emulated EC2, a few times a second."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from facecore import user_data
from facecore.aws import translated
from facecore.errors import AwsError, NotFoundError, SettingsError
from facecore.logs import get_logger

from facelocal.hypervisor.machines import Driver, Machines, Step

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

log = get_logger(__name__)


class Ec2:
    """The app tier's instances of one deployment. Every method raises the AWS errors of `facecore.errors`."""

    def __init__(self, client: EC2Client, deployment_id: str) -> None:
        self._client = client
        self._deployment_id = deployment_id
        self._is_ours: dict[str, bool] = {}

    def running(self) -> list[str]:
        """Ids of the instances that run."""
        # The states alone are a fifth of the emulator's work for whole descriptions; those are read once an instance.
        with translated("look at the states of the instances"):
            pages = self._client.get_paginator("describe_instance_status").paginate()
            running = [status["InstanceId"] for page in pages for status in page["InstanceStatuses"]]
        if strangers := [instance_id for instance_id in running if instance_id not in self._is_ours]:
            with translated("look at the app tier's instances"):
                described = self._client.get_paginator("describe_instances").paginate(
                    InstanceIds=strangers,
                    Filters=[
                        {"Name": "tag:elastic-face:id", "Values": [self._deployment_id]},
                        {"Name": "tag:Name", "Values": ["app-tier-instance-*"]},
                    ],
                )
                groups = [group for page in described for group in page["Reservations"]]
            ours = {instance["InstanceId"] for group in groups for instance in group["Instances"]}
            self._is_ours |= {instance_id: instance_id in ours for instance_id in strangers}
        return [instance_id for instance_id in running if self._is_ours[instance_id]]

    def user_data(self, instance_id: str) -> dict[str, str]:
        """The variables of the instance's user data; raises SettingsError if a machine would refuse them at boot."""
        with translated(f"read the user data of {instance_id}"):
            answer = self._client.describe_instance_attribute(InstanceId=instance_id, Attribute="userData")
        encoded = answer.get("UserData", {}).get("Value", "")
        if not encoded:
            # LocalStack 4.14 gives an instance nothing of its launch template.
            name = f"{self._deployment_id}-worker"
            with translated(f"read the launch template {name}"):
                found = self._client.describe_launch_template_versions(LaunchTemplateName=name, Versions=["$Default"])
            encoded = found["LaunchTemplateVersions"][0]["LaunchTemplateData"].get("UserData", "")
        return user_data.decode(encoded)

    def image_id(self, instance_id: str) -> str:
        """The AMI that the instance was launched from."""
        with translated(f"look up the image of {instance_id}"):
            found = self._client.describe_instances(InstanceIds=[instance_id])["Reservations"]
        return found[0]["Instances"][0]["ImageId"]

    def size(self, instance_type: str) -> tuple[int, int]:
        """Processors and memory in MiB of an instance type."""
        with translated(f"look up the instance type {instance_type}"):
            found = self._client.describe_instance_types(InstanceTypes=[instance_type])["InstanceTypes"]  # type: ignore[list-item]
        return found[0]["VCpuInfo"]["DefaultVCpus"], found[0]["MemoryInfo"]["SizeInMiB"]

    def power_off(self, instance_id: str) -> None:
        """What EC2 does when a machine powers itself off and its shutdown behaviour is `stop`."""
        with translated(f"stop {instance_id}"):
            self._client.stop_instances(InstanceIds=[instance_id])


class Hypervisor:
    """One pass looks at EC2 and the workers and takes the steps that `Machines` decides."""

    def __init__(
        self, ec2: Ec2, driver: Driver, machines: Machines, host: Mapping[str, str], heartbeat_file: Path
    ) -> None:
        """`host` is what a machine learns from its surroundings on EC2: credentials, region, endpoint.

        `heartbeat_file` is touched after each pass, including one that did not reach EC2.
        """
        self._ec2 = ec2
        self._driver = driver
        self._machines = machines
        self._host = dict(host)
        self._heartbeat_file = heartbeat_file
        self._user_data: dict[str, dict[str, str]] = {}

    def run(self, stop: threading.Event, poll_s: float) -> None:
        """Passes every `poll_s` seconds, and when a machine has booted, until `stop` is set; then ends all workers."""
        reachable = True
        pause_s = poll_s
        while not stop.wait(pause_s):
            try:
                self.once()
            except AwsError as error:
                if reachable:
                    log.warning("ec2_is_unreachable", error=str(error))
                reachable = False
            else:
                if not reachable:
                    log.info("ec2_is_reachable_again")
                reachable = True
            self._heartbeat_file.touch()
            next_boot = self._machines.next_boot()
            pause_s = poll_s if next_boot is None else min(poll_s, max(0.0, next_boot - time.monotonic()))
        while running := [id_ for id_, worker in self._driver.workers().items() if worker.running]:
            for instance_id in running:
                self._driver.stop(instance_id)
            time.sleep(poll_s)
        for instance_id in self._driver.workers():
            self._driver.remove(instance_id)
        self._driver.close()

    def once(self) -> None:
        """One pass; raises the AWS errors of `facecore.errors`."""
        running = self._told(self._ec2.running())
        steps = self._machines.steps(running, self._driver.workers(), time.monotonic())
        for instance_id, step, reason in steps:
            # Asking a worker to end is repeated at each pass until it has ended.
            if step is not Step.HALT:
                log.info("step", instance_id=instance_id, step=step.name.lower(), reason=reason)
            try:
                match step:
                    case Step.BOOT:
                        environment = self._host | self._user_data[instance_id] | {"EFACE_INSTANCE_ID": instance_id}
                        self._driver.start(instance_id, environment)
                    case Step.HALT:
                        self._driver.stop(instance_id)
                    case Step.CLEAR:
                        self._driver.remove(instance_id)
                    case Step.POWER_OFF:
                        self._ec2.power_off(instance_id)
                        self._driver.remove(instance_id)
            except NotFoundError as error:
                log.warning("instance_is_gone", instance_id=instance_id, error=str(error))

    def _told(self, running: list[str]) -> list[str]:
        """The running instances whose user data is right; the others are powered off, as a machine does itself."""
        known = {instance_id: self._user_data[instance_id] for instance_id in running if instance_id in self._user_data}
        for instance_id in running:
            if instance_id not in known:
                # While it boots, as the machine would, so that fifteen that boot at once start at once.
                try:
                    known[instance_id] = self._ec2.user_data(instance_id)
                except SettingsError as error:
                    log.error("user_data_refused", instance_id=instance_id, error=str(error))
                    self._ec2.power_off(instance_id)
        self._user_data = known
        return list(known)
