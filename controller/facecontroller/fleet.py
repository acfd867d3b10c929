"""The app tier's instances in EC2: what there is, and acting on it. No other module speaks to EC2."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, Protocol

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
    State,
)
from facecontroller.throttle import IDS_PER_CALL

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ec2.type_defs import InstanceTypeDef, TagTypeDef

ID_TAG = "elastic-face:id"
NAME_PREFIX = "app-tier-instance-"
IMAGE_KEPT_S = 30.0
"""How long the launch template's image is cached."""
_PAGE_SIZE = 1000
_NUMBER = re.compile(re.escape(NAME_PREFIX) + r"([1-9]\d{0,8})")


@dataclass(frozen=True, slots=True)
class View:
    """What EC2 says: the image that a launch would take now, and the owned instances."""

    image: str
    instances: tuple[Instance, ...]
    calls: int = 1
    """How many calls to AWS it took."""


class Fleet(Protocol):
    """Where a decision's view comes from and where its actions go."""

    def look(self, now: float, *, refresh: bool = True) -> View:
        """The present view; `now` is Unix time in seconds. Raises the AWS errors of `facecore.errors`.

        `refresh` allows one more call if the cached image is old.
        """

    def act(self, actions: Actions, now: float) -> Outcome:
        """Tries every action. An AWS error is in the outcome, not raised."""


class Ec2Fleet:
    """The fleet of one deployment: the instances with its id tag and a name of the app tier."""

    def __init__(self, ec2: EC2Client, deployment_id: str, launch_template: str) -> None:
        self._ec2 = ec2
        self._id = deployment_id
        self._template = launch_template
        self._image = ""
        self._image_read_at = -IMAGE_KEPT_S

    def look(self, now: float, *, refresh: bool = True) -> View:
        """See Fleet. One call for a thousand instances, and one more every 30 s for the launch template."""
        instances: list[Instance] = []
        calls = 0
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
                raise RefusedError(f"the launch template {self._template} names no image in its default version")
            self._image, self._image_read_at = image, now
            calls += 1
        with translated(f"list the instances of {self._id}"):
            pages = self._ec2.get_paginator("describe_instances").paginate(
                # EC2 throttles unfiltered calls at half the rate.
                Filters=[
                    {"Name": f"tag:{ID_TAG}", "Values": [self._id]},
                    {"Name": "tag:Name", "Values": [f"{NAME_PREFIX}*"]},
                    {"Name": "instance-state-name", "Values": [state.value for state in State]},
                ],
                PaginationConfig={"PageSize": _PAGE_SIZE},
            )
            for page in pages:
                calls += 1
                instances += [_instance(i) for reservation in page["Reservations"] for i in reservation["Instances"]]
        return View(self._image, tuple(instances), calls)

    def act(self, actions: Actions, now: float) -> Outcome:
        """See Fleet."""
        failures: list[Failure] = []
        # Starting comes first: requests wait for it.
        started = self._change("start", actions.start, failures)
        launched = self._launch(actions.launch, now, failures)
        stopped = self._change("stop", actions.stop, failures)
        terminated = self._change("terminate", actions.terminate, failures)
        renamed = actions.rename
        if renamed is not None:
            tags: list[TagTypeDef] = [{"Key": "Name", "Value": f"{NAME_PREFIX}{renamed.number}"}]
            try:
                with translated(f"name {renamed.id}"):
                    self._ec2.create_tags(Resources=[renamed.id], Tags=tags)
            except AwsError as error:
                failures.append(_failure("rename", RENAME, error))
                renamed = None
        return Outcome(started, launched, stopped, terminated, renamed, tuple(failures))

    def _change(
        self, verb: Literal["start", "stop", "terminate"], ids: Sequence[str], failures: list[Failure]
    ) -> tuple[str, ...]:
        """Calls EC2 with as many ids at once as it takes, and returns those that it accepted.

        EC2 refuses a batch because of a single instance. The instances that the refusal names are left out then; if it
        names none, each half is tried.
        """
        calls: dict[str, Callable[..., object]] = {
            "start": self._ec2.start_instances,
            "stop": self._ec2.stop_instances,
            "terminate": self._ec2.terminate_instances,
        }
        done: list[str] = []
        batches = [ids[first : first + IDS_PER_CALL] for first in range(0, len(ids), IDS_PER_CALL)]
        while batches:
            batch = batches.pop(0)
            try:
                with translated(f"{verb} {len(batch)} instances"):
                    calls[verb](InstanceIds=batch)
                done += batch
            except AwsError as error:
                # Any other error, a missing permission for one, is not about a single instance.
                may_be_of_one = isinstance(error, CapacityError | PermanentError) and not isinstance(error, AccessError)
                divisible = may_be_of_one and len(batch) > 1
                failed = [i for i in batch if i in str(error)] if divisible else batch
                failures += [_failure(verb, i, error) for i in failed]
                rest = [i for i in batch if i not in failed]
                half = 0 if failed else len(rest) // 2
                batches[:0] = [part for part in (rest[:half], rest[half:]) if part]
        return tuple(done)

    def _launch(self, order: Order | None, now: float, failures: list[Failure]) -> tuple[Launch, ...]:
        """Launches, and asks at once for what a call did not make: EC2's refusal then says that it has no more.

        EC2 makes as many instances as it can. moto, and LocalStack with it, make MinCount although they could make
        MaxCount.
        """
        launches: list[Launch] = []
        while order is not None and order.count > 0:
            where = {"InstanceType": order.offering.instance_type, "SubnetId": order.offering.subnet}
            name, token = f"{NAME_PREFIX}{order.number}", client_token(self._id, order, now)
            tags: list[TagTypeDef] = [{"Key": "Name", "Value": name}, {"Key": ID_TAG, "Value": self._id}]
            try:
                with translated(f"launch {order.count} instances of {order.offering.key}"):
                    answer = self._ec2.run_instances(
                        LaunchTemplate={"LaunchTemplateName": self._template, "Version": "$Default"},
                        # Some are better than none: EC2 would refuse the whole launch for the last instance.
                        MinCount=1,
                        MaxCount=order.count,
                        ClientToken=token,
                        # Said here too, so that no launch template can make an instance whose role any process can use.
                        MetadataOptions={"HttpTokens": "required", "HttpPutResponseHopLimit": 1},
                        TagSpecifications=[
                            {"ResourceType": "instance", "Tags": tags},
                            {"ResourceType": "volume", "Tags": tags},
                        ],
                        **{key: value for key, value in where.items() if value},  # type: ignore[arg-type]
                    )
            except AwsError as error:
                target = order.offering.key if isinstance(error, CapacityError) else LAUNCH
                failures.append(_failure("launch", target, error))
                # EC2 may have launched although its answer was lost; a throttled call does nothing.
                if isinstance(error, UnavailableError) and not isinstance(error, ThrottledError):
                    launches.append(Launch(now, order.number, order.count, token))
                break
            ids = tuple(instance["InstanceId"] for instance in answer["Instances"])
            launches.append(Launch(now, order.number, len(ids), token, ids))
            # An answer without instances must not be asked for again and again.
            order = replace(order, count=order.count - len(ids), sequence=order.sequence + 1) if ids else None
        return tuple(launches)


