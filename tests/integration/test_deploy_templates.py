"""What the templates of the network and the web host make, as far as moto knows more of it than LocalStack."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from facecore import user_data
from facecore.aws import Aws
from facedeploy.settings import DeploySettings
from support.aws import moto_account

TEMPLATES = Path(__file__).parents[2] / "deploy"
USER_DATA = {"EFACE_ROLE": "web", "EFACE_ID": "props"}


@dataclass
class Made:
    """An account with the two stacks, made with these parameters on top of the necessary ones."""

    aws: Aws

    def stack(self, name: str, template: str, **parameters: str) -> dict[str, str]:
        """Makes a stack, and returns its outputs."""
        cloudformation: Any = self.aws.client("cloudformation")
        cloudformation.create_stack(
            StackName=name,
            TemplateBody=(TEMPLATES / template).read_text(),
            Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
        )
        outputs = cloudformation.describe_stacks(StackName=name)["Stacks"][0]["Outputs"]
        return {one["OutputKey"]: one["OutputValue"] for one in outputs}

    def network(self, **parameters: str) -> dict[str, str]:
        zones = {"ZoneA": "us-east-1a", "ZoneB": "us-east-1b"}
        return self.stack("props-network", "network.yaml", Id="props", **zones, **parameters)

    def host(self, network: dict[str, str], **parameters: str) -> dict[str, str]:
        iam: Any = self.aws.client("iam")
        iam.create_instance_profile(InstanceProfileName="props-web")
        ami = self.aws.client("ec2").register_image(Name="props", RootDeviceName="/dev/xvda")["ImageId"]
        return self.stack(
            "props",
            "stack.yaml",
            Id="props",
            ImageId=ami,
            WebUserData=user_data.encode(USER_DATA),
            WebSubnet=network["WebSubnet"],
            WebSecurityGroup=network["WebSecurityGroup"],
            WebProfile="props-web",
            **parameters,
        )


@pytest.fixture
def made(credentials: None) -> Iterator[Made]:
    with moto_account.started() as account:
        yield Made(Aws(DeploySettings(id="props", endpoint_url=account.url)))


def test_strangers_reach_one_port_and_workers_not_at_all(made: Made) -> None:
    network = made.network(WebCidr="192.0.2.0/24")
    groups = made.aws.client("ec2").describe_security_groups(
        GroupIds=[network["WebSecurityGroup"], network["WorkerSecurityGroup"]]
    )["SecurityGroups"]
    rules = {
        group["GroupName"]: [
            (rule["FromPort"], rule["ToPort"], [one["CidrIp"] for one in rule["IpRanges"]])
            for rule in group["IpPermissions"]
        ]
        for group in groups
    }
    assert rules == {"props-web": [(8000, 8000, ["192.0.2.0/24"])], "props-worker": []}


def test_the_web_host_has_its_name_role_and_address(made: Made) -> None:
    network = made.network()
    outputs = made.host(network)
    ec2 = made.aws.client("ec2")
    host = ec2.describe_instances(InstanceIds=[outputs["WebHost"]])["Reservations"][0]["Instances"][0]
    tags = {tag["Key"]: tag["Value"] for tag in host["Tags"]}
    assert (tags["Name"], tags["elastic-face:id"]) == ("web-instance", "props")
    assert host["SubnetId"] == network["WebSubnet"]
    assert host["IamInstanceProfile"]["Arn"].endswith("/props-web")
    [address] = ec2.describe_addresses()["Addresses"]
    assert outputs["Address"] == f"http://{address['PublicIp']}:8000/"


def test_workers_are_launched_with_their_role_group_and_encrypted_volume(made: Made) -> None:
    group = made.network()["WorkerSecurityGroup"]
    ec2 = made.aws.client("ec2")
    ami = ec2.register_image(Name="props", RootDeviceName="/dev/xvda")["ImageId"]
    outputs = made.stack(
        "props-resources",
        "resources.yaml",
        Id="props",
        WorkerImageId=ami,
        WorkerSecurityGroup=group,
        WorkerVolumeGib="12",
        WorkerUserData=user_data.encode({"EFACE_ID": "props"}),
    )
    found = ec2.describe_launch_template_versions(
        LaunchTemplateId=outputs["WorkerLaunchTemplateId"], Versions=["$Default"]
    )
    data = found["LaunchTemplateVersions"][0]["LaunchTemplateData"]
    assert data["IamInstanceProfile"]["Name"] == "props-worker"
    assert data["SecurityGroupIds"] == [group]
    assert data["InstanceInitiatedShutdownBehavior"] == "stop"
    assert (data["MetadataOptions"]["HttpTokens"], data["MetadataOptions"]["HttpPutResponseHopLimit"]) == (
        "required",
        1,
    )
    [volume] = data["BlockDeviceMappings"]
    assert volume["DeviceName"] == "/dev/xvda"
    assert (volume["Ebs"]["Encrypted"], volume["Ebs"]["VolumeType"], volume["Ebs"]["VolumeSize"]) == (True, "gp3", 12)


def test_logs_expire(made: Made) -> None:
    made.host(made.network(), LogDays="7")
    groups = made.aws.client("logs").describe_log_groups()["logGroups"]
    assert {group["logGroupName"]: group["retentionInDays"] for group in groups} == {"props/web": 7, "props/worker": 7}
