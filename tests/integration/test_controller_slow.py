"""The controller against the emulator's EC2 made as slow as AWS's, and killed between any two of its calls."""

import time
from collections.abc import Iterator

import pytest
from facecontroller.fleet import Ec2Fleet
from facecontroller.lease import TERM_S
from facecontroller.loop import CALLS_PER_TICK, Controller
from facecontroller.metrics import Metrics
from facecontroller.settings import Settings
from facecore.aws import Aws
from facecore.queues import SqsQueue
from facecore.settings import AwsSettings
from prometheus_client import CollectorRegistry
from support.fakes.slow_ec2 import Killed, SlowEc2

ALIVE = ["pending", "running", "stopping", "stopped", "shutting-down"]


class SlowTier:
    """One deployment, its slow EC2 and a controller that can be killed."""

    def __init__(self, deployment: AwsSettings) -> None:
        self.settings = Settings(id=deployment.id, endpoint_url=deployment.endpoint_url)
        self.real = Aws(self.settings).client("ec2")
        self.queue = SqsQueue(Aws(self.settings).client("sqs"), self.settings.request_queue)
        self.now = time.time()
        self.ec2 = SlowEc2(self.real, lambda: self.now)
        self.restart()

    def restart(self) -> None:
        fleet = Ec2Fleet(self.ec2, self.settings.id, self.settings.worker_template)  # type: ignore[arg-type]
        metrics = Metrics(CollectorRegistry(), lambda: self.now)
        self.controller = Controller(self.queue, fleet, self.settings.config(), metrics, lambda: self.now)

    def ticks(self, count: int) -> list[int]:
        """The calls that each tick made to EC2 and to the queue; a killed controller is started again."""
        made = []
        for _ in range(count):
            self.now += 1
            before = self.ec2.calls.total()
            try:
                self.controller.tick()
            except Killed:
                # The next one acts once the lease of this one is over.
                self.now += TERM_S
                self.restart()
            made.append(1 + self.ec2.calls.total() - before)
        return made

    def names(self) -> list[str]:
        return sorted(t["Value"] for i in self.instances() for t in i["Tags"] if t["Key"] == "Name")

    def instances(self) -> list[dict]:  # type: ignore[type-arg]
        filters = [
            {"Name": "tag:elastic-face:id", "Values": [self.settings.id]},
            {"Name": "tag:Name", "Values": ["app-tier-*"]},
            {"Name": "instance-state-name", "Values": ALIVE},
        ]
        found = self.real.describe_instances(Filters=filters, MaxResults=1000)["Reservations"]
        return [i for r in found for i in r["Instances"]]

    def power_off(self) -> None:
        ids = [i["InstanceId"] for i in self.instances()]
        self.real.stop_instances(InstanceIds=ids)
        self.ec2.powered_off(ids)


@pytest.fixture
def slow(deployment: AwsSettings) -> Iterator[SlowTier]:
    made = SlowTier(deployment)
    yield made
    if left := [i["InstanceId"] for i in made.instances()]:
        made.real.terminate_instances(InstanceIds=left)


def test_from_0_to_15_in_one_mutating_call_and_four_calls_a_tick(slow: SlowTier) -> None:
    for _ in range(20):
        slow.queue.send("a request")
    first, *_ = calls = slow.ticks(1)
    assert (slow.ec2.mutating, len(slow.instances())) == (1, 15)
    calls += slow.ticks(35)
    assert max(first, *calls) <= CALLS_PER_TICK
    assert slow.names() == sorted(f"app-tier-instance-{n}" for n in range(1, 16))
    assert slow.ec2.calls["RunInstances"] == 1
    assert slow.ec2.calls["CreateTags"] == 14


def test_stopped_ones_are_started_in_one_call_and_the_rest_launched_in_one(slow: SlowTier) -> None:
    for _ in range(5):
        slow.queue.send("a request")
    slow.ticks(30)
    slow.power_off()
    slow.ticks(6)
    slow.ec2.calls.clear()
    for _ in range(15):
        slow.queue.send("a request")
    calls = slow.ticks(3)
    assert max(calls) <= CALLS_PER_TICK
    assert slow.ec2.mutating <= 3
    assert len(slow.instances()) == 15


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("call", range(1, 6))
def test_a_controller_killed_at_any_call_leaks_nothing(slow: SlowTier, call: int, after: bool) -> None:
    for _ in range(20):
        slow.queue.send("a request")
    slow.ec2.kill_at = (call, after)
    slow.ticks(30)
    assert slow.ec2.kill_at is None
    assert slow.names() == sorted(f"app-tier-instance-{n}" for n in range(1, 16))
