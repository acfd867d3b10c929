"""The app tier's instances in EC2: what there is, and acting on it. No other module speaks to EC2."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from threading import Event
from typing import TYPE_CHECKING, Any, Protocol

from facecore.aws import translated
from facecore.errors import (
    AccessError,
    AwsError,
    CapacityError,
    PermanentError,
    RefusedError,
    ThrottledError,
    UnavailableError,
)

from facecontroller.model import LAUNCH, Actions, Failure, Instance, Outcome, State

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ec2.type_defs import InstanceTypeDef, TagSpecificationTypeDef

ID_TAG = "elastic-face:id"
NAME_PREFIX = "app-tier-instance-"
IMAGE_KEPT_S = 30.0
"""How long the launch template's image is taken for known."""
TOKEN_BUCKET_S = 60
"""Two launches of one name within the same bucket are one launch to EC2."""
LAUNCH_THREADS = 8
LAUNCHES_PER_ACT = 30
"""RunInstances refills at 2 calls a second, so more would hold up the next tick for too long."""
IDS_PER_CALL = 500
_PAGE_SIZE = 1000
_NUMBER = re.compile(re.escape(NAME_PREFIX) + r"([1-9]\d{0,8})")


@dataclass(frozen=True, slots=True)
class View:
    """What EC2 says: the image that a launch would take now, and the owned instances."""

    image: str
    instances: tuple[Instance, ...]


class Fleet(Protocol):
    """Where a decision's view comes from and where its actions go."""

    def look(self, now: float) -> View:
        """The present view; `now` is Unix time in seconds. Raises the AWS errors of `facecore.errors`."""

    def act(self, actions: Actions, now: float) -> Outcome:
        """Tries every action and tells what became of each; an AWS error is in the outcome, not raised."""


class Ec2Fleet:
    """The fleet of one deployment: instances with its id tag and a name of the app tier, nobody else's."""

    def __init__(self, ec2: EC2Client, deployment_id: str, launch_template: str) -> None:
        self._ec2 = ec2
        self._id = deployment_id
        self._template = launch_template
        self._image = ""
        self._image_read_at = -IMAGE_KEPT_S

    def look(self, now: float) -> View:
        """See Fleet. One call, and one more every 30 s for the launch template."""
        return View(image=self._current_image(now), instances=tuple(self._describe()))

    def act(self, actions: Actions, now: float) -> Outcome:
        """See Fleet. Starting comes first, as someone waits for it."""
        started, not_started = _in_batches("start", self._start, actions.start)
        launched, not_launched = self._launch_all(actions.launch, now)
        stopped, not_stopped = _in_batches("stop", self._stop, actions.stop)
        terminated, not_terminated = _in_batches("terminate", self._terminate, actions.terminate)
        return Outcome(
            started=tuple(started),
            launched=launched,
            stopped=tuple(stopped),
            terminated=tuple(terminated),
            failures=(*not_started, *not_launched, *not_stopped, *not_terminated),
        )

    def _current_image(self, now: float) -> str:
        if abs(now - self._image_read_at) >= IMAGE_KEPT_S or not self._image:
            with translated(f"read the launch template {self._template}"):
                versions = self._ec2.describe_launch_template_versions(
                    LaunchTemplateName=self._template,
                    Versions=["$Default"],
                    # A template may name a parameter that holds the image's id.
                    ResolveAlias=True,
                )["LaunchTemplateVersions"]
            image = versions[0]["LaunchTemplateData"].get("ImageId") if versions else None
            if not image:
                raise RefusedError(f"the launch template {self._template} names no image")
            self._image, self._image_read_at = image, now
        return self._image

    def _describe(self) -> Iterator[Instance]:
        with translated(f"list the instances of {self._id}"):
            pages = self._ec2.get_paginator("describe_instances").paginate(
                Filters=[
                    {"Name": f"tag:{ID_TAG}", "Values": [self._id]},
                    {"Name": "tag:Name", "Values": [f"{NAME_PREFIX}*"]},
                    {"Name": "instance-state-name", "Values": [state.value for state in State]},
                ],
                PaginationConfig={"PageSize": _PAGE_SIZE},
            )
            for page in pages:
                for reservation in page["Reservations"]:
                    for described in reservation["Instances"]:
                        yield _instance(described)

    def _launch_all(self, numbers: Sequence[int], now: float) -> tuple[dict[int, str | None], tuple[Failure, ...]]:
        """One call for each, as each has a name of its own; the first that fails calls the rest off."""
        if not numbers:
            return {}, ()
        launched: dict[int, str | None] = {}
        failures: list[Failure] = []
        halt = Event()

        def launch(number: int) -> None:
            if halt.is_set():
                return
            try:
                launched[number] = self._launch(number, now)
            except AwsError as error:
                halt.set()
                failures.append(_failure("launch", LAUNCH, error))
                if _may_have_happened(error):
                    launched[number] = None

        with ThreadPoolExecutor(LAUNCH_THREADS, thread_name_prefix="launch") as threads:
            list(threads.map(launch, numbers[:LAUNCHES_PER_ACT]))
        return launched, tuple(failures)

    def _launch(self, number: int, now: float) -> str:
        name = f"{NAME_PREFIX}{number}"
        with translated(f"launch {name}"):
            answer = self._ec2.run_instances(
                LaunchTemplate={"LaunchTemplateName": self._template, "Version": "$Default"},
                MinCount=1,
                MaxCount=1,
                ClientToken=client_token(self._id, name, now),
                TagSpecifications=self._tags(name),
            )
        return answer["Instances"][0]["InstanceId"]

    def _tags(self, name: str) -> list[TagSpecificationTypeDef]:
        return [
            {
                "ResourceType": kind,
                "Tags": [{"Key": "Name", "Value": name}, {"Key": ID_TAG, "Value": self._id}],
            }
            for kind in ("instance", "volume")
        ]

    def _start(self, ids: Sequence[str]) -> None:
        with translated(f"start {', '.join(ids)}"):
            self._ec2.start_instances(InstanceIds=ids)

    def _stop(self, ids: Sequence[str]) -> None:
        with translated(f"stop {', '.join(ids)}"):
            self._ec2.stop_instances(InstanceIds=ids)

    def _terminate(self, ids: Sequence[str]) -> None:
        with translated(f"terminate {', '.join(ids)}"):
            self._ec2.terminate_instances(InstanceIds=ids)


