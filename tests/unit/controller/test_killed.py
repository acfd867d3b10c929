"""What a tick costs in calls, and what becomes of a controller that is killed after any of them."""

import pytest
from facecontroller.fleet import Ec2Fleet
from facecontroller.lease import TERM_S, S3Lease
from facecontroller.loop import CALLS_PER_TICK, Controller
from facecontroller.metrics import Metrics
from facecontroller.model import Config
from prometheus_client import CollectorRegistry
from support.fakes.aws import Crashed, FakeQueue, Journal
from support.fakes.clock import Clock
from support.fakes.ec2 import FakeEc2
from support.fakes.lease import FakeLeaseBucket

CONFIG = Config(max_instances=15, boot_timeout_s=300, reap_after_s=300, max_age_s=86_400)
CHANGING = {"run_instances", "start_instances", "stop_instances", "terminate_instances", "create_tags"}
NAMES = sorted(f"app-tier-instance-{n}" for n in range(1, 16))
CALLS_OF_A_BURST = 8
"""The lease; queue, launch template, instances and launch; queue, instances and a name."""


class Tier:
    """AWS as the controller sees it: one journal of all calls, and a next controller for one that is killed."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.journal = Journal(self.clock, call_s=0.1)
        self.ec2 = FakeEc2(self.clock, self.journal, boot_s=20, lag_s=2)
        self.queue = FakeQueue("requests", self.clock, self.journal)
        self.s3 = FakeLeaseBucket(self.clock, self.journal)
        self.controllers = 0
        self.restart()

    def restart(self) -> None:
        self.controllers += 1
        fleet, metrics = Ec2Fleet(self.ec2, "local", "local-worker"), Metrics(CollectorRegistry(), self.clock)
        lease = S3Lease(self.s3, "bucket", f"controller-{self.controllers}", self.clock)
        self.controller = Controller(self.queue, fleet, CONFIG, metrics, self.clock, lease=lease)

    def ticks(self, count: int) -> list[int]:
        """How many calls each tick makes, at one a second."""
        made = []
        for _ in range(count):
            self.clock.sleep(1 - self.clock.now_s % 1)
            before = self.journal.calls.total()
            try:
                self.controller.tick()
            except Crashed:
                self.journal.crash_after = None
                self.restart()
            made.append(self.journal.calls.total() - before)
        return made

    def changes(self) -> int:
        return sum(count for call, count in self.journal.calls.items() if call in CHANGING)

    def names(self) -> list[str]:
        return sorted(machine.tags["Name"] for machine in self.ec2.alive())


@pytest.fixture
def tier() -> Tier:
    made = Tier()
    made.queue.fill(20)
    return made


def test_from_0_to_15_in_one_changing_call_and_four_calls_a_tick(tier: Tier) -> None:
    calls = tier.ticks(2)
    assert (tier.changes(), len(tier.ec2.alive())) == (1, 15)
    calls += tier.ticks(35)
    assert max(calls) <= CALLS_PER_TICK
    assert tier.names() == NAMES
    assert (tier.ec2.calls["run_instances"], tier.ec2.calls["create_tags"]) == (1, 14)


def test_stopped_ones_are_started_in_one_call_and_the_rest_launched_in_one(tier: Tier) -> None:
    tier.queue.fill(5)
    tier.ticks(30)
    tier.queue.fill(0)
    for machine in tier.ec2.alive():
        tier.ec2.power_off(machine)
    tier.ticks(8)
    tier.queue.fill(15)
    before = tier.changes()
    assert max(tier.ticks(3)) <= CALLS_PER_TICK
    assert tier.changes() - before <= 3
    assert len(tier.ec2.in_state("pending")) == 15


@pytest.mark.parametrize("call", range(1, CALLS_OF_A_BURST + 1))
def test_a_controller_killed_after_any_call_leaks_nothing(tier: Tier, call: int) -> None:
    tier.journal.crash_after = call
    tier.ticks(30 + int(TERM_S))
    assert tier.controllers == 2
    assert tier.names() == NAMES
