"""EC2: one contract, kept by the emulator and by the fake that unit tests and the simulator use.

What the emulator is known not to do as EC2 does is an expected failure: it fails here once it does.
"""

import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from botocore.exceptions import ClientError
from facecore.aws import Aws
from facecore.settings import AwsSettings
from support.fakes.clock import Clock
from support.fakes.ec2 import FakeEc2
from support.fakes.ec2_parts import ALIVE

UNKNOWN = "i-0123456789abcdef0"


@dataclass
class Contract:
    """EC2's client, one deployment's launch template, and how time passes until a change is over."""

    ec2: Any
    owner: str
    sleep: Callable[[float], None]

    def settle(self) -> None:
        self.sleep(30 if isinstance(self.ec2, FakeEc2) else 0)

    def launch(self, count: int = 1, *, name: str = "app-tier-instance-1", token: str = "") -> list[str]:
        tags = [{"Key": "Name", "Value": name}, {"Key": "elastic-face:id", "Value": self.owner}]
        launched = self.ec2.run_instances(
            LaunchTemplate={"LaunchTemplateName": f"{self.owner}-worker", "Version": "$Default"},
            MinCount=1,
            MaxCount=count,
            ClientToken=token or uuid.uuid4().hex,
            TagSpecifications=[{"ResourceType": "instance", "Tags": tags}],
        )["Instances"]
        assert {i["State"]["Name"] for i in launched} == {"pending"}
        return [i["InstanceId"] for i in launched]

    def launch_and_settle(self, count: int = 1) -> list[str]:
        ids = self.launch(count)
        self.settle()
        return ids

    def described(self, *ids: str) -> list[dict[str, Any]]:
        answer = self.ec2.describe_instances(InstanceIds=[*ids])
        return [i for reservation in answer["Reservations"] for i in reservation["Instances"]]

    def states(self, *ids: str) -> set[str]:
        return {i["State"]["Name"] for i in self.described(*ids)}

    def pages(self, name: str = "app-tier-*", states: tuple[str, ...] = ALIVE, size: int = 1000) -> list[list[str]]:
        """The ids on each page of the deployment's instances with that name and in one of the states."""
        pages = self.ec2.get_paginator("describe_instances").paginate(
            Filters=[
                {"Name": "tag:elastic-face:id", "Values": [self.owner]},
                {"Name": "tag:Name", "Values": [name]},
                {"Name": "instance-state-name", "Values": [*states]},
            ],
            PaginationConfig={"PageSize": size},
        )
        return [[i["InstanceId"] for r in page["Reservations"] for i in r["Instances"]] for page in pages]

    def refusal(self, operation: str, *ids: str) -> str:
        """EC2's code, in whose message the last of the ids is named."""
        with pytest.raises(ClientError) as raised:
            getattr(self.ec2, operation)(InstanceIds=[*ids])
        assert ids[-1] in str(raised.value)
        return str(raised.value.response["Error"]["Code"])


@pytest.fixture(params=["emulator", "fake"])
def contract(request: pytest.FixtureRequest) -> Iterator[Contract]:
    """The same contract twice."""
    if request.param == "fake":
        clock = Clock()
        yield Contract(FakeEc2(clock), "local", clock.sleep)
        return
    settings: AwsSettings = request.getfixturevalue("deployment")
    made = Contract(Aws(settings).client("ec2"), settings.id, time.sleep)
    yield made
    if left := [i for page in made.pages() for i in page]:
        made.ec2.terminate_instances(InstanceIds=left)


def not_emulated(reason: str) -> pytest.MarkDecorator:
    """Marks a test of what EC2 does and the emulator does not."""
    emulator = pytest.param("emulator", marks=pytest.mark.xfail(strict=True, reason=reason))
    return pytest.mark.parametrize("contract", [emulator, "fake"], indirect=True)


def test_a_launch_is_described_with_what_it_was_given(contract: Contract) -> None:
    (launched,) = contract.launch(name="app-tier-instance-7", token="a-token")
    contract.settle()
    (described,) = contract.described(launched)
    tags = {tag["Key"]: tag["Value"] for tag in described["Tags"]}
    assert (tags["Name"], tags["elastic-face:id"]) == ("app-tier-instance-7", contract.owner)
    assert (described["State"]["Name"], described["ClientToken"]) == ("running", "a-token")
    versions = contract.ec2.describe_launch_template_versions(
        LaunchTemplateName=f"{contract.owner}-worker", Versions=["$Default"], ResolveAlias=True
    )["LaunchTemplateVersions"]
    assert described["ImageId"] == versions[0]["LaunchTemplateData"]["ImageId"]


def test_a_launch_makes_as_many_as_it_can(contract: Contract) -> None:
    assert len({*contract.launch(15)}) == 15


def test_a_restart_leaves_the_time_at_which_the_volume_was_attached(contract: Contract) -> None:
    before, after = restarted(contract)
    attached = [i["BlockDeviceMappings"][0]["Ebs"]["AttachTime"] for i in (before, after)]
    assert attached[0] == attached[1]
    assert abs(attached[0] - before["LaunchTime"]).total_seconds() < 2


