"""The app tier's instances in EC2: what there is, and acting on it. No other module speaks to EC2."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
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

from facecontroller.model import (
    CLIENT_TOKEN_S,
    LAUNCH,
    RENAME,
    Actions,
    Failure,
    Instance,
    Launch,
    Order,
    Outcome,
    Rename,
    State,
)
from facecontroller.throttle import IDS_PER_CALL

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ec2.type_defs import InstanceTypeDef, TagSpecificationTypeDef

ID_TAG = "elastic-face:id"
NAME_PREFIX = "app-tier-instance-"
IMAGE_KEPT_S = 30.0
"""How long the launch template's image is taken for known."""
_PAGE_SIZE = 1000
_NUMBER = re.compile(re.escape(NAME_PREFIX) + r"([1-9]\d{0,8})")


@dataclass(frozen=True, slots=True)
class View:
    """What EC2 says: the image that a launch would take now, and the owned instances."""

    image: str
    instances: tuple[Instance, ...]
    calls: int = 1
    """How many calls it took to know."""


class Fleet(Protocol):
    """Where a decision's view comes from and where its actions go."""

    def look(self, now: float, *, refresh: bool = True) -> View:
        """The present view; `now` is Unix time in seconds. Raises the AWS errors of `facecore.errors`.

        `refresh` allows one call more where the image was not asked for lately.
        """

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
        self._calls = 0

    def look(self, now: float, *, refresh: bool = True) -> View:
        """See Fleet. One call for a thousand instances, and one more every 30 s for the launch template."""
        self._calls = 0
        image = self._current_image(now, refresh)
        instances = tuple(self._describe())
        return View(image, instances, self._calls)

    def act(self, actions: Actions, now: float) -> Outcome:
        """See Fleet. Starting comes first, as someone waits for it."""
        started, not_started = _in_batches("start", self._start, actions.start)
        launched, not_launched = self._launched(actions.launch, now)
        stopped, not_stopped = _in_batches("stop", self._stop, actions.stop)
        terminated, not_terminated = _in_batches("terminate", self._terminate, actions.terminate)
        renamed, not_renamed = self._renamed(actions.rename)
        return Outcome(
            started=tuple(started),
            launched=launched,
            stopped=tuple(stopped),
            terminated=tuple(terminated),
            renamed=renamed,
            failures=(*not_started, *not_launched, *not_stopped, *not_terminated, *not_renamed),
        )

    def _current_image(self, now: float, refresh: bool) -> str:
        if not self._image or (refresh and abs(now - self._image_read_at) >= IMAGE_KEPT_S):
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
            self._calls += 1
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
                self._calls += 1
                for reservation in page["Reservations"]:
                    for described in reservation["Instances"]:
                        yield _instance(described)

    def _launched(self, order: Order | None, now: float) -> tuple[tuple[Launch, ...], tuple[Failure, ...]]:
        """What became of a launch. EC2 makes as many of its instances as it can.

        The rest is asked for at once: where there are no more machines, EC2's refusal tells so. (moto, and LocalStack
        with it, make MinCount instances where they could make MaxCount.)
        """
        launches: list[Launch] = []
        while order is not None:
            token = client_token(self._id, order, now)
            try:
                ids = self._launch(order, token)
            except CapacityError as error:
                return tuple(launches), (_failure("launch", order.offering.key, error),)
            except AwsError as error:
                lost = [Launch(now, order.number, order.count, token)] if _may_have_happened(error) else []
                return (*launches, *lost), (_failure("launch", LAUNCH, error),)
            launches.append(Launch(now, order.number, len(ids), token, ids))
            rest = order.count - len(ids)
            order = replace(order, count=rest, sequence=order.sequence + 1) if ids and rest > 0 else None
        return tuple(launches), ()

    def _launch(self, order: Order, token: str) -> tuple[str, ...]:
        offering: dict[str, Any] = {}
        if order.offering.instance_type:
            offering["InstanceType"] = order.offering.instance_type
        if order.offering.subnet:
            offering["SubnetId"] = order.offering.subnet
        with translated(f"launch {order.count} instances of {order.offering.key}"):
            answer = self._ec2.run_instances(
                LaunchTemplate={"LaunchTemplateName": self._template, "Version": "$Default"},
                MinCount=1,
                MaxCount=order.count,
                ClientToken=token,
                # Said here too, so that no launch template can make an instance whose role any process can take.
                MetadataOptions={"HttpTokens": "required", "HttpPutResponseHopLimit": 1},
                TagSpecifications=self._tags(f"{NAME_PREFIX}{order.number}"),
                **offering,
            )
        return tuple(instance["InstanceId"] for instance in answer["Instances"])

    def _renamed(self, rename: Rename | None) -> tuple[Rename | None, tuple[Failure, ...]]:
        if rename is None:
            return None, ()
        try:
            with translated(f"name {rename.id}"):
                name = f"{NAME_PREFIX}{rename.number}"
                self._ec2.create_tags(Resources=[rename.id], Tags=[{"Key": "Name", "Value": name}])
        except AwsError as error:
            return None, (_failure("rename", RENAME, error),)
        return rename, ()

    def _tags(self, name: str) -> list[TagSpecificationTypeDef]:
        return [
            {
                "ResourceType": kind,
                "Tags": [{"Key": "Name", "Value": name}, {"Key": ID_TAG, "Value": self._id}],
            }
            for kind in ("instance", "volume")
        ]

    def _start(self, ids: Sequence[str]) -> None:
        with translated(f"start {len(ids)} instances"):
            self._ec2.start_instances(InstanceIds=ids)

    def _stop(self, ids: Sequence[str]) -> None:
        with translated(f"stop {len(ids)} instances"):
            self._ec2.stop_instances(InstanceIds=ids)

    def _terminate(self, ids: Sequence[str]) -> None:
        with translated(f"terminate {len(ids)} instances"):
            self._ec2.terminate_instances(InstanceIds=ids)


def client_token(deployment_id: str, order: Order, now: float) -> str:
    """The token that makes a launch idempotent: 64 hexadecimal digits, EC2's limit.

    It does not tell how many instances are launched: a controller that forgot its launch of this minute, or a second
    controller, gets the same instances, or a refusal where it asks for another number.
    https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-idempotency.html
    """
    bucket = int(now // CLIENT_TOKEN_S)
    return hashlib.sha256(f"{deployment_id}/{bucket}/{order.sequence}/{order.offering.key}".encode()).hexdigest()


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
        client_token=described.get("ClientToken", ""),
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
    """Calls with all ids at once. EC2 refuses a batch for a single instance: those it names are left out then.

    Where it names none, halves are tried.
    """
    try:
        call(ids)
    except AwsError as error:
        if len(ids) == 1 or not _may_be_of_one(error):
            failures.extend(_failure(action, i, error) for i in ids)
            return
        named = [i for i in ids if i in str(error)]
        failures.extend(_failure(action, i, error) for i in named)
        rest = [i for i in ids if i not in named]
        half = 0 if named else len(ids) // 2
        for part in (rest[:half], rest[half:]):
            if part:
                _isolated(action, call, part, done, failures)
    else:
        done.extend(ids)


def _may_be_of_one(error: AwsError) -> bool:
    return isinstance(error, CapacityError | PermanentError) and not isinstance(error, AccessError)


def _may_have_happened(error: AwsError) -> bool:
    return isinstance(error, UnavailableError) and not isinstance(error, ThrottledError)


def _failure(action: str, target: str, error: AwsError) -> Failure:
    code = error.aws_code or type(error).__name__
    return Failure(action, target, code, str(error), isinstance(error, CapacityError))
