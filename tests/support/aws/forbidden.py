"""What no tier may do, with the reason: each entry is what IAM would be asked for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from support.aws.iam_requests import ACCOUNT, REGION, Request, World, ec2, launch, queue

OURS, THEIRS = "recorded", "another"
WORKER = "app-tier-instance-1"


def _tags(deployment: str = OURS, name: str = WORKER) -> dict[str, Any]:
    return {"aws:ResourceTag/elastic-face:id": deployment, "aws:ResourceTag/Name": name}


def _object(bucket: str, key: str = "face.jpg", deployment: str = OURS) -> str:
    return f"arn:aws:s3:::{deployment}-{bucket}-bucket/{key}"


def web(_: World) -> Iterator[tuple[str, list[Request]]]:
    """The web tier takes photographs in and hands answers out."""
    yield "read photographs", [Request("s3:GetObject", _object("in"))]
    yield "read former photographs", [Request("s3:GetObjectVersion", _object("in"))]
    yield "read results", [Request("s3:GetObject", _object("out"))]
    yield "forge results", [Request("s3:PutObject", _object("out"))]
    yield "change the gallery", [Request("s3:PutObject", _object("gallery", "gallery.npz"))]
    yield "read the gallery", [Request("s3:GetObject", _object("gallery", "gallery.npz"))]
    yield "remove photographs", [Request("s3:DeleteObject", _object("in"))]
    yield "open a bucket", [Request("s3:PutBucketPolicy", "arn:aws:s3:::recorded-in-bucket")]
    yield "write to another deployment", [Request("s3:PutObject", _object("in", deployment=THEIRS))]
    yield "take requests from workers", [Request("sqs:ReceiveMessage", queue("recorded-req-queue"))]
    yield "remove requests", [Request("sqs:DeleteMessage", queue("recorded-req-queue"))]
    yield "forge replies", [Request("sqs:SendMessage", queue("recorded-resp-queue"))]
    yield "send to another deployment", [Request("sqs:SendMessage", queue("another-req-queue"))]
    yield "remove a queue", [Request("sqs:DeleteQueue", queue("recorded-req-queue"))]
    yield "look at instances", [Request("ec2:DescribeInstances", "*")]
    yield "stop workers", [Request("ec2:StopInstances", ec2("instance/i-1"), _tags())]


def worker(world: World) -> Iterator[tuple[str, list[Request]]]:
    """A worker recognises; the images that it decodes come from strangers."""
    for action in ("StartInstances", "StopInstances", "TerminateInstances", "CreateTags"):
        yield f"{action} on itself", [Request(f"ec2:{action}", ec2("instance/i-1"), _tags())]
    yield "look at instances", [Request("ec2:DescribeInstances", "*")]
    yield "launch", list(_launch(world))
    yield "take a role along", [Request("iam:PassRole", world.role, {"iam:PassedToService": "ec2.amazonaws.com"})]
    yield "put photographs", [Request("s3:PutObject", _object("in"))]
    yield "remove photographs", [Request("s3:DeleteObjectVersion", _object("in"))]
    yield "list photographs", [Request("s3:ListBucket", "arn:aws:s3:::recorded-in-bucket")]
    yield "read others' results", [Request("s3:GetObject", _object("out"))]
    yield "change the gallery", [Request("s3:PutObject", _object("gallery", "gallery.npz"))]
    yield "read the lease", [Request("s3:GetObject", _object("gallery", "controller/lease"))]
    yield "take the lease", [Request("s3:PutObject", _object("gallery", "controller/lease"))]
    yield "read another gallery", [Request("s3:GetObject", _object("gallery", "gallery.npz", THEIRS))]
    yield "make requests", [Request("sqs:SendMessage", queue("recorded-req-queue"))]
    yield "take replies", [Request("sqs:ReceiveMessage", queue("recorded-resp-queue"))]
    yield "read the dead queue", [Request("sqs:ReceiveMessage", queue("recorded-dead-queue"))]
    yield "empty the queue", [Request("sqs:PurgeQueue", queue("recorded-req-queue"))]


def controller(world: World) -> Iterator[tuple[str, list[Request]]]:
    """The controller starts and stops workers of its own deployment, and nothing else."""
    yield "launch without tags", list(_launch(world, tags={}))
    yield "launch for another deployment", list(_launch(world, deployment=THEIRS))
    yield "launch volumes of another deployment", list(_launch(world, volume=THEIRS))
    yield "launch with another name", list(_launch(world, name="web-instance"))
    yield "launch from another template", list(_launch(replace(world, launch_template="lt-0fffffffffffffff0")))
    yield "launch without a template", list(_launch(replace(world, launch_template="")))
    yield "launch another image", list(_launch(world, image="ami-0fffffffffffffff0"))
    yield "launch another type", list(_launch(world, instance_type="p5.48xlarge"))
    yield "launch with old metadata", list(_launch(world, http_tokens="optional"))
    yield "launch with metadata for containers", list(_launch(world, hop_limit="2"))
    yield "launch in another subnet", list(_launch(world, subnet="subnet-0fffffffffffffff0"))
    yield "launch into another group", list(_launch(replace(world, security_group="sg-0fffffffffffffff0")))
    yield "launch with the web host's role", list(_launch(world, role=f"arn:aws:iam::{ACCOUNT}:role/recorded-web"))
    to_lambda = {"iam:PassedToService": "lambda.amazonaws.com"}
    yield "hand the workers' role to another service", [Request("iam:PassRole", world.role, to_lambda)]
    for action in ("StartInstances", "StopInstances", "TerminateInstances"):
        yield f"{action} of others", [Request(f"ec2:{action}", ec2("instance/i-1"), _tags(THEIRS))]
        yield f"{action} of the web host", [Request(f"ec2:{action}", ec2("instance/i-1"), _tags(name="web-instance"))]
        yield f"{action} without tags", [Request(f"ec2:{action}", ec2("instance/i-1"))]
    yield "rename others' instances", [_rename(THEIRS, WORKER, {"Name": WORKER})]
    yield "rename the web host", [_rename(OURS, "web-instance", {"Name": WORKER})]
    yield "name a worker web host", [_rename(OURS, WORKER, {"Name": "web-instance"})]
    yield "change a worker's id", [_rename(OURS, WORKER, {"elastic-face:id": THEIRS})]
    yield "tag beside the name", [_rename(OURS, WORKER, {"Name": WORKER, "team": "x"})]
    yield "adopt an instance", [_rename("", "", {"elastic-face:id": OURS, "Name": WORKER})]
    yield "tag with another call's making", [_made("CreateVolume", OURS)]
    yield "tag a launch for another deployment", [_made("RunInstances", THEIRS)]
    yield "remove tags", [Request("ec2:DeleteTags", ec2("instance/i-1"), _tags())]
    yield "change an instance", [Request("ec2:ModifyInstanceAttribute", ec2("instance/i-1"), _tags())]
    template = ec2(f"launch-template/{world.launch_template}")
    yield "change the launch template", [Request("ec2:CreateLaunchTemplateVersion", template)]
    yield "read the gallery", [Request("s3:GetObject", _object("gallery", "gallery.npz"))]
    yield "change the gallery", [Request("s3:PutObject", _object("gallery", "gallery.npz"))]
    yield "remove the lease", [Request("s3:DeleteObject", _object("gallery", "controller/lease"))]
    yield "hold another lease", [Request("s3:PutObject", _object("gallery", "controller/lease", THEIRS))]
    yield "read requests", [Request("sqs:ReceiveMessage", queue("recorded-req-queue"))]
    yield "watch another queue", [Request("sqs:GetQueueAttributes", queue("another-req-queue"))]
    yield "give itself rights", [Request("iam:PutRolePolicy", f"arn:aws:iam::{ACCOUNT}:role/recorded-web")]


def host(_: World) -> Iterator[tuple[str, list[Request]]]:
    """A machine pulls its images, writes its logs, and lets the owner's sessions in."""
    repository = f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository"
    yield "push an image", [Request("ecr:PutImage", f"{repository}/recorded/worker")]
    yield "pull others' images", [Request("ecr:BatchGetImage", f"{repository}/another/worker")]
    logs = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group"
    yield "write others' logs", [Request("logs:PutLogEvents", f"{logs}:another/worker:log-stream:x")]
    yield "remove logs", [Request("logs:DeleteLogGroup", f"{logs}:recorded/worker")]
    yield "read parameters", [Request("ssm:GetParameter", f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/secret")]
    yield "run commands elsewhere", [Request("ssm:SendCommand", ec2("instance/i-1"))]
    yield "take another role", [Request("sts:AssumeRole", f"arn:aws:iam::{ACCOUNT}:role/admin")]


def _launch(
    world: World,
    *,
    tags: dict[str, dict[str, str]] | None = None,
    deployment: str = OURS,
    volume: str = "",
    name: str = WORKER,
    subnet: str = "",
    instance_type: str = "",
    **more: str,
) -> Iterator[Request]:
    both = {
        "instance": {"Name": name, "elastic-face:id": deployment},
        "volume": {"Name": name, "elastic-face:id": volume or deployment},
    }
    return launch(
        world,
        both if tags is None else tags,
        subnet=subnet or world.subnet,
        instance_type=instance_type or world.instance_type,
        **more,
    )


def _rename(deployment: str, name: str, tags: dict[str, str]) -> Request:
    context = _tags(deployment, name) if deployment else {}
    given = {f"aws:RequestTag/{key}": value for key, value in tags.items()} | {"aws:TagKeys": list(tags)}
    return Request("ec2:CreateTags", ec2("instance/i-1"), context | given)


def _made(by: str, deployment: str) -> Request:
    tags = {"aws:RequestTag/elastic-face:id": deployment, "aws:TagKeys": ["elastic-face:id"]}
    return Request("ec2:CreateTags", ec2("volume/vol-1"), tags | {"ec2:CreateAction": by})