def client_token(deployment_id: str, name: str, now: float) -> str:
    """The token that makes launches of one name idempotent: 64 hexadecimal digits, EC2's limit.

    https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-idempotency.html
    """
    bucket = int(now // TOKEN_BUCKET_S)
    return hashlib.sha256(f"{deployment_id}/{name}/{bucket}".encode()).hexdigest()


def _instance(described: InstanceTypeDef) -> Instance:
    tags = {tag["Key"]: tag["Value"] for tag in described["Tags"]}
    name = _NUMBER.fullmatch(tags["Name"])
    return Instance(
        id=described["InstanceId"],
        number=int(name[1]) if name else None,
        state=State(described["State"]["Name"]),
        image=described["ImageId"],
        created_at=min(_times(described)).timestamp(),
        started_at=described["LaunchTime"].timestamp(),
    )


def _times(described: InstanceTypeDef) -> Iterator[datetime]:
    """Times that are not before the first launch: EC2 moves LaunchTime at each start, not the attachments."""
    yield described["LaunchTime"]
    for volume in described.get("BlockDeviceMappings", []):
        if "AttachTime" in volume.get("Ebs", {}):
            yield volume["Ebs"]["AttachTime"]


def _in_batches(
    action: str, call: Callable[[Sequence[str]], Any], ids: Sequence[str]
) -> tuple[list[str], list[Failure]]:
    done: list[str] = []
    failures: list[Failure] = []
    for first in range(0, len(ids), IDS_PER_CALL):
        _isolated(action, call, ids[first : first + IDS_PER_CALL], done, failures)
    return done, failures


def _isolated(
    action: str,
    call: Callable[[Sequence[str]], Any],
    ids: Sequence[str],
    done: list[str],
    failures: list[Failure],
) -> None:
    """Calls with all ids at once. EC2 refuses a batch for a single instance, so halves are tried then."""
    try:
        call(ids)
    except AwsError as error:
        if len(ids) == 1 or not _may_be_of_one(error):
            failures.extend(_failure(action, i, error) for i in ids)
            return
        half = len(ids) // 2
        _isolated(action, call, ids[:half], done, failures)
        _isolated(action, call, ids[half:], done, failures)
    else:
        done.extend(ids)


def _may_be_of_one(error: AwsError) -> bool:
    return isinstance(error, CapacityError | PermanentError) and not isinstance(error, AccessError)


def _may_have_happened(error: AwsError) -> bool:
    return isinstance(error, UnavailableError) and not isinstance(error, ThrottledError)


def _failure(action: str, target: str, error: AwsError) -> Failure:
    return Failure(action, target, error.aws_code or type(error).__name__, str(error))
