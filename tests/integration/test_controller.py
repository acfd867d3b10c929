"""The controller against an emulator: real queue, real launch template, instances that run at once."""

import time
import uuid
from collections import Counter
from collections.abc import Iterator

import pytest
from facecontroller.dry_run import DryRunFleet
from facecontroller.fleet import Ec2Fleet
from facecontroller.loop import Controller
from facecontroller.metrics import Metrics
from facecontroller.settings import Settings
from facecore.aws import Aws
from facecore.messages import Request
from facecore.queues import MAX_BATCH, SqsQueue
from facecore.settings import AwsSettings
from mypy_boto3_ec2 import EC2Client
from prometheus_client import CollectorRegistry

ALIVE = ["pending", "running", "stopping", "stopped", "shutting-down"]


class Tier:
    """One deployment's controller, and EC2 and the queue as its neighbours see them."""

    def __init__(self, deployment: AwsSettings) -> None:
        self.settings = Settings(id=deployment.id, endpoint_url=deployment.endpoint_url)
        aws = Aws(self.settings)
        self.ec2: EC2Client = aws.client("ec2", max_connections=8)
        self.queue = SqsQueue(aws.client("sqs"), self.settings.request_queue)
        self.now = time.time()
        self.restart()

    def restart(self, *, dry_run: bool = False) -> None:
        """A new controller that remembers nothing."""
        fleet = Ec2Fleet(self.ec2, self.settings.id, self.settings.worker_template)
        self.controller = Controller(
            self.queue,
            DryRunFleet(fleet) if dry_run else fleet,
            self.settings.config(),
            Metrics(CollectorRegistry(), lambda: self.now),
            lambda: self.now,
        )

    def tick(self, count: int = 1, *, step_s: float = 1) -> None:
        for _ in range(count):
            self.now += step_s
            assert self.controller.tick()

    def send(self, count: int) -> None:
        for n in range(count):
            request = Request(str(uuid.uuid4()), f"{n}.jpg", "1", self.settings.response_queue, self.now)
            self.queue.send(request.encode())

    def drain(self) -> None:
        while messages := self.queue.receive(max_messages=MAX_BATCH):
            self.queue.delete([message.receipt for message in messages])

    def instances(self, *states: str) -> dict[str, str]:
        """Id → name of those in the given states."""
        pages = self.ec2.get_paginator("describe_instances").paginate(
            Filters=[
                {"Name": "tag:elastic-face:id", "Values": [self.settings.id]},
                {"Name": "tag:Name", "Values": ["app-tier-*"]},
                {"Name": "instance-state-name", "Values": [*states]},
            ]
        )
        found = [i for page in pages for r in page["Reservations"] for i in r["Instances"]]
        return {i["InstanceId"]: next(t["Value"] for t in i["Tags"] if t["Key"] == "Name") for i in found}

    def power_off(self) -> None:
        self.ec2.stop_instances(InstanceIds=[*self.instances("running")])

    def new_image(self, image: str) -> None:
        version = self.ec2.create_launch_template_version(
            LaunchTemplateName=self.settings.worker_template,
            SourceVersion="$Default",
            LaunchTemplateData={"ImageId": image},
        )["LaunchTemplateVersion"]["VersionNumber"]
        self.ec2.modify_launch_template(LaunchTemplateName=self.settings.worker_template, DefaultVersion=str(version))


@pytest.fixture
def tier(deployment: AwsSettings) -> Iterator[Tier]:
    made = Tier(deployment)
    yield made
    if left := [*made.instances(*ALIVE)]:
        made.ec2.terminate_instances(InstanceIds=left)


def test_from_nothing_to_the_maximum_and_never_above(tier: Tier) -> None:
    tier.tick(2)
    assert tier.instances(*ALIVE) == {}
    tier.send(20)
    tier.tick(40)
    names = sorted(tier.instances(*ALIVE).values())
    assert names == sorted(f"app-tier-instance-{n}" for n in range(1, 16))
    assert len(tier.instances("running")) == 15


def test_a_message_in_flight_is_demand(tier: Tier) -> None:
    tier.send(1)
    assert tier.queue.receive()
    tier.tick()
    assert list(tier.instances("running").values()) == ["app-tier-instance-1"]


def test_stopped_instances_are_started_before_any_is_launched(tier: Tier) -> None:
    tier.send(3)
    tier.tick(4)
    first = tier.instances("running")
    tier.drain()
    tier.power_off()
    tier.tick()
    tier.send(5)
    tier.tick(8)
    second = tier.instances("running")
    assert first.items() < second.items()
    assert sorted(second.values()) == [f"app-tier-instance-{n}" for n in range(1, 6)]


