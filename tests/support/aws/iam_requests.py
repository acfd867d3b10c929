"""What AWS asks IAM when a call is made: one request for each action and resource, with its condition keys.

After the Service Authorization Reference of S3, SQS and EC2: a call may need several permissions, as RunInstances does.
https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support.aws.proxy import Call
from support.ground import TESTS

FOLDER = TESTS / "iam"
ACCOUNT = "123456789012"
REGION = "us-east-1"
Context = Mapping[str, str | list[str]]


@dataclass(frozen=True)
class Request:
    """May this be done with that, under these circumstances?"""

    action: str
    resource: str
    context: Context = field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    """IAM's answer, and the statements (policy, Sid) that allow it."""

    allowed: bool
    by: tuple[tuple[str, str], ...]
    ignored: tuple[str, ...]
    error: str | None


@dataclass(frozen=True)
class World:
    """What EC2 knows and a call does not say."""

    launch_template: str
    """Its id."""
    image: str
    security_group: str
    role: str
    """ARN of the role that the template's instance profile holds."""
    instance_type: str
    subnet: str
    """One of those that may be launched in."""
    template_tags: Mapping[str, str] = field(default_factory=dict)


def ec2(resource: str) -> str:
    """ARN of something in EC2; images belong to no account."""
    return f"arn:aws:ec2:{REGION}:{'' if resource.startswith('image/') else ACCOUNT}:{resource}"


def queue(name: str) -> str:
    """ARN of a queue."""
    return f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}"


def requests_of(calls: Sequence[Call], world: World) -> Iterator[Request]:
    """What IAM was asked for these calls of one caller, in their order: instances get their tags as they go."""
    tags: dict[str, dict[str, str]] = {}
    for call in calls:
        match call.service:
            case "s3":
                yield _of_s3(call)
            case "sqs":
                name = call.parameters.get("QueueName") or call.parameters["QueueUrl"].rpartition("/")[2]
                yield Request(f"sqs:{_SINGLE.get(call.operation, call.operation)}", queue(name))
            case "ec2":
                yield from _EC2[call.operation](call, world, tags)
            case other:
                raise ValueError(f"no rule says what IAM is asked for {other}:{call.operation}")


# A batch needs the permission of the single call.
_SINGLE = {"DeleteMessageBatch": "DeleteMessage"}


def _of_s3(call: Call) -> Request:
    bucket, key = call.parameters["Bucket"], call.parameters["Key"]
    match call.operation:
        case "HeadBucket":
            return Request("s3:ListBucket", f"arn:aws:s3:::{bucket}")
        case "GetObject" if "versionId" in call.parameters:
            action = "s3:GetObjectVersion"
        case "GetObject" | "HeadObject":
            action = "s3:GetObject"
        case "PutObject":
            action = "s3:PutObject"
        case other:
            raise ValueError(f"no rule says what IAM is asked for s3:{other}")
    return Request(action, f"arn:aws:s3:::{bucket}/{key}")


def _described(call: Call, _: World, __: dict[str, dict[str, str]]) -> Iterator[Request]:
    yield Request(f"ec2:{call.operation}", "*")


def _acted(call: Call, _: World, tags: dict[str, dict[str, str]]) -> Iterator[Request]:
    for instance in _listed(call, "InstanceId"):
        yield Request(f"ec2:{call.operation}", ec2(f"instance/{instance}"), _resource_tags(tags[instance]))


def _tagged(call: Call, _: World, tags: dict[str, dict[str, str]]) -> Iterator[Request]:
    given = _tags(call, "Tag")
    for instance in _listed(call, "ResourceId"):
        yield Request(
            "ec2:CreateTags", ec2(f"instance/{instance}"), _resource_tags(tags[instance]) | _request_tags(given)
        )
        tags[instance] |= given


def _launched(call: Call, world: World, tags: dict[str, dict[str, str]]) -> Iterator[Request]:
    given = {
        call.parameters[f"TagSpecification.{n}.ResourceType"]: _tags(call, f"TagSpecification.{n}.Tag") for n in (1, 2)
    }
    yield from launch(
        world,
        given,
        subnet=call.parameters["SubnetId"],
        instance_type=call.parameters.get("InstanceType", world.instance_type),
        http_tokens=call.parameters["MetadataOptions.HttpTokens"],
        hop_limit=call.parameters["MetadataOptions.HttpPutResponseHopLimit"],
    )
    for instance in re.findall(r"<instanceId>(i-[0-9a-f]+)</instanceId>", call.answer):
        tags[instance] = dict(given["instance"])


