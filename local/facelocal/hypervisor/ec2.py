"""The emulated EC2 as a hypervisor sees it: which machines run, what they are told at boot, and their power-off."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from facecore.aws import translated

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client


class Ec2:
    """The app tier's instances of one deployment. Every method raises the AWS errors of `facecore.errors`."""

    def __init__(self, client: EC2Client, deployment_id: str) -> None:
        self._client = client
        self._deployment_id = deployment_id
        self._is_ours: dict[str, bool] = {}

    def running(self) -> list[str]:
        """Ids of the instances that run.

        Asks for the states alone, which is a fifth of the emulator's work for whole descriptions, and describes
        only those that it has not met before.
        """
        with translated("look at the states of the instances"):
            pages = self._client.get_paginator("describe_instance_status").paginate()
            running = [status["InstanceId"] for page in pages for status in page["InstanceStatuses"]]
        if strangers := [instance_id for instance_id in running if instance_id not in self._is_ours]:
            ours = self._app_tier(strangers)
            self._is_ours |= {instance_id: instance_id in ours for instance_id in strangers}
        return [instance_id for instance_id in running if self._is_ours[instance_id]]

    def _app_tier(self, instance_ids: list[str]) -> set[str]:
        """Those of the instances that are of this deployment's app tier."""
        with translated("look at the app tier's instances"):
            pages = self._client.get_paginator("describe_instances").paginate(
                InstanceIds=instance_ids,
                Filters=[
                    {"Name": "tag:elastic-face:id", "Values": [self._deployment_id]},
                    {"Name": "tag:Name", "Values": ["app-tier-instance-*"]},
                ],
            )
            return {
                instance["InstanceId"]
                for page in pages
                for reservation in page["Reservations"]
                for instance in reservation["Instances"]
            }

    def user_data(self, instance_id: str) -> dict[str, str]:
        """The instance's user data, read as the `NAME=value` lines of an environment file."""
        with translated(f"read the user data of {instance_id}"):
            answer = self._client.describe_instance_attribute(InstanceId=instance_id, Attribute="userData")
        # LocalStack 4.14 gives an instance nothing of its launch template.
        encoded = answer.get("UserData", {}).get("Value") or self._user_data_of_template()
        text = base64.b64decode(encoded).decode()
        lines = (line.partition("=") for line in text.splitlines() if "=" in line and not line.startswith("#"))
        return {name.strip(): value.strip() for name, _, value in lines}

    def _user_data_of_template(self) -> str:
        name = f"{self._deployment_id}-worker"
        with translated(f"read the launch template {name}"):
            versions = self._client.describe_launch_template_versions(LaunchTemplateName=name, Versions=["$Default"])
        return versions["LaunchTemplateVersions"][0]["LaunchTemplateData"].get("UserData", "")

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
