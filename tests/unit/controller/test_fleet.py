"""What the fleet asks of EC2, and what it makes of the answers."""

import pytest
from controller_fakes import LOST_ANSWER, FakeClock, FakeEc2
from facecontroller.fleet import LAUNCHES_PER_ACT, Ec2Fleet
from facecontroller.model import LAUNCH, Actions, State
from facecontroller.rehearsal import DryRunFleet
from facecore.errors import RefusedError

NOW = 1_000_000.0


@pytest.fixture
def ec2() -> FakeEc2:
    return FakeEc2(FakeClock(NOW))


@pytest.fixture
def fleet(ec2: FakeEc2) -> Ec2Fleet:
    return Ec2Fleet(ec2, "local", "local-worker")


def test_it_sees_its_own_instances_alone(ec2: FakeEc2, fleet: Ec2Fleet) -> None:
    ec2.add("app-tier-instance-3", "running")
    ec2.add("app-tier-instance-x", "stopped")
    ec2.add("app-tier-instance-4", "terminated")
    ec2.add("app-tier-instance-5", "running", owner="other")
    ec2.add("web-instance", "running")
    seen = fleet.look(NOW).instances
    assert [(i.number, i.state) for i in seen] == [(3, State.RUNNING), (None, State.STOPPED)]


def test_it_reads_every_page(ec2: FakeEc2, fleet: Ec2Fleet) -> None:
    ec2.page_size = 2
    for n in range(1, 6):
        ec2.add(f"app-tier-instance-{n}", "running")
    assert len(fleet.look(NOW).instances) == 5
    assert ec2.calls["describe_instances"] == 3


def test_an_instance_is_as_old_as_its_volume_though_it_was_started_later(ec2: FakeEc2, fleet: Ec2Fleet) -> None:
    ec2.machines[ec2.add("app-tier-instance-1", "running", age_s=500)].launched_at = NOW - 7
    (seen,) = fleet.look(NOW).instances
    assert (seen.created_at, seen.started_at) == (NOW - 500, NOW - 7)


def test_the_image_is_read_again_after_half_a_minute(ec2: FakeEc2, fleet: Ec2Fleet) -> None:
    fleet.look(NOW)
    ec2.image = "ami-2"
    assert fleet.look(NOW + 29).image == "ami-1"
    assert fleet.look(NOW + 30).image == "ami-2"


def test_a_launch_template_without_an_image_is_an_error(ec2: FakeEc2, fleet: Ec2Fleet) -> None:
    ec2.image = None
    with pytest.raises(RefusedError, match="local-worker names no image"):
        fleet.look(NOW)


def test_a_launch_carries_its_name_and_owner_from_the_start(ec2: FakeEc2, fleet: Ec2Fleet) -> None:
    outcome = fleet.act(Actions(launch=(7,)), NOW)
    (request,) = ec2.launch_requests
    assert (request["MinCount"], request["MaxCount"], len(request["ClientToken"])) == (1, 1, 64)
    assert request["LaunchTemplate"] == {"LaunchTemplateName": "local-worker", "Version": "$Default"}
    tags = [
        {"Key": "Name", "Value": "app-tier-instance-7"},
        {"Key": "elastic-face:id", "Value": "local"},
    ]
    assert request["TagSpecifications"] == [{"ResourceType": kind, "Tags": tags} for kind in ("instance", "volume")]
    assert outcome.launched == {7: next(iter(ec2.machines))}


def test_a_launch_that_fails_calls_off_the_rest(ec2: FakeEc2, fleet: Ec2Fleet) -> None:
    ec2.faults["run_instances"] = ["InsufficientInstanceCapacity"] * 30
    outcome = fleet.act(Actions(launch=tuple(range(1, 31))), NOW)
    assert outcome.launched == {}
    assert {(f.action, f.target, f.code) for f in outcome.failures} == {
        ("launch", LAUNCH, "InsufficientInstanceCapacity")
    }
    assert ec2.calls["run_instances"] < 30


@pytest.mark.parametrize(
    ("fault", "counted"),
    [
        (LOST_ANSWER, {1: None}),
        ("InternalError", {1: None}),
        ("RequestLimitExceeded", {}),
        ("UnauthorizedOperation", {}),
    ],
)
def test_a_launch_counts_where_it_may_have_happened(
    ec2: FakeEc2, fleet: Ec2Fleet, fault: str, counted: dict[int, None]
) -> None:
    ec2.faults["run_instances"] = [fault]
    outcome = fleet.act(Actions(launch=(1,)), NOW)
    assert (outcome.launched, len(outcome.failures)) == (counted, 1)


def test_a_tick_launches_a_bounded_number(ec2: FakeEc2, fleet: Ec2Fleet) -> None:
    outcome = fleet.act(Actions(launch=tuple(range(1, 200))), NOW)
    assert sorted(outcome.launched) == list(range(1, LAUNCHES_PER_ACT + 1))


def test_what_can_be_done_in_one_call_is(ec2: FakeEc2, fleet: Ec2Fleet) -> None:
    stopped = [ec2.add(f"app-tier-instance-{n}", "stopped") for n in range(15)]
    running = [ec2.add(f"app-tier-instance-{n}", "running") for n in range(15, 30)]
    outcome = fleet.act(Actions((*stopped[:10],), (), (*running,), (*stopped[10:],)), NOW)
    assert (outcome.started, outcome.stopped) == (tuple(stopped[:10]), tuple(running))
    assert (outcome.terminated, outcome.failures) == (tuple(stopped[10:]), ())
    assert set(ec2.calls.values()) == {1}


def test_one_instance_that_is_refused_does_not_hold_up_the_others(ec2: FakeEc2, fleet: Ec2Fleet) -> None:
    ids = [ec2.add(f"app-tier-instance-{n}", "stopped") for n in range(8)]
    ids[2] = ec2.add("app-tier-instance-9", "stopping")
    ids[5] = "i-vanished"
    outcome = fleet.act(Actions(start=(*ids,)), NOW)
    assert set(outcome.started) == {*ids} - {ids[2], ids[5]}
    assert [(f.target, f.code) for f in outcome.failures] == [
        (ids[2], "IncorrectInstanceState"),
        ("i-vanished", "InvalidInstanceID.NotFound"),
    ]


@pytest.mark.parametrize("code", ["UnauthorizedOperation", "RequestLimitExceeded", LOST_ANSWER])
def test_what_fails_for_all_is_not_tried_one_by_one(ec2: FakeEc2, fleet: Ec2Fleet, code: str) -> None:
    ids = [ec2.add(f"app-tier-instance-{n}", "stopped") for n in range(8)]
    ec2.faults["terminate_instances"] = [code]
    outcome = fleet.act(Actions(terminate=(*ids,)), NOW)
    assert (outcome.terminated, len(outcome.failures)) == ((), 8)
    assert ec2.calls["terminate_instances"] == 1


def test_a_dry_run_looks_and_changes_nothing(ec2: FakeEc2, fleet: Ec2Fleet) -> None:
    stopped = ec2.add("app-tier-instance-1", "stopped")
    dry = DryRunFleet(fleet)
    assert dry.look(NOW) == fleet.look(NOW)
    outcome = dry.act(Actions(start=(stopped,), launch=(2,)), NOW)
    assert (outcome.started, outcome.launched) == ((stopped,), {2: None})
    assert set(ec2.calls) == {"describe_instances", "describe_launch_template_versions"}
