"""The account that a deployment is made in: who calls, and clients of its services."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from facecore.aws import Aws, translated

from facedeploy.stacks import Say, Stacks

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ecr import ECRClient
    from mypy_boto3_s3 import S3Client

    from facedeploy.settings import DeploySettings

_WORKER_TAGS = {"elastic-face:id": "{id}", "Name": "app-tier-instance-*"}


class Account:
    """Calls to AWS with the caller's own credentials. Every method raises the AWS errors of `facecore.errors`."""

    def __init__(self, settings: DeploySettings, say: Say, poll_s: float = 2.0) -> None:
        """`poll_s` seconds pass between two looks at a changing stack."""
        self._aws = Aws(settings)
        self._poll_s = poll_s
        self._settings = settings
        self.say = say

    def client(self, service: str) -> Any:
        return self._aws.client(service)

    @cached_property
    def ec2(self) -> EC2Client:
        client: EC2Client = self.client("ec2")
        return client

    @cached_property
    def ecr(self) -> ECRClient:
        client: ECRClient = self.client("ecr")
        return client

    @cached_property
    def s3(self) -> S3Client:
        client: S3Client = self.client("s3")
        return client

    @cached_property
    def stacks(self) -> Stacks:
        return Stacks(self.client("cloudformation"), self.say, self._poll_s)

    @cached_property
    def identity(self) -> tuple[str, str]:
        """The account's number, and the caller's ARN."""
        with translated("ask who the credentials belong to"):
            caller = self.client("sts").get_caller_identity()
        return caller["Account"], caller["Arn"]

    def arn(self, resource: str) -> str:
        """ARN of something in EC2, as "subnet/subnet-1"."""
        number, caller = self.identity
        # The caller's partition: aws, aws-cn or aws-us-gov.
        return f"arn:{caller.split(':')[1]}:ec2:{self._settings.region}:{number}:{resource}"

    def zones(self, instance_types: str) -> list[str]:
        """Zones of the region that offer all of these instance types, separated by commas."""
        wanted = set(instance_types.split(","))
        with translated(f"look which zones offer {instance_types}"):
            pages = self.ec2.get_paginator("describe_instance_type_offerings").paginate(
                LocationType="availability-zone", Filters=[{"Name": "instance-type", "Values": sorted(wanted)}]
            )
            # EC2 answers a row for each pair of zone and type.
            offered: dict[str, set[str]] = {}
            for offering in (one for page in pages for one in page["InstanceTypeOfferings"]):
                offered.setdefault(offering["Location"], set()).add(offering["InstanceType"])
        return sorted(zone for zone, types in offered.items() if types >= wanted)

    def workers(self, *states: str) -> list[str]:
        """Ids of the app tier's instances in these states."""
        filters: list[Any] = [
            {"Name": f"tag:{tag}", "Values": [value.format(id=self._settings.id)]}
            for tag, value in _WORKER_TAGS.items()
        ]
        filters.append({"Name": "instance-state-name", "Values": list(states)})
        with translated("look at the app tier's instances"):
            pages = self.ec2.get_paginator("describe_instances").paginate(Filters=filters)
            return [one["InstanceId"] for page in pages for group in page["Reservations"] for one in group["Instances"]]

    def user_data(self, instance: str) -> str:
        """The instance's user data in base64; empty if it has none."""
        with translated(f"read the user data of {instance}"):
            answer = self.ec2.describe_instance_attribute(InstanceId=instance, Attribute="userData")
        return answer.get("UserData", {}).get("Value", "")

    def terminate(self, instances: Sequence[str]) -> None:
        """Terminates these instances."""
        with translated(f"terminate {', '.join(instances)}"):
            self.ec2.terminate_instances(InstanceIds=instances)

    def use_latest_launch_template(self) -> None:
        """Makes launches use the launch template's latest version."""
        # CloudFormation adds a version and keeps the default; the controller launches from the default.
        name = f"{self._settings.id}-worker"
        with translated(f"make the latest version of the launch template {name} its default"):
            found = self.ec2.describe_launch_template_versions(LaunchTemplateName=name, Versions=["$Latest"])
            latest = found["LaunchTemplateVersions"][0]
            self.ec2.modify_launch_template(
                LaunchTemplateId=latest["LaunchTemplateId"], DefaultVersion=str(latest["VersionNumber"])
            )

    def root_device(self, ami: str) -> tuple[str, str | None]:
        """Name of the AMI's root device and its size in GiB; None if EC2 does not report it."""
        with translated(f"look at the AMI {ami}"):
            image = self.ec2.describe_images(ImageIds=[ami])["Images"][0]
        name = image["RootDeviceName"]
        sizes = [
            one.get("Ebs", {}).get("VolumeSize") for one in image["BlockDeviceMappings"] if one["DeviceName"] == name
        ]
        return name, str(sizes[0]) if sizes and sizes[0] else None
