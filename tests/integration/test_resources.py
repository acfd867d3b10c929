"""The resources of deploy/resources.yaml as the emulator holds them, property by property."""

import base64

import yaml
from facecore.aws import Aws
from facelocal.emulator import resources
from facelocal.settings import EmulatorSettings
from support.ground import ROOT

RESOURCES = ROOT / "deploy/resources.yaml"


def test_buckets_are_versioned_encrypted_private_and_expire(deployment: EmulatorSettings) -> None:
    s3 = Aws(deployment).client("s3")
    for bucket in (deployment.in_bucket, deployment.out_bucket, deployment.gallery_bucket):
        assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
        assert s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
        block = s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
        assert all(block.values())
        assert s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"][0]["Status"] == "Enabled"
    rule = s3.get_bucket_lifecycle_configuration(Bucket=deployment.in_bucket)["Rules"][0]
    assert rule["Expiration"]["Days"] == 30


def test_request_queue_is_small_polls_long_and_gives_up_after_three(deployment: EmulatorSettings) -> None:
    sqs = Aws(deployment).client("sqs")
    url = sqs.get_queue_url(QueueName=deployment.request_queue)["QueueUrl"]
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert attributes["MaximumMessageSize"] == "1024"
    assert attributes["ReceiveMessageWaitTimeSeconds"] == "20"
    assert deployment.dead_queue in attributes["RedrivePolicy"]
    assert '"maxReceiveCount": 3' in attributes["RedrivePolicy"]


def test_launch_template_stops_on_power_off_and_carries_the_environment(deployment: EmulatorSettings) -> None:
    ec2 = Aws(deployment).client("ec2")
    data = ec2.describe_launch_template_versions(LaunchTemplateName=f"{deployment.id}-worker", Versions=["$Default"])[
        "LaunchTemplateVersions"
    ][0]["LaunchTemplateData"]
    assert data["InstanceInitiatedShutdownBehavior"] == "stop"
    assert data["MetadataOptions"]["HttpTokens"] == "required"
    assert f"EFACE_ID={deployment.id}" in base64.b64decode(data["UserData"]).decode()


def test_making_them_again_changes_nothing_and_keeps_one_web_host(deployment: EmulatorSettings) -> None:
    aws = Aws(deployment)
    resources.create(aws, deployment)
    hosts = aws.client("ec2").describe_instances(
        Filters=[
            {"Name": "tag:Name", "Values": ["web-instance"]},
            {"Name": "tag:elastic-face:id", "Values": [deployment.id]},
        ]
    )["Reservations"]
    assert [host["Instances"][0]["State"]["Name"] for host in hosts] == ["running"]


def test_the_launch_template_names_the_ami_that_is_given(aws_endpoint: str) -> None:
    settings = EmulatorSettings(
        id="with-ami", endpoint_url=aws_endpoint, resources_file=RESOURCES, ami="ami-0123456789abcdef0"
    )
    resources.create(Aws(settings), settings)
    versions = Aws(settings).client("ec2").describe_launch_template_versions(LaunchTemplateName="with-ami-worker")
    assert versions["LaunchTemplateVersions"][0]["LaunchTemplateData"]["ImageId"] == "ami-0123456789abcdef0"


def test_a_deployment_is_complete_while_its_web_host_runs(deployment: EmulatorSettings) -> None:
    aws = Aws(deployment)
    assert resources.are_complete(aws, deployment)
    ec2 = aws.client("ec2")
    filters = [{"Name": "tag:elastic-face:id", "Values": [deployment.id]}]
    [found] = ec2.describe_instances(Filters=filters)["Reservations"]
    ec2.terminate_instances(InstanceIds=[found["Instances"][0]["InstanceId"]])
    assert not resources.are_complete(aws, deployment)


def test_another_deployment_is_not_complete(deployment: EmulatorSettings) -> None:
    assert not resources.are_complete(Aws(deployment), deployment.model_copy(update={"id": "another"}))


def test_no_queue_has_a_visibility_timeout_of_its_own() -> None:
    template = yaml.safe_load(RESOURCES.read_text())
    queues = [one["Properties"] for one in template["Resources"].values() if one["Type"] == "AWS::SQS::Queue"]
    assert len(queues) == 3
    # Every receive passes one: EFACE_VISIBILITY_S, or the web tier's own.
    assert not any("VisibilityTimeout" in queue for queue in queues)
