"""What the fake EC2 is made of: its limits, token buckets, instances, and the errors that it answers with."""

import fnmatch
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Any

from botocore.exceptions import ClientError

LOST_ANSWER = "lost"
"""A fault: the call has its effect, and its answer is lost."""
ALIVE = ("pending", "running", "stopping", "stopped", "shutting-down")
# (burst, refill a second) https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html
CALLS = {
    "run_instances": (5.0, 2.0),
    "start_instances": (5.0, 2.0),
    "stop_instances": (50.0, 5.0),
    "terminate_instances": (100.0, 5.0),
    "create_tags": (50.0, 5.0),
    # With filters; without them it would be half.
    "describe_instances": (100.0, 20.0),
    "describe_launch_template_versions": (100.0, 20.0),
}
INSTANCES = {
    "run_instances": (1000.0, 2.0),
    "start_instances": (1000.0, 2.0),
    "stop_instances": (1000.0, 20.0),
    "terminate_instances": (1000.0, 20.0),
}


@dataclass
class Bucket:
    """One of EC2's token buckets."""

    burst: float
    per_s: float
    held: float = inf
    at: float = 0.0

    def take(self, wanted: float, now: float) -> bool:
        """Takes `wanted` tokens if it has them."""
        self.held = min(self.burst, self.held + self.per_s * (now - self.at))
        self.at = now
        if self.held < wanted:
            return False
        self.held -= wanted
        return True


@dataclass
class Listed:
    """The instances that DescribeInstances shows for some filters, by id."""

    filters: Sequence[dict[str, Any]]
    instances: dict[str, dict[str, Any]] = field(default_factory=dict)

    def show(self, described: dict[str, Any]) -> None:
        """Adds an instance as it is described now, or takes it off the list."""
        facts = {f"tag:{tag['Key']}": tag["Value"] for tag in described["Tags"]}
        facts["instance-state-name"] = described["State"]["Name"]
        values = ((facts.get(f["Name"], ""), f["Values"]) for f in self.filters)
        if all(any(fnmatch.fnmatchcase(fact, pattern) for pattern in patterns) for fact, patterns in values):
            self.instances[described["InstanceId"]] = described
        else:
            self.instances.pop(described["InstanceId"], None)


@dataclass(eq=False)
class Machine:
    """One instance. `offering` is its type and subnet, empty if the launch template says them."""

    id: str
    tags: dict[str, str]
    image: str
    created_at: float
    started_at: float
    offering: tuple[str, str] = ("", "")
    token: str = ""
    state: str = ""
    changes: int = 0
    """Changes of state, so that a transition planned before the last one is void."""
    versions: int = 0
    """Changes of what is described."""
    shown: dict[str, Any] | None = None
    """What DescribeInstances shows of it; None until it does."""
    shown_version: int = 0


def refusal(code: str, operation: str, of: str = "nothing") -> ClientError:
    """botocore's error for one of EC2's codes; its message names an instance as EC2's does."""
    return ClientError({"Error": {"Code": code, "Message": f"as the test asked, of '{of}'"}}, operation)
