"""What the fakes do that an emulator does not: time within calls, lag, wrong counts, limits and boots that hang."""

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError
from facecore.errors import UnavailableError
from facecore.queues import Depth
from support.fakes.aws import FakeQueue, Journal
from support.fakes.clock import Clock
from support.fakes.ec2 import FakeEc2
from support.fakes.ec2_parts import LOST_ANSWER

LAUNCH = {"MinCount": 1, "TagSpecifications": [{"Tags": [{"Key": "elastic-face:id", "Value": "local"}]}]}


@pytest.fixture
def clock() -> Clock:
    return Clock(0.0)


def test_what_is_due_during_a_sleep_happens_at_its_time(clock: Clock) -> None:
    happened: list[tuple[str, float]] = []
    for name, after_s in (("late", 3), ("early", 1), ("never", 9)):
        clock.later(after_s, lambda name=name: happened.append((name, clock())))
    clock.sleep(5)
    assert (happened, clock()) == ([("early", 1), ("late", 3)], 5)


def test_a_sleep_within_an_event_holds_up_the_sleeper_around_it(clock: Clock) -> None:
    clock.later(1, lambda: clock.sleep(10))
    clock.sleep(2)
    assert clock() == 11


def test_a_call_takes_its_time_before_its_effect(clock: Clock) -> None:
    queue = FakeQueue("requests", clock, Journal(clock, call_s=0.5))
    clock.later(0.25, lambda: queue.fill(3))
    assert (queue.depth().visible, clock()) == (3, 0.5)


def test_a_poll_returns_when_a_message_is_sent(clock: Clock) -> None:
    queue = FakeQueue("requests", clock)
    clock.later(2, lambda: queue.send("work"))
    assert [message.body for message in queue.receive(wait_s=20)] == ["work"]
    assert clock() == 2


def test_readings_of_a_depth_fail_lag_and_miss_all(clock: Clock) -> None:
    queue = FakeQueue("requests", clock)
    queue.fill(5, in_flight=2)
    queue.note()
    clock.sleep(10)
    queue.fill(1)
    queue.failures, queue.false_zeros = 1, 1
    with pytest.raises(UnavailableError):
        queue.depth()
    assert queue.depth() == Depth(0, 0, 0)
    assert queue.depth() == Depth(1, 0, 0)
    queue.lag_s = 10
    assert queue.depth() == Depth(5, 2, 0)


def test_a_change_is_shown_after_the_lag_and_a_later_one_is_not_hidden_by_it(clock: Clock) -> None:
    ec2 = FakeEc2(clock, boot_s=1, lag_s=5)
    ec2.run_instances(ClientToken="a", MaxCount=1, **LAUNCH)
    clock.sleep(4)
    assert ec2.describe_instances()["Reservations"][0]["Instances"] == []
    ec2.lag_s = 0
    (machine,) = ec2.machines.values()
    ec2.power_off(machine)
    clock.sleep(2)
    (shown,) = ec2.describe_instances()["Reservations"][0]["Instances"]
    assert shown["State"]["Name"] == "stopping"


def test_token_buckets_refuse_calls_and_instances_and_fill_up_again(clock: Clock) -> None:
    ec2 = FakeEc2(clock)
    ec2.run_instances(ClientToken="a", MaxCount=1000, **LAUNCH)
    with pytest.raises(ClientError, match="RequestLimitExceeded"):
        ec2.run_instances(ClientToken="b", MaxCount=1, **LAUNCH)
    clock.sleep(0.5)
    ec2.run_instances(ClientToken="c", MaxCount=1, **LAUNCH)
    ids = [*ec2.machines][:1]
    for _ in range(5):
        ec2.start_instances(InstanceIds=ids)
    with pytest.raises(ClientError, match="RequestLimitExceeded"):
        ec2.start_instances(InstanceIds=ids)
    assert (len(ec2.machines), ec2.throttled) == (1001, 2)


def test_a_lost_answer_has_had_its_effect_and_its_token_brings_it_again(clock: Clock) -> None:
    ec2 = FakeEc2(clock)
    ec2.faults["run_instances"] = [LOST_ANSWER]
    with pytest.raises(ReadTimeoutError):
        ec2.run_instances(ClientToken="a", MaxCount=2, **LAUNCH)
    again = ec2.run_instances(ClientToken="a", MaxCount=2, **LAUNCH)["Instances"]
    assert [i["InstanceId"] for i in again] == [*ec2.machines]


def test_a_place_out_of_capacity_refuses_launches_and_starts_there_only(clock: Clock) -> None:
    ec2 = FakeEc2(clock)
    ec2.out_of_capacity = {("m7i.large", "subnet-a")}
    here = ec2.add("app-tier-instance-1", "stopped", offering=("m7i.large", "subnet-a"))
    there = ec2.add("app-tier-instance-2", "stopped", offering=("m7i.large", "subnet-b"))
    with pytest.raises(ClientError, match="InsufficientInstanceCapacity"):
        ec2.run_instances(ClientToken="a", MaxCount=1, InstanceType="m7i.large", SubnetId="subnet-a", **LAUNCH)
    with pytest.raises(ClientError, match="InsufficientInstanceCapacity"):
        ec2.start_instances(InstanceIds=[here, there])
    ec2.start_instances(InstanceIds=[there])
    assert [machine.id for machine in ec2.in_state("pending")] == [there]


def test_a_boot_that_hangs_stays_pending_until_it_is_terminated(clock: Clock) -> None:
    ec2 = FakeEc2(clock)
    ec2.boots_hang = True
    ec2.run_instances(ClientToken="a", MaxCount=1, **LAUNCH)
    clock.sleep(1000)
    (machine,) = ec2.in_state("pending")
    ec2.terminate_instances(InstanceIds=[machine.id])
    clock.sleep(1000)
    assert machine.state == "terminated"