def test_a_controller_that_was_killed_is_continued_by_the_next(tier: Tier) -> None:
    tier.send(4)
    tier.tick()
    for _ in range(3):
        tier.restart()
        tier.tick()
    assert len(tier.instances(*ALIVE)) == 4


def test_two_controllers_at_once_keep_the_cap(tier: Tier) -> None:
    first = tier.controller
    tier.restart()
    tier.send(20)
    for _ in range(3):
        tier.tick()
        first.tick()
    assert len(tier.instances(*ALIVE)) == 15


def test_instances_of_a_former_image_are_terminated_while_stopped(tier: Tier) -> None:
    tier.send(2)
    tier.tick()
    former = tier.instances("running")
    tier.new_image("ami-0fedcba9876543210")
    tier.tick(step_s=30)
    assert tier.instances("running").keys() == former.keys()
    tier.power_off()
    tier.tick(2)
    assert former.keys() == tier.instances("terminated").keys()
    assert len(tier.instances("running")) == 2


def test_what_runs_without_demand_is_stopped_after_a_while(tier: Tier) -> None:
    tier.send(1)
    tier.tick()
    tier.drain()
    tier.tick(14, step_s=20)
    assert len(tier.instances("running")) == 1
    tier.tick(3, step_s=20)
    assert len(tier.instances("stopped")) == 1


def test_what_is_over_age_is_terminated_once_it_is_stopped(tier: Tier) -> None:
    tier.send(1)
    tier.tick()
    tier.drain()
    tier.power_off()
    tier.tick(step_s=86_500)
    assert tier.instances(*ALIVE) == {}


def test_foreign_instances_are_neither_counted_nor_touched(tier: Tier) -> None:
    foreign = tier.ec2.run_instances(
        LaunchTemplate={"LaunchTemplateName": tier.settings.worker_template},
        MinCount=2,
        MaxCount=2,
        TagSpecifications=[
            {
                "ResourceType": "instance",
                "Tags": [
                    {"Key": "Name", "Value": "app-tier-instance-1"},
                    {"Key": "elastic-face:id", "Value": f"{tier.settings.id}-other"},
                ],
            }
        ],
    )["Instances"]
    ids = [i["InstanceId"] for i in foreign]
    tier.send(1)
    tier.tick()
    tier.drain()
    tier.tick(20, step_s=20)
    described = tier.ec2.describe_instances(InstanceIds=ids)["Reservations"]
    assert {i["State"]["Name"] for r in described for i in r["Instances"]} == {"running"}
    assert list(tier.instances("stopped").values()) == ["app-tier-instance-1"]
    tier.ec2.terminate_instances(InstanceIds=ids)


def test_the_web_host_has_our_id_and_is_no_instance_of_the_app_tier(tier: Tier) -> None:
    host = tier.ec2.run_instances(
        LaunchTemplate={"LaunchTemplateName": tier.settings.worker_template},
        MinCount=1,
        MaxCount=1,
        TagSpecifications=[
            {
                "ResourceType": "instance",
                "Tags": [
                    {"Key": "Name", "Value": "web-instance"},
                    {"Key": "elastic-face:id", "Value": tier.settings.id},
                ],
            }
        ],
    )["Instances"][0]["InstanceId"]
    tier.new_image("ami-0fedcba9876543210")
    tier.tick(20, step_s=20)
    described = tier.ec2.describe_instances(InstanceIds=[host])["Reservations"][0]["Instances"][0]
    assert described["State"]["Name"] == "running"
    tier.ec2.terminate_instances(InstanceIds=[host])


def test_a_launch_tags_the_instance_and_its_volume(tier: Tier) -> None:
    tier.send(1)
    tier.tick()
    volumes = tier.ec2.describe_volumes(Filters=[{"Name": "tag:elastic-face:id", "Values": [tier.settings.id]}])[
        "Volumes"
    ]
    assert [v["Attachments"][0]["InstanceId"] for v in volumes] == [*tier.instances("running")]


def test_a_dry_run_changes_nothing(tier: Tier) -> None:
    tier.restart(dry_run=True)
    tier.send(3)
    tier.tick(3)
    assert tier.instances(*ALIVE) == {}


def test_a_tick_makes_two_calls_and_a_burst_one_more(tier: Tier) -> None:
    calls: Counter[str] = Counter()
    for client in (tier.ec2, tier.queue._client):
        client.meta.events.register("before-call", lambda model, **_: calls.update([model.name]))
    tier.tick(5)
    assert calls.pop("GetQueueUrl") == 1
    assert calls == {"GetQueueAttributes": 5, "DescribeInstances": 5, "DescribeLaunchTemplateVersions": 1}
    tier.send(20)
    calls.clear()
    tier.tick()
    assert calls == {"GetQueueAttributes": 1, "DescribeInstances": 1, "RunInstances": 1}
