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

    def running(self) -> list[str]:
        """Ids of the instances that run."""
        with translated("look at the app tier's instances"):
            pages = self._client.get_paginator("describe_instances").paginate(
                Filters=[
                    {"Name": "tag:elastic-face:id", "Values": [self._deployment_id]},
                    {"Name": "tag:Name", "Values": ["app-tier-instance-*"]},
                    {"Name": "instance-state-name", "Values": ["running"]},
                ]
            )
            return [
                instance["InstanceId"]
                for page in pages
                for reservation in page["Reservations"]
                for instance in reservation["Instances"]
            ]

    def user_data(self, instance_id: str) -> dict[str, str]:
        """The instance's user data, read as the `NAME=value` lines of an environment file."""
        with translated(f"read the user data of {instance_id}"):
            answer = self._client.describe_instance_attribute(InstanceId=instance_id, Attribute="userData")
        text = base64.b64decode(answer.get("UserData", {}).get("Value", "")).decode()
        lines = (line.partition("=") for line in text.splitlines() if "=" in line and not line.startswith("#"))
        return {name.strip(): value.strip() for name, _, value in lines}

    def power_off(self, instance_id: str) -> None:
        """What EC2 does when a machine powers itself off and its shutdown behaviour is `stop`."""
        with translated(f"stop {instance_id}"):
            self._client.stop_instances(InstanceIds=[instance_id])
