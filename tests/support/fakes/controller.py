"""A virtual clock, a queue and an EC2 whose answers lag, for the controller's tests. No test of its own is here."""

import fnmatch
import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

from botocore.exceptions import ClientError, ReadTimeoutError
from facecore.errors import UnavailableError
from facecore.queues import Depth

STOPPING_S = 5.0
TERMINATING_S = 5.0
LOST_ANSWER = "lost"
"""A fault that does what was asked and then loses the answer."""


class FakeClock:
    """Time that passes when told to."""

    def __init__(self, now: float = 1_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class FakeQueue:
    """A queue of `demand` requests whose next readings can be made wrong or fail."""

    def __init__(self, demand: int = 0) -> None:
        self.demand = demand
        self.in_flight = 0
        self.false_zeros = 0
        self.failures = 0

    def depth(self) -> Depth:
        if self.failures:
            self.failures -= 1
            raise UnavailableError("no answer", aws_code="ServiceUnavailable")
        if self.false_zeros:
            self.false_zeros -= 1
            return Depth(0, 0, 0)
        in_flight = min(self.in_flight, self.demand)
        return Depth(self.demand - in_flight, in_flight, 0)


@dataclass
class Machine:
    """One instance: its tags, and its states with the times from which they hold."""

    id: str
    tags: dict[str, str]
    image: str
    created_at: float
    launched_at: float
    hangs: bool = False
    token: str = ""
    states: list[tuple[float, str]] = field(default_factory=list)

    def state(self, at: float) -> str | None:
        past = [state for since, state in self.states if since <= at]
        return past[-1] if past else None

    def become(self, now: float, *states: tuple[float, str]) -> None:
        self.states = [(at, state) for at, state in self.states if at <= now]
        self.states += [(now + after, state) for after, state in states]


class FakeEc2:
    """The part of EC2's client that the controller uses, with its states, its errors and its lag."""

    def __init__(self, clock: FakeClock, *, boot_s: float = 20.0, lag_s: float = 0.0) -> None:
        self._clock = clock
        self._tokens: dict[str, tuple[dict[str, Any], list[str]]] = {}
        self.boot_s = boot_s
        self.lag_s = lag_s
        self.boots_hang = False
        self.image: str | None = "ami-1"
        self.page_size = 1000
        self.dry: set[tuple[str, str]] = set()
        """Offerings without machines, as (instance type, subnet)."""
        self.most_per_launch = 10_000
        self.machines: dict[str, Machine] = {}
        self.faults: dict[str, list[str]] = {}
        self.calls: Counter[str] = Counter()
        self.touched: set[str] = set()
        self.stopped_by_call: list[str] = []
        self.launch_requests: list[dict[str, Any]] = []

    def add(self, name: str, state: str, *, owner: str = "local", image: str = "ami-1", age_s: float = 0) -> str:
        """Puts a machine there that nobody launched."""
        at = self._clock.now - age_s
        machine = Machine(f"i-{len(self.machines)}-{name}", {"Name": name, "elastic-face:id": owner}, image, at, at)
        machine.states = [(at, state)]
        self.machines[machine.id] = machine
        return machine.id

    def in_state(self, *states: str, owner: str = "local") -> list[Machine]:
        """The owner's machines that are in one of the states, without lag."""
        owned = [m for m in self.machines.values() if m.tags["elastic-face:id"] == owner]
        return [m for m in owned if m.state(self._clock.now) in states]

    def alive(self) -> list[Machine]:
        """Those that hold a slot."""
        return self.in_state("pending", "running", "stopping", "stopped", "shutting-down")

    def describe_launch_template_versions(self, **_request: Any) -> dict[str, Any]:
        self._called("describe_launch_template_versions")
        data = {} if self.image is None else {"ImageId": self.image}
        return {"LaunchTemplateVersions": [{"LaunchTemplateData": data}]}

    def get_paginator(self, _operation: str) -> "FakeEc2":
        return self

    def paginate(self, **request: Any) -> Iterator[dict[str, Any]]:
        seen = [m for m in self.machines.values() if self._matches(m, request["Filters"])]
        for first in range(0, len(seen) or 1, self.page_size):
            self._called("describe_instances")
            page = seen[first : first + self.page_size]
            yield {"Reservations": [{"Instances": [self._described(m)]} for m in page]}

    def run_instances(self, **request: Any) -> dict[str, Any]:
        lost = self._called("run_instances")
        if (request.get("InstanceType", ""), request.get("SubnetId", "")) in self.dry:
            raise refusal("InsufficientInstanceCapacity", "run_instances")
        self.launch_requests.append(request)
        former, ids = self._tokens.get(request["ClientToken"], (request, []))
        if former != request:
            raise refusal("IdempotentParameterMismatch", "run_instances")
        count = min(request["MaxCount"], self.most_per_launch)
        ids = ids or [self._launch(request, n) for n in range(count)]
        self._tokens[request["ClientToken"]] = (request, ids)
        _lose(lost)
        return {"Instances": [{"InstanceId": i} for i in ids]}

    def create_tags(self, *, Resources: Sequence[str], Tags: Sequence[dict[str, str]]) -> None:  # noqa: N803
        lost = self._called("create_tags")
        self.touched.update(Resources)
        for machine_id in Resources:
            self.machines[machine_id].tags |= {tag["Key"]: tag["Value"] for tag in Tags}
        _lose(lost)

    def start_instances(self, *, InstanceIds: Sequence[str]) -> None:  # noqa: N803
        for machine in self._chosen("start_instances", InstanceIds, {"stopped", "running", "pending"}):
            if machine.state(self._clock.now) == "stopped":
                self._boot(machine)

    def stop_instances(self, *, InstanceIds: Sequence[str]) -> None:  # noqa: N803
        for machine in self._chosen("stop_instances", InstanceIds, {"running", "stopping", "stopped"}):
            self.stopped_by_call.append(machine.id)
            self.power_off(machine)

    def terminate_instances(self, *, InstanceIds: Sequence[str]) -> None:  # noqa: N803
        for machine in self._chosen("terminate_instances", InstanceIds, None):
            machine.become(self._clock.now, (0, "shutting-down"), (TERMINATING_S, "terminated"))

    def power_off(self, machine: Machine) -> None:
        """What a worker that has nothing to do does."""
        if machine.state(self._clock.now) == "running":
            machine.become(self._clock.now, (0, "stopping"), (STOPPING_S, "stopped"))

    def _launch(self, request: dict[str, Any], n: int) -> str:
        tags = {tag["Key"]: tag["Value"] for tag in request["TagSpecifications"][0]["Tags"]}
        machine_id = f"i-{request['ClientToken'][:12]}-{n}"
        now = self._clock.now
        machine = Machine(machine_id, tags, self.image or "", now, now, token=request["ClientToken"])
        self.machines[machine_id] = machine
        self._boot(machine)
        return machine_id

    def _boot(self, machine: Machine) -> None:
        machine.launched_at = self._clock.now
        machine.hangs = self.boots_hang
        running = [] if machine.hangs else [(self.boot_s, "running")]
        machine.become(self._clock.now, (0, "pending"), *running)

    def _chosen(self, operation: str, ids: Sequence[str], allowed: set[str] | None) -> list[Machine]:
        lost = self._called(operation)
        self.touched.update(ids)
        for machine_id in ids:
            state = self.machines[machine_id].state(self._clock.now) if machine_id in self.machines else None
            if state is None:
                raise refusal("InvalidInstanceID.NotFound", operation, machine_id)
            if allowed is not None and state not in allowed:
                raise refusal("IncorrectInstanceState", operation, machine_id)
        _lose(lost)
        return [self.machines[machine_id] for machine_id in ids]

    def _called(self, operation: str) -> bool:
        self.calls[operation] += 1
        faults = self.faults.get(operation)
        fault = faults.pop(0) if faults else ""
        if fault and fault != LOST_ANSWER:
            raise refusal(fault, operation)
        return fault == LOST_ANSWER

    def _matches(self, machine: Machine, filters: list[dict[str, Any]]) -> bool:
        facts = {f"tag:{key}": value for key, value in machine.tags.items()}
        facts["instance-state-name"] = machine.state(self._clock.now - self.lag_s) or "invisible"
        return all(any(fnmatch.fnmatch(facts[f["Name"]], v) for v in f["Values"]) for f in filters)

    def _described(self, machine: Machine) -> dict[str, Any]:
        return {
            "InstanceId": machine.id,
            "ImageId": machine.image,
            "ClientToken": machine.token,
            "LaunchTime": datetime.fromtimestamp(machine.launched_at, UTC),
            "State": {"Name": machine.state(self._clock.now - self.lag_s)},
            "Tags": [{"Key": key, "Value": value} for key, value in machine.tags.items()],
            "BlockDeviceMappings": [
                {"Ebs": {"AttachTime": datetime.fromtimestamp(machine.created_at, UTC)}},
                {},
            ],
        }


def refusal(code: str, operation: str, of: str = "nothing") -> ClientError:
    """botocore's error for one of EC2's codes; its message names an instance as EC2's do."""
    return ClientError({"Error": {"Code": code, "Message": f"as the test asked, of '{of}'"}}, operation)


def _lose(lost: bool) -> None:
    if lost:
        raise ReadTimeoutError(endpoint_url="http://ec2.test")


class FakeLeaseBucket:
    """One object of S3 that is written conditionally; tests/integration checks the lease against an emulator."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self._object: dict[str, Any] | None = None
        self.faults: list[str] = []
        self.tells_date = True

    def put_object(self, **request: Any) -> dict[str, Any]:
        fault = self.faults.pop(0) if self.faults else ""
        if fault and fault != LOST_ANSWER:
            raise refusal(fault, "PutObject")
        etag = self._object["ETag"] if self._object else None
        if ("IfNoneMatch" in request and etag) or request.get("IfMatch", etag) != etag:
            raise refusal("PreconditionFailed", "PutObject")
        etag = f'"{hashlib.md5(request["Body"], usedforsecurity=False).hexdigest()}"'
        self._object = {"ETag": etag, "Metadata": request["Metadata"], "LastModified": self._now()}
        _lose(fault == LOST_ANSWER)
        return {"ETag": etag}

    def head_object(self, **_request: Any) -> dict[str, Any]:
        if self.faults and self.faults.pop(0) not in ("", LOST_ANSWER):
            raise refusal("ServiceUnavailable", "HeadObject")
        if self._object is None:
            raise refusal("404", "HeadObject")
        headers = {"date": format_datetime(self._now(), usegmt=True)} if self.tells_date else {}
        return {**self._object, "ResponseMetadata": {"HTTPHeaders": headers}}

    def _now(self) -> datetime:
        return datetime.fromtimestamp(int(self._clock.now), UTC)
