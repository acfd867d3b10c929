"""The whole deployment on LocalStack, from the templates: made, made again, updated, rolled back, removed."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from facecore import user_data
from facedeploy import DeployError, deployment, images
from facedeploy.account import Account
from facedeploy.destroy import destroy
from facedeploy.settings import DeploySettings
from support.aws import proxy as aws_proxy

# What LocalStack's CloudFormation says it made and did not; the launch template is tested in the emulators' own way.
NOT_MADE = {"AWS::EC2::LaunchTemplate", "AWS::EC2::EIP", "AWS::EC2::EIPAssociation"}


@pytest.fixture(scope="module")
def account_url(localstack_url: str, aws_endpoint: str) -> Iterator[str]:
    """LocalStack, with moto's registry: LocalStack's free edition has none."""
    with aws_proxy.started({"ecr": aws_endpoint}, localstack_url) as recorder:
        yield recorder.url


class Owner:
    """Who deploys: with settings of their own, and a note of what they were told."""

    def __init__(self, url: str, folder: Path, deployment_id: str) -> None:
        self.lines: list[str] = []
        self.settings = DeploySettings(id=deployment_id, endpoint_url=url, build_dir=folder)
        self.build("1" * 64)
        self.account = Account(self.settings, self.lines.append, poll_s=0.3)
        self.settings = self.settings.model_copy(update={"ami": self.image("one")})
        # LocalStack makes no launch template of a template, so it is here before.
        name, data = f"{deployment_id}-worker", {"InstanceType": "m7i.large"}
        self.account.ec2.create_launch_template(LaunchTemplateName=name, LaunchTemplateData=data)  # type: ignore[arg-type]

    def build(self, digest: str) -> None:
        registry = "123456789012.dkr.ecr.us-east-1.amazonaws.com"
        names = {tier: f"{registry}/{self.settings.id}/{tier}@sha256:{digest}" for tier in images.TIERS}
        images.write_images(self.settings, names)

    def image(self, name: str) -> str:
        worker = images.read_images(self.settings).worker
        ec2: Any = self.account.ec2
        ami = str(ec2.register_image(Name=f"{self.settings.id}-{name}", RootDeviceName="/dev/xvda")["ImageId"])
        ec2.create_tags(Resources=[ami], Tags=[{"Key": "elastic-face:worker-image", "Value": worker}])
        return ami

    def deploy(self, **changes: Any) -> list[str]:
        """What was said of this deployment."""
        given = {name: getattr(self.settings, name) for name in self.settings.model_fields_set} | changes
        del self.lines[:]
        deployment.deploy(self.account, DeploySettings.model_validate(given))
        return list(self.lines)

    def destroy(self, **changes: Any) -> list[str]:
        del self.lines[:]
        destroy(self.account, self.settings.model_copy(update=changes))
        return list(self.lines)

    def told(self, stack: str, parameter: str) -> dict[str, str]:
        return user_data.decode(self.account.stacks.parameters(stack)[parameter])


@pytest.fixture
def owner(account_url: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Owner]:
    owner = Owner(account_url, tmp_path, f"d{abs(hash(request.node.name)) % 10**8}")
    yield owner
    owner.destroy(keep_data="no")


def test_a_second_deployment_changes_nothing(owner: Owner) -> None:
    first = owner.deploy()
    fallbacks = {line.partition("Resource type ")[2].partition(" ")[0] for line in first if "fallback" in line}
    assert fallbacks == NOT_MADE
    names = [
        owner.settings.network_stack,
        owner.settings.resources_stack,
        owner.settings.access_stack,
        owner.settings.id,
    ]
    assert [line for line in first if line.endswith(" changes")] == [
        f"{name}: {count} changes" for name, count in zip(names, (14, 7, 7, 9), strict=True)
    ]
    assert owner.deploy() == [f"{name}: no change" for name in names]


def test_what_was_chosen_once_stays_until_another_choice(owner: Owner) -> None:
    owner.deploy(
        max_instances=3,
        alarm_email="a@example.org",
        model="dlib-resnet-v1",
        web_environment="EFACE_POLICY=frugal",
        worker_environment="EFACE_IDLE_S=9",
    )
    # LocalStack 4.14 cannot give an instance other user data, as CloudFormation does; another AMI replaces it.
    said = owner.deploy(oldest_request_s=90, max_instances=4, ami=owner.image("two"))
    assert "  Modify  OldestRequestAlarm (AWS::CloudWatch::Alarm)" in said
    web = owner.told(owner.settings.id, "WebUserData")
    assert (web["EFACE_MAX_INSTANCES"], web["EFACE_POLICY"]) == ("4", "frugal")
    assert owner.account.stacks.parameters(owner.settings.id)["AlarmEmail"] == "a@example.org"
    worker = owner.told(owner.settings.resources_stack, "WorkerUserData")
    assert worker["EFACE_MODEL"] == "dlib-resnet-v1"
    assert worker["EFACE_IDLE_S"] == "9"


def test_an_upgrade_and_its_rollback_move_images_and_ami(owner: Owner) -> None:
    owner.deploy()
    former = owner.told(owner.settings.id, "WebUserData")
    owner.build("2" * 64)
    newer = owner.image("two")
    owner.deploy(ami=newer)
    parameters = owner.account.stacks.parameters(owner.settings.resources_stack)
    assert parameters["WorkerImageId"] == newer
    assert owner.told(owner.settings.id, "WebUserData")["EFACE_WEB_IMAGE"].endswith("2" * 64)
    owner.build("1" * 64)
    owner.deploy()
    assert owner.told(owner.settings.id, "WebUserData") == former


def test_launches_are_of_the_latest_template_and_idle_workers_of_former_settings_go(owner: Owner) -> None:
    owner.deploy()
    user_data = owner.account.stacks.parameters(owner.settings.resources_stack)["WorkerUserData"]
    name = f"{owner.settings.id}-worker"
    ec2: Any = owner.account.ec2
    ec2.create_launch_template_version(LaunchTemplateName=name, LaunchTemplateData={"InstanceType": "m7i.xlarge"})
    fresh, stale, busy = (_a_worker(owner, data) for data in (base64.b64decode(user_data).decode(), "old", "old"))
    ec2.stop_instances(InstanceIds=[fresh, stale])
    said = owner.deploy()
    assert [_state(owner, one) for one in (fresh, stale, busy)] == ["stopped", "terminated", "running"]
    assert "1 stopped workers of the former settings terminated" in said
    assert any(line.startswith("1 workers run with the former settings") for line in said)
    [template] = ec2.describe_launch_templates(LaunchTemplateNames=[name])["LaunchTemplates"]
    assert template["DefaultVersionNumber"] == template["LatestVersionNumber"] == 2


def test_checks_go_by_what_the_deployment_has(owner: Owner) -> None:
    owner.deploy(max_instances=3, model="dlib-resnet-v1", instance_types="c7i.large")
    found = deployment.with_former_choices(owner.account, DeploySettings(id=owner.settings.id, max_instances=5))
    assert (found.max_instances, found.model, found.instance_types) == (5, "dlib-resnet-v1", "c7i.large")


def test_the_web_host_is_told_at_boot_what_to_run(owner: Owner) -> None:
    owner.deploy()
    host = owner.account.stacks.outputs(owner.settings.id)["WebHost"]
    network = owner.account.stacks.outputs(owner.settings.network_stack)
    told = owner.told(owner.settings.id, "WebUserData")
    assert told["EFACE_ROLE"] == "web"
    assert told["EFACE_SUBNETS"] == network["Subnets"]
    assert {tier: told[f"EFACE_{tier.upper()}_IMAGE"][-64:] for tier in ("web", "controller")} == {
        "web": "1" * 64,
        "controller": "1" * 64,
    }
    user_data = owner.account.ec2.describe_instance_attribute(InstanceId=host, Attribute="userData")["UserData"]
    assert base64.b64decode(user_data["Value"]).decode().splitlines() == [f"{k}={v}" for k, v in told.items()]


def test_each_zones_subnet_has_a_way_out_without_nat(owner: Owner) -> None:
    owner.deploy()
    network = owner.account.stacks.outputs(owner.settings.network_stack)
    ec2 = owner.account.ec2
    subnets = ec2.describe_subnets(SubnetIds=network["Subnets"].split(","))["Subnets"]
    assert len({subnet["AvailabilityZone"] for subnet in subnets}) == len(subnets) == deployment.ZONES
    assert all(subnet["MapPublicIpOnLaunch"] for subnet in subnets)
    for subnet in subnets:
        filters: Any = [{"Name": "association.subnet-id", "Values": [subnet["SubnetId"]]}]
        routes = ec2.describe_route_tables(Filters=filters)["RouteTables"][0]["Routes"]
        assert "0.0.0.0/0" in [one.get("DestinationCidrBlock") for one in routes]
    assert ec2.describe_nat_gateways()["NatGateways"] == []


def test_alarms_watch_the_queues_of_this_deployment_and_the_accounts_processors(owner: Owner) -> None:
    owner.deploy(oldest_request_s=90, alarm_email="a@example.org")
    found = owner.account.client("cloudwatch").describe_alarms(AlarmNamePrefix=f"{owner.settings.id}-")["MetricAlarms"]
    alarms = {alarm["AlarmName"].removeprefix(f"{owner.settings.id}-"): alarm for alarm in found}
    watched = {
        name: (alarm["MetricName"], alarm["Threshold"], alarm["Dimensions"][0]["Value"])
        for name, alarm in alarms.items()
    }
    assert watched == {
        "dead-queue-not-empty": ("ApproximateNumberOfMessagesVisible", 0.0, owner.settings.dead_queue),
        "oldest-request-too-old": ("ApproximateAgeOfOldestMessage", 90.0, owner.settings.request_queue),
        "cost-guard": ("ResourceCount", 8.0, "EC2"),
    }
    topic = {action for alarm in alarms.values() for action in alarm["AlarmActions"]}
    subscriptions = owner.account.client("sns").list_subscriptions_by_topic(TopicArn=topic.pop())["Subscriptions"]
    assert [one["Endpoint"] for one in subscriptions] == ["a@example.org"]
    assert topic == set()


def test_removal_keeps_faces_until_it_is_told_not_to(owner: Owner) -> None:
    owner.deploy()
    owner.account.s3.put_object(Bucket=owner.settings.in_bucket, Key="face.jpg", Body=b"one")
    owner.account.s3.put_object(Bucket=owner.settings.in_bucket, Key="face.jpg", Body=b"two")
    owner.account.s3.delete_object(Bucket=owner.settings.in_bucket, Key="face.jpg")
    worker = _a_worker(owner)
    said = owner.destroy()
    assert _state(owner, worker) == "terminated"
    assert [line for line in said if line.endswith(": removed")] == [
        f"{name}: removed" for name in (owner.settings.id, owner.settings.access_stack, owner.settings.network_stack)
    ]
    assert any(owner.settings.in_bucket in line for line in said)
    assert any(owner.settings.ami in line for line in said)
    owner.account.s3.head_bucket(Bucket=owner.settings.in_bucket)
    said = owner.destroy(keep_data="no")
    assert f"{owner.settings.in_bucket}: 3 versions of objects removed" in said
    assert said[-1] == f"nothing of {owner.settings.id} is left"
    buckets = [bucket["Name"] for bucket in owner.account.s3.list_buckets()["Buckets"]]
    assert [name for name in buckets if name.startswith(owner.settings.id)] == []
    ours: Any = owner.account.client("cloudformation").describe_stacks()["Stacks"]
    states = {stack["StackStatus"] for stack in ours if stack["StackName"].startswith(owner.settings.id)}
    assert states == {"DELETE_COMPLETE"}
    assert owner.account.ec2.describe_images(Owners=["self"], Filters=[
        {"Name": "image-id", "Values": [owner.settings.ami]}])["Images"] == []  # fmt: skip


def _a_worker(owner: Owner, user_data: str = "") -> str:
    tags = [{"Key": "Name", "Value": "app-tier-instance-1"}, {"Key": "elastic-face:id", "Value": owner.settings.id}]
    ec2: Any = owner.account.ec2
    answer = ec2.run_instances(
        ImageId=owner.settings.ami,
        InstanceType="m7i.large",
        UserData=user_data,
        MinCount=1,
        MaxCount=1,
        TagSpecifications=[{"ResourceType": "instance", "Tags": tags}],
    )
    return str(answer["Instances"][0]["InstanceId"])


def _state(owner: Owner, instance: str) -> str:
    found = owner.account.ec2.describe_instances(InstanceIds=[instance])
    return found["Reservations"][0]["Instances"][0]["State"]["Name"]


def test_data_is_protected_from_an_accidental_removal(owner: Owner) -> None:
    owner.deploy()
    cloudformation: Any = owner.account.client("cloudformation")
    stack = cloudformation.describe_stacks(StackName=owner.settings.resources_stack)["Stacks"][0]
    assert stack["EnableTerminationProtection"]


def test_a_failure_is_told_with_its_reason_and_can_be_mended(owner: Owner) -> None:
    owner.deploy()
    broken = json.dumps(
        {"Resources": {"Bucket": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": "Not Valid"}}}}
    )
    folder = owner.settings.build_dir
    (folder / "broken.yaml").write_text(broken)
    with pytest.raises(DeployError, match="Bucket"):
        owner.account.stacks.apply(f"{owner.settings.id}-broken", str(folder / "broken.yaml"), {})
    (folder / "broken.yaml").write_text(broken.replace("Not Valid", f"{owner.settings.id}-mended"))
    assert owner.account.stacks.apply(f"{owner.settings.id}-broken", str(folder / "broken.yaml"), {})
    owner.account.stacks.delete(f"{owner.settings.id}-broken")


def test_missing_builds_say_what_to_run(owner: Owner) -> None:
    (owner.settings.build_dir / "images.json").unlink()
    with pytest.raises(DeployError, match="make push"):
        owner.deploy()
    owner.build("1" * 64)
    with pytest.raises(DeployError, match="make ami"):
        owner.deploy(ami="")


def test_zones_that_lack_the_types_are_not_chosen(owner: Owner) -> None:
    with pytest.raises(DeployError, match="EFACE_INSTANCE_TYPES"):
        owner.deploy(instance_types="m7i.large,m99.large")
    assert owner.account.zones("m7i.large")