def launch(
    world: World,
    tags: Mapping[str, Mapping[str, str]],
    *,
    subnet: str,
    instance_type: str,
    http_tokens: str = "required",
    hop_limit: str = "1",
    image: str = "",
    role: str = "",
) -> Iterator[Request]:
    """What IAM is asked for a launch from the template; `tags` by kind of resource, `image` where it overrides."""
    template = ec2(f"launch-template/{world.launch_template}")
    of = {"ec2:LaunchTemplate": template} if world.launch_template else {}
    own, given = {"ec2:IsLaunchTemplateResource": "true"}, {"ec2:IsLaunchTemplateResource": "false"}

    def run(resource: str, **more: Any) -> Request:
        return Request("ec2:RunInstances", ec2(resource), of | more)

    if world.launch_template:
        yield run(f"launch-template/{world.launch_template}", **own, **_resource_tags(world.template_tags))
    yield run(f"image/{image or world.image}", **(given if image else own))
    yield run(f"security-group/{world.security_group}", **own)
    yield run(f"subnet/{subnet}", **given)
    yield run("network-interface/eni-00000000000000000", **own)
    metadata = {"ec2:MetadataHttpTokens": http_tokens, "ec2:MetadataHttpPutResponseHopLimit": hop_limit}
    instance = _request_tags(tags.get("instance", {})) | metadata | {"ec2:InstanceType": instance_type}
    yield run("instance/i-00000000000000000", **instance)
    yield run("volume/vol-00000000000000000", **_request_tags(tags.get("volume", {})))
    for kind, resource in (("instance", "instance/i-00000000000000000"), ("volume", "volume/vol-00000000000000000")):
        if kind in tags:
            context = _request_tags(tags[kind]) | {"ec2:CreateAction": "RunInstances"}
            yield Request("ec2:CreateTags", ec2(resource), context)
    yield Request("iam:PassRole", role or world.role, {"iam:PassedToService": "ec2.amazonaws.com"})


_EC2: dict[str, Callable[[Call, World, dict[str, dict[str, str]]], Iterator[Request]]] = {
    "DescribeInstances": _described,
    "DescribeLaunchTemplateVersions": _described,
    "RunInstances": _launched,
    "StartInstances": _acted,
    "StopInstances": _acted,
    "TerminateInstances": _acted,
    "CreateTags": _tagged,
}


def _listed(call: Call, name: str) -> list[str]:
    return [value for key, value in call.parameters.items() if re.fullmatch(rf"{name}\.\d+", key)]


def _tags(call: Call, prefix: str) -> dict[str, str]:
    keys = {k: v for k, v in call.parameters.items() if re.fullmatch(rf"{re.escape(prefix)}\.\d+\.Key", k)}
    return {value: call.parameters[key[: -len("Key")] + "Value"] for key, value in keys.items()}


def _request_tags(tags: Mapping[str, str]) -> dict[str, Any]:
    return {f"aws:RequestTag/{name}": value for name, value in tags.items()} | {"aws:TagKeys": list(tags)}


def _resource_tags(tags: Mapping[str, str]) -> dict[str, Any]:
    return {f"aws:ResourceTag/{name}": value for name, value in tags.items()}


def evaluated(policies: Mapping[str, Any], requests: Sequence[Request]) -> list[Answer]:
    """IAM's answers by the rules of AWS, conditions included; raises where a policy or a request is not valid."""
    asked = {
        "account": ACCOUNT,
        "principal": f"arn:aws:iam::{ACCOUNT}:role/tier",
        "policies": [{"name": name, "policy": document} for name, document in policies.items()],
        "requests": [{"action": r.action, "resource": r.resource, "context": r.context} for r in requests],
    }
    node = Path(sys.executable).parent / "node"
    done = subprocess.run(
        [node, "evaluate.mjs"], cwd=FOLDER, input=json.dumps(asked), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return [
        Answer(a["allowed"], tuple((p, s) for p, s in a["by"]), tuple(a["ignored"]), a["error"])
        for a in json.loads(done.stdout)
    ]
