"""Makes in an emulator what a deployment needs: the resources of deploy/resources.yaml, an AMI, the web host.

Buckets, queues and the launch template come from the same CloudFormation template as on AWS. What an emulator's
CloudFormation leaves out of it is read from the template and set through the service's own API, here and nowhere
else: moto 5.2 sets neither versioning, lifecycle nor the public access block of a bucket, and LocalStack 4.14 makes no
launch template.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import yaml
from facecore import user_data
from facecore.aws import Aws, translated
from facecore.errors import RefusedError
from facecore.logs import get_logger

if TYPE_CHECKING:
    from facecore.settings import AwsSettings

    from facelocal.settings import EmulatorSettings

log = get_logger(__name__)

AMI_NAME = "elastic-face-worker"
GALLERY_KEY = "gallery.npz"
FIRST_CALL_S = 60
"""LocalStack loads a service at its first call, which takes half a minute on a busy machine."""
# One resource of the template, its references to parameters replaced.
Properties = dict[str, Any]


def create(aws: Aws, settings: EmulatorSettings) -> None:
    """Creates the deployment's resources, or updates them to the template. Safe to run again.

    Raises SettingsError if the workers' lines cannot be user data, and the AWS errors of `facecore.errors`.
    """
    template = settings.resources_file.read_text(encoding="utf-8")
    ec2, s3, cloudformation = (
        aws.client(service, read_timeout_s=FIRST_CALL_S) for service in ("ec2", "s3", "cloudformation")
    )
    worker = {"EFACE_ID": settings.id} | user_data.parse(settings.worker_environment)
    parameters = {
        "Id": settings.id,
        "WorkerImageId": settings.ami or _image_id(ec2),
        "WorkerInstanceType": settings.instance_type,
        "WorkerUserData": user_data.encode(worker),
    }
    _deploy(cloudformation, f"{settings.id}-resources", template, parameters)
    # An emulator that made these properties from the template gets the same values again.
    for bucket in _resources(template, parameters, "AWS::S3::Bucket"):
        _complete_bucket(s3, bucket)
    for made in _resources(template, parameters, "AWS::EC2::LaunchTemplate"):
        name = made["LaunchTemplateName"]
        with translated(f"set up the launch template {name}"):
            filters = [{"Name": "launch-template-name", "Values": [name]}]
            if not ec2.describe_launch_templates(Filters=filters)["LaunchTemplates"]:
                ec2.create_launch_template(LaunchTemplateName=name, LaunchTemplateData=made["LaunchTemplateData"])
    if settings.gallery_file:
        with translated(f"store the gallery in {settings.gallery_bucket}"):
            s3.put_object(Bucket=settings.gallery_bucket, Key=GALLERY_KEY, Body=settings.gallery_file.read_bytes())
    # Last: `are_complete` takes it as the sign that everything else is there.
    if not are_complete(aws, settings):
        with translated("register the web host"):
            tags = [{"Key": "Name", "Value": "web-instance"}, {"Key": "elastic-face:id", "Value": settings.id}]
            ec2.run_instances(
                ImageId=_image_id(ec2),
                InstanceType="t3.small",
                MinCount=1,
                MaxCount=1,
                TagSpecifications=[{"ResourceType": "instance", "Tags": tags}],
            )
    log.info("resources_ready", id=settings.id)


def are_complete(aws: Aws, settings: AwsSettings) -> bool:
    """Whether the deployment has everything, its web host included, which is registered so that the view is complete.

    Raises the AWS errors of `facecore.errors`.
    """
    filters = [
        {"Name": "tag:Name", "Values": ["web-instance"]},
        {"Name": "tag:elastic-face:id", "Values": [settings.id]},
        {"Name": "instance-state-name", "Values": ["pending", "running"]},
    ]
    with translated("look for the web host"):
        return bool(aws.client("ec2").describe_instances(Filters=filters)["Reservations"])


def _image_id(ec2: Any) -> str:
    with translated(f"look for the image {AMI_NAME}"):
        images = ec2.describe_images(Filters=[{"Name": "name", "Values": [AMI_NAME]}])["Images"]
        if images:
            return str(images[0]["ImageId"])
        return str(ec2.register_image(Name=AMI_NAME, RootDeviceName="/dev/xvda")["ImageId"])


def _deploy(cloudformation: Any, name: str, template: str, parameters: dict[str, str]) -> None:
    """Creates the stack or updates it."""
    arguments = {
        "StackName": name,
        "TemplateBody": template,
        "Parameters": [{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
    }
    try:
        with translated(f"look for the stack {name}"):
            cloudformation.describe_stacks(StackName=name)
    except RefusedError as error:
        if "does not exist" not in str(error):
            raise
        with translated(f"create the stack {name}"):
            cloudformation.create_stack(**arguments)
            cloudformation.get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig={"Delay": 1})
        return
    try:
        with translated(f"update the stack {name}"):
            cloudformation.update_stack(**arguments)
            cloudformation.get_waiter("stack_update_complete").wait(StackName=name, WaiterConfig={"Delay": 1})
    except RefusedError as error:
        if "No updates" not in str(error):
            raise


def _complete_bucket(s3: Any, properties: Properties) -> None:
    """Sets what moto leaves out, in the spelling of S3's own API, which differs from CloudFormation's."""
    bucket = properties["BucketName"]
    rules = []
    for rule in properties["LifecycleConfiguration"]["Rules"]:
        spelled = {name: value for name, value in rule.items() if name not in {"Id", "Prefix", "ExpirationInDays"}}
        spelled |= {"ID": rule["Id"], "Filter": {"Prefix": rule.get("Prefix", "")}}
        if "ExpirationInDays" in rule:
            spelled["Expiration"] = {"Days": int(rule["ExpirationInDays"])}
        rules.append(spelled)
    with translated(f"set up the bucket {bucket}"):
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration=properties["VersioningConfiguration"])
        s3.put_public_access_block(
            Bucket=bucket, PublicAccessBlockConfiguration=properties["PublicAccessBlockConfiguration"]
        )
        s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": rules})


def _resources(template: str, parameters: dict[str, str], kind: str) -> Iterator[Properties]:
    """The template's resources of a type as CloudFormation would see them."""
    parsed = yaml.safe_load(template)
    values = {name: parameter.get("Default") for name, parameter in parsed["Parameters"].items()} | parameters
    conditions = {name: _holds(condition, values) for name, condition in parsed["Conditions"].items()}
    for resource in parsed["Resources"].values():
        if resource["Type"] == kind:
            yield _resolved(resource["Properties"], values | conditions)


def _holds(condition: dict[str, Any], values: dict[str, Any]) -> bool:
    if "Fn::Not" in condition:
        return not _holds(condition["Fn::Not"][0], values)
    one, other = (_resolved(value, values) for value in condition["Fn::Equals"])
    return bool(one == other)


def _resolved(value: Any, values: dict[str, Any]) -> Any:
    """The template's `value` with its references to parameters and conditions replaced."""
    if isinstance(value, list):
        return [_resolved(item, values) for item in value]
    if not isinstance(value, dict):
        return value
    if "Fn::If" in value:
        condition, then, otherwise = value["Fn::If"]
        return _resolved(then if values[condition] else otherwise, values)
    if "Fn::Sub" in value:
        return str(value["Fn::Sub"]).replace("${Id}", str(values["Id"]))
    if "Ref" in value:
        # AWS::NoValue has none. Parameters are texts, but S3's API wants numbers of days.
        reference = values.get(value["Ref"])
        return int(reference) if isinstance(reference, str) and reference.isdigit() else reference
    resolved = {name: _resolved(item, values) for name, item in value.items()}
    return {name: item for name, item in resolved.items() if item is not None}
