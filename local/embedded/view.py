"""The instances and queues of the local deployment, as a person wants to see them."""

from facecore.aws import Aws
from facecore.queues import Queue
from facecore.settings import AwsSettings


def instances(aws_url: str) -> str:
    """A line per instance and per queue, asked of the AWS API with the credentials in the environment.

    Raises the AWS errors of `facecore.errors`.
    """
    settings = AwsSettings(id="local", endpoint_url=aws_url)
    aws = Aws(settings)
    ec2, sqs = aws.client("ec2"), aws.client("sqs")
    found = ec2.describe_instances(Filters=[{"Name": "tag:elastic-face:id", "Values": [settings.id]}])
    rows = sorted(
        (tag["Value"], instance["InstanceId"], instance["State"]["Name"])
        for reservation in found["Reservations"]
        for instance in reservation["Instances"]
        for tag in instance["Tags"]
        if tag["Key"] == "Name"
    )
    lines = [f"{name:24}{instance_id:24}{state}" for name, instance_id, state in rows]
    for name in (settings.request_queue, settings.response_queue, settings.dead_queue):
        depth = Queue(sqs, name).depth()
        lines.append(f"{name:24}{depth.visible} visible, {depth.in_flight} in flight")
    return "\n".join(lines) + "\n"