@not_emulated("moto 5.2 leaves the launch's time")
def test_a_restart_moves_the_launch_time(contract: Contract) -> None:
    before, after = restarted(contract)
    assert after["LaunchTime"] > before["LaunchTime"]


def restarted(contract: Contract) -> tuple[dict[str, Any], dict[str, Any]]:
    """What is described of an instance before and after it was stopped and started."""
    (launched,) = contract.launch_and_settle()
    (before,) = contract.described(launched)
    for operation in (contract.ec2.stop_instances, contract.ec2.start_instances):
        # EC2 tells whole seconds.
        contract.sleep(1.1)
        operation(InstanceIds=[launched])
        contract.settle()
    (after,) = contract.described(launched)
    return before, after


def test_filters_are_by_tag_with_a_wildcard_and_by_state(contract: Contract) -> None:
    named, other = contract.launch(2), contract.launch(1, name="web-instance")
    contract.settle()
    contract.ec2.stop_instances(InstanceIds=named[:1])
    contract.settle()
    assert {*contract.pages(name="*")[0]} >= {*named, *other}
    assert [sorted(page) for page in contract.pages()] == [sorted(named)]
    assert contract.pages(states=("running",)) == [named[1:]]
    assert contract.pages(states=("pending", "stopped")) == [named[:1]]
    assert contract.pages(name="none") == [[]]


def test_pages_hold_each_instance_once(contract: Contract) -> None:
    launched = [contract.launch()[0] for _ in range(4)]
    contract.sleep(5)
    launched += [contract.launch()[0] for _ in range(3)]
    pages = contract.pages(size=5)
    assert [len(page) for page in pages] == [5, 2]
    assert sorted(pages[0] + pages[1]) == sorted(launched)


def test_an_instance_stops_and_starts_again(contract: Contract) -> None:
    ids = contract.launch_and_settle(2)
    contract.ec2.stop_instances(InstanceIds=ids)
    contract.settle()
    assert contract.states(*ids) == {"stopped"}
    contract.ec2.start_instances(InstanceIds=ids)
    contract.settle()
    assert contract.states(*ids) == {"running"}


def test_what_is_so_already_is_no_error(contract: Contract) -> None:
    running, stopped = contract.launch_and_settle(2)
    contract.ec2.start_instances(InstanceIds=[running])
    for _ in range(2):
        contract.ec2.stop_instances(InstanceIds=[stopped])
        contract.settle()
    assert (contract.states(running), contract.states(stopped)) == ({"running"}, {"stopped"})


def test_a_terminated_instance_is_gone_from_those_alive(contract: Contract) -> None:
    ids = contract.launch_and_settle(2)
    for _ in range(2):
        contract.ec2.terminate_instances(InstanceIds=ids[:1])
        contract.settle()
    assert contract.states(ids[0]) == {"terminated"}
    assert contract.pages() == [ids[1:]]


@pytest.mark.parametrize(
    "operation", ["start_instances", "stop_instances", "terminate_instances", "describe_instances"]
)
def test_an_unknown_instance_is_not_found_and_nothing_is_done_to_the_others(contract: Contract, operation: str) -> None:
    (launched,) = contract.launch_and_settle()
    assert contract.refusal(operation, launched, UNKNOWN) == "InvalidInstanceID.NotFound"
    contract.settle()
    assert contract.states(launched) == {"running"}


def test_a_name_is_replaced(contract: Contract) -> None:
    (launched,) = contract.launch_and_settle()
    contract.ec2.create_tags(Resources=[launched], Tags=[{"Key": "Name", "Value": "app-tier-instance-2"}])
    assert contract.pages(name="app-tier-instance-2") == [[launched]]
    assert contract.pages(name="app-tier-instance-1") == [[]]


@not_emulated("moto 5.2 names what does not exist")
def test_an_unknown_instance_cannot_be_named(contract: Contract) -> None:
    with pytest.raises(ClientError, match=UNKNOWN):
        contract.ec2.create_tags(Resources=[UNKNOWN], Tags=[{"Key": "Name", "Value": "app-tier-instance-2"}])


@not_emulated("moto 5.2 starts and stops what is terminated")
@pytest.mark.parametrize("operation", ["start_instances", "stop_instances"])
def test_what_is_terminated_can_neither_be_started_nor_stopped(contract: Contract, operation: str) -> None:
    alive, ended = contract.launch_and_settle(2)
    contract.ec2.terminate_instances(InstanceIds=[ended])
    contract.settle()
    assert contract.refusal(operation, alive, ended) == "IncorrectInstanceState"
    assert contract.states(alive) == {"running"}


@not_emulated("moto 5.2 knows no client tokens")
def test_a_launch_with_the_same_token_is_the_same_launch(contract: Contract) -> None:
    first = contract.launch(3, token="a-token")
    assert contract.launch(3, token="a-token") == first
    with pytest.raises(ClientError, match="IdempotentParameterMismatch"):
        contract.launch(4, token="a-token")
    assert len(contract.pages()[0]) == 3