def client_token(deployment_id: str, order: Order, now: float) -> str:
    """The token that makes a launch idempotent: 64 hexadecimal digits, EC2's limit.

    It does not tell how many instances are launched: a controller that forgot its launch of this minute, or a second
    controller, gets the same instances, or a refusal if it asks for another number.
    https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-idempotency.html
    """
    minute = int(now // CLIENT_TOKEN_S)
    return hashlib.sha256(f"{deployment_id}/{minute}/{order.sequence}/{order.offering.key}".encode()).hexdigest()


def _instance(described: InstanceTypeDef) -> Instance:
    tags = {tag["Key"]: tag["Value"] for tag in described["Tags"]}
    name = _NUMBER.fullmatch(tags["Name"])
    volumes = (device.get("Ebs", {}) for device in described.get("BlockDeviceMappings", []))
    # EC2 moves LaunchTime at each start, but not the times at which volumes were attached.
    times = [described["LaunchTime"], *(volume["AttachTime"] for volume in volumes if "AttachTime" in volume)]
    return Instance(
        id=described["InstanceId"],
        number=int(name[1]) if name else None,
        state=State(described["State"]["Name"]),
        image=described["ImageId"],
        created_at=min(times).timestamp(),
        started_at=described["LaunchTime"].timestamp(),
        client_token=described.get("ClientToken", ""),
    )


def _failure(action: str, target: str, error: AwsError) -> Failure:
    code = error.aws_code or type(error).__name__
    return Failure(action, target, code, str(error), isinstance(error, CapacityError))
