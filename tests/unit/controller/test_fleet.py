"""The calls that the fleet makes to EC2, and what it reads from the answers."""

import pytest
from facecontroller.fleet import Ec2Fleet, client_token
from facecontroller.model import LAUNCH, RENAME, Actions, Offering, Order, Rename, State
from facecore.errors import RefusedError
from support.fakes.clock import Clock
from support.fakes.ec2 import FakeEc2
from support.fakes.ec2_parts import LOST_ANSWER

NOW = 1_000_000.0


@pytest.fixture
def ec2() -> FakeEc2:
    return FakeEc2(Clock(NOW))


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
    ec2.add("app-tier-instance-1", "running", age_s=500, started_s=7)
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


def test_a_launch_is_one_call_whose_instances_carry_name_and_owner_from_the_start(
    ec2: FakeEc2, fleet: Ec2Fleet
) -> None:
    outcome = fleet.act(Actions(launch=Order(15, 7)), NOW)
    (request,) = ec2.launch_requests
    assert (request["MinCount"], request["MaxCount"], len(request["ClientToken"])) == (1, 15, 64)
    assert request["LaunchTemplate"] == {"LaunchTemplateName": "local-worker", "Version": "$Default"}
    assert request["MetadataOptions"] == {"HttpTokens": "required", "HttpPutResponseHopLimit": 1}
    tags = [
        {"Key": "Name", "Value": "app-tier-instance-7"},
        {"Key": "elastic-face:id", "Value": "local"},
    ]
    assert request["TagSpecifications"] == [{"ResourceType": kind, "Tags": tags} for kind in ("instance", "volume")]
    assert outcome.launched_ids == tuple(ec2.machines)
    assert {i.client_token for i in fleet.look(NOW).instances} == {outcome.launched[0].client_token}


def test_a_launch_may_name_its_type_and_subnet(ec2: FakeEc2, fleet: Ec2Fleet) -> None:
    fleet.act(Actions(launch=Order(1, 1, Offering("c7i.large", "subnet-b"))), NOW)
    assert (ec2.launch_requests[0]["InstanceType"], ec2.launch_requests[0]["SubnetId"]) == ("c7i.large", "subnet-b")


def test_the_same_launch_again_within_the_minute_is_the_same_instances(ec2: FakeEc2, fleet: Ec2Fleet) -> None:
    minute = NOW - NOW % 60
    first, again = (fleet.act(Actions(launch=Order(3, 1)), minute + at) for at in (1, 59))
    assert first.launched_ids == again.launched_ids
    other = fleet.act(Actions(launch=Order(4, 1)), minute + 2)
    assert (other.launched, other.failures[0].code) == ((), "IdempotentParameterMismatch")
    assert len(ec2.machines) == 3


def test_tokens_tell_deployments_minutes_offerings_and_launches_apart() -> None:
    orders = [Order(1, 1), Order(1, 1, sequence=1), Order(1, 1, Offering("a", "b"))]
    tokens = {client_token(i, order, at) for i in ("a", "b") for order in orders for at in (0, 59.9, 60)}
    assert len(tokens) == 12


def test_what_a_launch_did_not_make_is_asked_for_at_once(ec2: FakeEc2, fleet: Ec2Fleet) -> None:
    ec2.most_per_launch = 4
    outcome = fleet.act(Actions(launch=Order(15, 1)), NOW)
    assert [launch.count for launch in outcome.launched] == [4, 4, 4, 3]
    assert outcome.launched_ids == tuple(ec2.machines)
    assert len({launch.client_token for launch in outcome.launched}) == 4


def test_the_refusal_of_the_rest_tells_that_an_offering_has_no_more(ec2: FakeEc2, fleet: Ec2Fleet) -> None:
    ec2.most_per_launch = 4
    ec2.faults["run_instances"] = ["", "InsufficientInstanceCapacity"]
    outcome = fleet.act(Actions(launch=Order(15, 1)), NOW)
    assert [launch.count for launch in outcome.launched] == [4]
    assert [(failure.target, failure.capacity) for failure in outcome.failures] == [("any type@any subnet", True)]


@pytest.mark.parametrize(
    ("fault", "counted", "target"),
    [
        (LOST_ANSWER, 2, LAUNCH),
        ("InternalError", 2, LAUNCH),
        ("RequestLimitExceeded", 0, LAUNCH),
        ("UnauthorizedOperation", 0, LAUNCH),
        ("InsufficientInstanceCapacity", 0, "any type@any subnet"),
    ],
)
def test_a_launch_counts_where_it_may_have_happened(
    ec2: FakeEc2, fleet: Ec2Fleet, fault: str, counted: int, target: str
) -> None:
    ec2.faults["run_instances"] = [fault]
    outcome = fleet.act(Actions(launch=Order(2, 1)), NOW)
    assert sum(launch.count for launch in outcome.launched) == counted
    assert [f.target for f in outcome.failures] == [target]


def test_a_name_is_given_and_a_refusal_is_told(ec2: FakeEc2, fleet: Ec2Fleet) -> None:
    one = ec2.add("app-tier-instance-1", "running")
    ec2.faults["create_tags"] = ["UnauthorizedOperation"]
    refused = fleet.act(Actions(rename=Rename(one, 2)), NOW)
    assert [(f.action, f.target) for f in refused.failures] == [("rename", RENAME)]
    assert fleet.act(Actions(rename=Rename(one, 2)), NOW).renamed == Rename(one, 2)
    assert ec2.machines[one].tags["Name"] == "app-tier-instance-2"


def test_what_can_be_done_in_one_call_is(ec2: FakeEc2, fleet: Ec2Fleet) -> None:
    stopped = [ec2.add(f"app-tier-instance-{n}", "stopped") for n in range(15)]
    running = [ec2.add(f"app-tier-instance-{n}", "running") for n in range(15, 30)]
    outcome = fleet.act(Actions((*stopped[:10],), None, (*running,), (*stopped[10:],)), NOW)
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


def test_those_that_a_refusal_names_are_left_out_and_the_rest_takes_one_call_more(
    ec2: FakeEc2, fleet: Ec2Fleet
) -> None:
    ids = [ec2.add(f"app-tier-instance-{n}", "stopped") for n in range(200)]
    ids[50] = ec2.add("app-tier-instance-900", "stopping")
    outcome = fleet.act(Actions(start=(*ids,)), NOW)
    assert (len(outcome.started), [f.target for f in outcome.failures]) == (199, [ids[50]])
    assert ec2.calls["start_instances"] == 2


def test_a_refusal_that_names_no_instance_is_narrowed_down_by_halves(ec2: FakeEc2, fleet: Ec2Fleet) -> None:
    ids = [ec2.add(f"app-tier-instance-{n}", "stopped") for n in range(4)]
    ec2.faults["start_instances"] = ["IncorrectInstanceState", "IncorrectInstanceState"]
    assert set(fleet.act(Actions(start=(*ids,)), NOW).started) == {*ids}
    assert ec2.calls["start_instances"] == 5


@pytest.mark.parametrize("code", ["UnauthorizedOperation", "RequestLimitExceeded", LOST_ANSWER])
def test_what_fails_for_all_is_not_tried_one_by_one(ec2: FakeEc2, fleet: Ec2Fleet, code: str) -> None:
    ids = [ec2.add(f"app-tier-instance-{n}", "stopped") for n in range(8)]
    ec2.faults["terminate_instances"] = [code]
    outcome = fleet.act(Actions(terminate=(*ids,)), NOW)
    assert (outcome.terminated, len(outcome.failures)) == ((), 8)
    assert ec2.calls["terminate_instances"] == 1
