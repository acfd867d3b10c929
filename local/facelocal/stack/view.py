"""The instances and queues of the local deployment, as a person wants to see them."""

from facecore.aws import Aws, translated
from facecore.queues import SqsQueue
from facecore.settings import AwsSettings


def machines(aws_url: str) -> str:
    """A line per instance: name, id and state, asked of the AWS API with the credentials in the environment.

    Raises the AWS errors of `facecore.errors`.
    """
    settings = _settings(aws_url)
    with translated("look at the instances"):
        found = (
            Aws(settings)
            .client("ec2")
            .describe_instances(Filters=[{"Name": "tag:elastic-face:id", "Values": [settings.id]}])
        )
    rows = sorted(
        (tag["Value"], instance["InstanceId"], instance["State"]["Name"])
        for reservation in found["Reservations"]
        for instance in reservation["Instances"]
        for tag in instance["Tags"]
        if tag["Key"] == "Name"
    )
    return "".join(f"{name:24}{instance_id:24}{state}\n" for name, instance_id, state in rows)


def queues(aws_url: str) -> str:
    """A line per queue with its depth; asks and raises as `machines` does."""
    settings = _settings(aws_url)
    sqs = Aws(settings).client("sqs")
    names = (settings.request_queue, settings.response_queue, settings.dead_queue)
    depths = {name: SqsQueue(sqs, name).depth() for name in names}
    return "".join(f"{name:24}{depth.visible} visible, {depth.in_flight} in flight\n" for name, depth in depths.items())


def _settings(aws_url: str) -> AwsSettings:
    return AwsSettings(id="local", endpoint_url=aws_url)
