"""EC2's client in memory, as far as the controller uses it: the one model of EC2. test_ec2_contract checks it."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from math import inf
from types import SimpleNamespace
from typing import Any

from botocore.exceptions import ReadTimeoutError

from support.fakes.aws import Journal
from support.fakes.clock import Clock
from support.fakes.ec2_parts import ALIVE, CALLS, INSTANCES, LOST_ANSWER, Bucket, Listed, Machine, refusal

STOPPING_S = 5.0
TERMINATING_S = 5.0


class FakeEc2:
    """The part of EC2's client that the controller uses, with its states, refusals, token buckets and lag.

    The attributes are what a test sets; the simulator overrides the methods that read them.
    """

    def __init__(
        self, clock: Clock, journal: Journal | None = None, *, boot_s: float = 20.0, lag_s: float = 0.0
    ) -> None:
        self._clock = clock
        self._journal = journal or Journal()
        self._tokens: dict[str, tuple[dict[str, Any], list[str]]] = {}
        # By filters. The simulator's ten thousand instances are listed at each tick, and few of them have changed.
        self._lists: dict[str, Listed] = {}
        self.limits = {
            name: tuple(Bucket(*rates[name]) for rates in (CALLS, INSTANCES) if name in rates) for name in CALLS
        }
        self.boot_s = boot_s
        """From `pending` to `running`."""
        self.boots_hang = False
        self.lag_s = lag_s
        """Until DescribeInstances shows a change."""
        self.image: str | None = "ami-1"
        self.page_size = 1000
        self.out_of_capacity: set[tuple[str, str]] = set()
        """Offerings, as (instance type, subnet)."""
        self.most_per_launch = 10_000
        self.faults: dict[str, list[str]] = {}
        """By operation, the error codes of its next calls, or LOST_ANSWER; empty is a success."""
        self.machines: dict[str, Machine] = {}
        self.throttled = 0
        self.touched: set[str] = set()
        self.stopped_by_call: list[str] = []
        self.launch_requests: list[dict[str, Any]] = []

    @property
    def calls(self) -> Counter[str]:
        """Calls by operation, refused ones included."""
        return self._journal.calls

    # What a test sets and the simulator draws at random.

    def boot_time_s(self, _machine: Machine) -> float:
        """From `pending` to `running`; infinite for a boot that hangs."""
        return inf if self.boots_hang else self.boot_s

    def shown_after_s(self) -> float:
        """Until DescribeInstances shows the present change."""
        return self.lag_s

    def made(self, wanted: int) -> int:
        """How many instances a launch makes of those that it asks for."""
        return min(wanted, self.most_per_launch)

    def fault(self, operation: str) -> str:
        """What goes wrong with the present call: an error code, LOST_ANSWER, or nothing."""
        planned = self.faults.get(operation)
        return planned.pop(0) if planned else ""

    def changed(self, machine: Machine, former: str) -> None:
        """Called after a change of state."""

    # What a test puts there and looks at, without calls.

    def add(
        self,
        name: str,
        state: str,
        *,
        owner: str = "local",
        image: str = "ami-1",
        age_s: float = 0,
        started_s: float | None = None,
        offering: tuple[str, str] = ("", ""),
    ) -> str:
        """Adds a machine that was launched `age_s` and last started `started_s` seconds ago; it stays in its state."""
        now = self._clock.now_s
        started_at = now - (age_s if started_s is None else started_s)
        tags = {"Name": name, "elastic-face:id": owner}
        machine = Machine(self._new_id(), tags, image, now - age_s, started_at, offering, state=state)
        self.machines[machine.id] = machine
        self._shown(machine, self._described(machine))
        return machine.id

    def in_state(self, *states: str, owner: str = "local") -> list[Machine]:
        """The owner's machines that are in one of the states, without lag."""
        return [m for m in self.machines.values() if m.state in states and m.tags["elastic-face:id"] == owner]

    def alive(self) -> list[Machine]:
        """Those that hold a slot."""
        return self.in_state(*ALIVE)

    def power_off(self, machine: Machine) -> None:
        """What a worker that has nothing to do does."""
        if machine.state == "running":
            self._become(machine, "stopping", STOPPING_S, "stopped")

    # EC2's operations.

    def describe_launch_template_versions(self, **_request: Any) -> dict[str, Any]:
        with self._called("describe_launch_template_versions"):
            data = {} if self.image is None else {"ImageId": self.image}
            return {"LaunchTemplateVersions": [{"LaunchTemplateData": data}]}

    def describe_instances(self, **request: Any) -> dict[str, Any]:
        with self._called("describe_instances"):
            ids = request.get("InstanceIds", ())
            for machine_id in ids:
                if machine_id not in self.machines or self.machines[machine_id].shown is None:
                    raise refusal("InvalidInstanceID.NotFound", "describe_instances", machine_id)
            found = self._found(request.get("Filters", ()))
            return {"Reservations": [{"Instances": [i for i in found if not ids or i["InstanceId"] in ids]}]}

    def get_paginator(self, operation: str) -> Any:
        assert operation == "describe_instances"
        return SimpleNamespace(paginate=self.paginate)

    def paginate(self, **request: Any) -> Iterator[dict[str, Any]]:
        size = min(self.page_size, request.get("PaginationConfig", {}).get("PageSize", inf))
        found: list[dict[str, Any]] = []
        first = 0
        while first < max(1, len(found)):
            with self._called("describe_instances"):
                found = found or self._found(request["Filters"])
                page = {"Reservations": [{"Instances": found[first : first + size]}]}
            yield page
            first += size

    def run_instances(self, **request: Any) -> dict[str, Any]:
        with self._called("run_instances"):
            offering = (request.get("InstanceType", ""), request.get("SubnetId", ""))
            token = request["ClientToken"]
            former, ids = self._tokens.get(token, (request, []))
            if former != request:
                raise refusal("IdempotentParameterMismatch", "run_instances")
            if not ids:
                if offering in self.out_of_capacity:
                    raise refusal("InsufficientInstanceCapacity", "run_instances")
                # Assumed: what is not made for lack of machines costs no token.
                count = self.made(request["MaxCount"])
                self._spend("run_instances", count)
                self.launch_requests.append(request)
                tags = {tag["Key"]: tag["Value"] for tag in request["TagSpecifications"][0]["Tags"]}
                ids = [self._launch(tags, offering, token) for _ in range(count)]
                self._tokens[token] = (request, ids)
            return {"Instances": [{"InstanceId": i, "State": {"Name": "pending"}} for i in ids]}

    def create_tags(self, *, Resources: Sequence[str], Tags: Sequence[dict[str, str]]) -> None:  # noqa: N803
        with self._called("create_tags"):
            for machine in self._chosen("create_tags", Resources):
                machine.tags |= {tag["Key"]: tag["Value"] for tag in Tags}
                self._show(machine)

    def start_instances(self, *, InstanceIds: Sequence[str]) -> None:  # noqa: N803
        with self._called("start_instances"):
            chosen = self._chosen("start_instances", InstanceIds, "stopped", "running", "pending")
            if any(m.offering in self.out_of_capacity for m in chosen if m.state == "stopped"):
                # EC2 does not say for which of them.
                raise refusal("InsufficientInstanceCapacity", "start_instances")
            self._spend("start_instances", len(InstanceIds))
            for machine in chosen:
                if machine.state == "stopped":
                    self._boot(machine)

    def stop_instances(self, *, InstanceIds: Sequence[str]) -> None:  # noqa: N803
        with self._called("stop_instances"):
            chosen = self._chosen("stop_instances", InstanceIds, "running", "stopping", "stopped")
            self._spend("stop_instances", len(InstanceIds))
            self.stopped_by_call += InstanceIds
            for machine in chosen:
                self.power_off(machine)

    def terminate_instances(self, *, InstanceIds: Sequence[str]) -> None:  # noqa: N803
        with self._called("terminate_instances"):
            chosen = self._chosen("terminate_instances", InstanceIds)
            self._spend("terminate_instances", len(InstanceIds))
            for machine in chosen:
                if machine.state not in ("shutting-down", "terminated"):
                    self._become(machine, "shutting-down", TERMINATING_S, "terminated")

    @contextmanager
    def _called(self, operation: str) -> Iterator[None]:
        """One call: it takes its time, may be refused before it has an effect, and may lose its answer after it."""
        self._journal.begin(operation)
        fault = self.fault(operation)
        if fault and fault != LOST_ANSWER:
            raise refusal(fault, operation)
        if not self.limits[operation][0].take(1, self._clock.now_s):
            self._throttle(operation)
        yield
        self._journal.end(operation)
        if fault:
            raise ReadTimeoutError(endpoint_url="http://ec2.test")

    def _spend(self, operation: str, instances: int) -> None:
        if not self.limits[operation][1].take(instances, self._clock.now_s):
            self._throttle(operation)

    def _throttle(self, operation: str) -> None:
        self.throttled += 1
        raise refusal("RequestLimitExceeded", operation)

    def _chosen(self, operation: str, ids: Sequence[str], *states: str) -> list[Machine]:
        """The machines of a call, which EC2 refuses as a whole if it cannot be done to one of them."""
        self.touched.update(ids)
        for machine_id in ids:
            if machine_id not in self.machines:
                raise refusal("InvalidInstanceID.NotFound", operation, machine_id)
            if states and self.machines[machine_id].state not in states:
                raise refusal("IncorrectInstanceState", operation, machine_id)
        return [self.machines[machine_id] for machine_id in ids]

    def _launch(self, tags: dict[str, str], offering: tuple[str, str], token: str) -> str:
        now = self._clock.now_s
        machine = Machine(self._new_id(), dict(tags), self.image or "", now, now, offering, token)
        self.machines[machine.id] = machine
        self._boot(machine)
        return machine.id

    def _new_id(self) -> str:
        return f"i-{len(self.machines):017x}"

    def _boot(self, machine: Machine) -> None:
        machine.started_at = self._clock.now_s
        self._become(machine, "pending", self.boot_time_s(machine), "running")

    def _become(self, machine: Machine, state: str, after_s: float = inf, then: str = "") -> None:
        """A change of state now, and the next one after a while unless something else changes it before."""
        former, machine.state = machine.state, state
        machine.changes += 1
        change = machine.changes
        if after_s < inf:
            self._clock.later(after_s, lambda: machine.changes == change and self._become(machine, then))
        self._show(machine)
        self.changed(machine, former)

    def _show(self, machine: Machine) -> None:
        """Lets DescribeInstances show the machine as it is now, after the lag."""
        machine.versions += 1
        version, shown, lag_s = machine.versions, self._described(machine), self.shown_after_s()

        def show() -> None:
            # A change that is shown late must not hide a later one.
            if version > machine.shown_version:
                machine.shown_version = version
                self._shown(machine, shown)

        if lag_s:
            self._clock.later(lag_s, show)
        else:
            show()

    def _shown(self, machine: Machine, described: dict[str, Any]) -> None:
        machine.shown = described
        for listed in self._lists.values():
            listed.show(described)

    def _found(self, filters: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        key = repr(filters)
        if key not in self._lists:
            self._lists[key] = Listed(filters)
            for machine in self.machines.values():
                if machine.shown is not None:
                    self._lists[key].show(machine.shown)
        return [*self._lists[key].instances.values()]

    @staticmethod
    def _described(machine: Machine) -> dict[str, Any]:
        started_at, created_at = (datetime.fromtimestamp(at, UTC) for at in (machine.started_at, machine.created_at))
        return {
            "InstanceId": machine.id,
            "ImageId": machine.image,
            "LaunchTime": started_at,
            "State": {"Name": machine.state},
            "Tags": [{"Key": key, "Value": value} for key, value in machine.tags.items()],
            "BlockDeviceMappings": [{"Ebs": {"AttachTime": created_at}}, {}],
            "ClientToken": machine.token,
        }
