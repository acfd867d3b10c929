"""The policies of deploy/access.yaml, as an emulator's CloudFormation makes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from facecore.aws import Aws
from facecore.settings import AwsSettings

from support.aws.iam_requests import World, ec2
from support.ground import ROOT

TEMPLATE = ROOT / "deploy/access.yaml"
ROLES = {"web": "web", "worker": "worker", "controller": "web"}
"""The role that holds each tier's policy: web and controller share a host."""


def parameters(deployment_id: str, world: World, subnets: list[str]) -> dict[str, str]:
    """The parameters of access.yaml for a deployment in this world."""
    template = ec2(f"launch-template/{world.launch_template}")
    places = [template, ec2(f"security-group/{world.security_group}"), *(ec2(f"subnet/{one}") for one in subnets)]
    return {
        "Id": deployment_id,
        "WorkerLaunchTemplate": template,
        "LaunchResources": ",".join(places),
        "WorkerInstanceTypes": world.instance_type,
    }


def deployed(settings: AwsSettings, given: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Creates the stack, and reads from IAM which policies each role holds: documents by name, by role."""
    aws = Aws(settings)
    cloudformation = aws.client("cloudformation")
    cloudformation.create_stack(
        StackName=f"{settings.id}-access",
        TemplateBody=TEMPLATE.read_text(),
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in given.items()],
        Capabilities=["CAPABILITY_NAMED_IAM"],
    )
    cloudformation.get_waiter("stack_create_complete").wait(
        StackName=f"{settings.id}-access", WaiterConfig={"Delay": 1}
    )
    return {role: held(aws.client("iam"), f"{settings.id}-{role}") for role in ("web", "worker")}


def held(iam: Any, role: str) -> dict[str, Any]:
    """Documents of all policies of a role, by name."""
    documents = {}
    for attached in iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"]:
        version = iam.get_policy(PolicyArn=attached["PolicyArn"])["Policy"]["DefaultVersionId"]
        found = iam.get_policy_version(PolicyArn=attached["PolicyArn"], VersionId=version)
        documents[attached["PolicyName"]] = found["PolicyVersion"]["Document"]
    for name in iam.list_role_policies(RoleName=role)["PolicyNames"]:
        documents[name] = iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
    return documents
