"""Makes in an emulator what a deployment needs: the resources of deploy/resources.yaml, an AMI, the web host.

Buckets, queues and the launch template come from the same CloudFormation template as on AWS. What an emulator's
CloudFormation leaves out of it is read from the template and set through the service's own API here, and nowhere
else: moto 5.2 sets neither versioning, lifecycle nor the public access block of a bucket, and LocalStack 4.14 makes no
launch template.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import yaml
from facecore.aws import Aws, translated
from facecore.errors import RefusedError
from facecore.logs import get_logger

if TYPE_CHECKING:
    from facelocal.emulator.settings import EmulatorSettings

log = get_logger(__name__)

AMI_NAME = "elastic-face-worker"
GALLERY_KEY = "gallery.npz"


def create(aws: Aws, settings: EmulatorSettings) -> None:
    """Creates the deployment's resources, or updates them to the template. Safe to run again.

    Raises the AWS errors of `facecore.errors`.
    """
    template = settings.resources_file.read_text(encoding="utf-8")
    ec2 = aws.client("ec2")
    parameters = {
        "Id": settings.id,
        "WorkerImageId": settings.ami or _image_id(ec2),
        "WorkerInstanceType": settings.instance_type,
        "WorkerUserData": base64.b64encode(_user_data(settings).encode()).decode(),
    }
    _deploy(aws.client("cloudformation"), f"{settings.id}-resources", template, parameters)
    _complete(aws, yaml.safe_load(template), parameters)
    if settings.gallery_file:
        with translated(f"store the gallery in {settings.gallery_bucket}"):
            s3 = aws.client("s3")
            s3.put_object(Bucket=settings.gallery_bucket, Key=GALLERY_KEY, Body=settings.gallery_file.read_bytes())
    # Last, so that whoever sees the web host knows that all it needs is there.
    _register_web_host(ec2, settings)
    log.info("resources_ready", id=settings.id)


def _user_data(settings: EmulatorSettings) -> str:
    return f"EFACE_ID={settings.id}\n{settings.worker_environment}\n"


def _image_id(ec2: Any) -> str:
    with translated(f"look for the image {AMI_NAME}"):
        images = ec2.describe_images(Filters=[{"Name": "name", "Values": [AMI_NAME]}])["Images"]
        if images:
            return str(images[0]["ImageId"])
        return str(ec2.register_image(Name=AMI_NAME, RootDeviceName="/dev/xvda")["ImageId"])


def _deploy(cloudformation: Any, name: str, template: str, parameters: dict[str, str]) -> None:
    arguments = {
        "StackName": name,
        "TemplateBody": template,
        "Parameters": [{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
    }
    if not _exists(cloudformation, name):
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


def _exists(cloudformation: Any, name: str) -> bool:
    try:
        with translated(f"look for the stack {name}"):
            cloudformation.describe_stacks(StackName=name)
    except RefusedError as error:
        if "does not exist" not in str(error):
            raise
        return False
    return True


def _complete(aws: Aws, template: dict[str, Any], parameters: dict[str, str]) -> None:
    values = {name: parameter.get("Default") for name, parameter in template["Parameters"].items()} | parameters
    conditions = {name: _holds(condition, values) for name, condition in template["Conditions"].items()}
    for resource in template["Resources"].values():
        properties = _resolved(resource["Properties"], values | conditions)
        if resource["Type"] == "AWS::S3::Bucket":
            with translated(f"set up the bucket {properties['BucketName']}"):
                _complete_bucket(aws.client("s3"), properties)
        if resource["Type"] == "AWS::EC2::LaunchTemplate":
            with translated(f"set up the launch template {properties['LaunchTemplateName']}"):
                _complete_launch_template(aws.client("ec2"), properties)


def _complete_launch_template(ec2: Any, properties: dict[str, Any]) -> None:
    name = properties["LaunchTemplateName"]
    found = ec2.describe_launch_templates(Filters=[{"Name": "launch-template-name", "Values": [name]}])
    if not found["LaunchTemplates"]:
        ec2.create_launch_template(LaunchTemplateName=name, LaunchTemplateData=properties["LaunchTemplateData"])


def _complete_bucket(s3: Any, properties: dict[str, Any]) -> None:
    bucket = properties["BucketName"]
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration=properties["VersioningConfiguration"])
    s3.put_public_access_block(
        Bucket=bucket, PublicAccessBlockConfiguration=properties["PublicAccessBlockConfiguration"]
    )
    rules = [_lifecycle_rule(rule) for rule in properties["LifecycleConfiguration"]["Rules"]]
    s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": rules})


def _lifecycle_rule(rule: dict[str, Any]) -> dict[str, Any]:
    """CloudFormation's spelling of a lifecycle rule in the spelling of S3's API."""
    spelled = {name: value for name, value in rule.items() if name not in {"Id", "Prefix", "ExpirationInDays"}}
    spelled |= {"ID": rule["Id"], "Filter": {"Prefix": rule.get("Prefix", "")}}
    if "ExpirationInDays" in rule:
        spelled["Expiration"] = {"Days": int(rule["ExpirationInDays"])}
    return spelled


def _holds(condition: dict[str, Any], parameters: dict[str, Any]) -> bool:
    if "Fn::Not" in condition:
        return not _holds(condition["Fn::Not"][0], parameters)
    one, other = (_resolved(value, parameters) for value in condition["Fn::Equals"])
    return bool(one == other)


def _resolved(value: Any, parameters: dict[str, Any]) -> Any:
    """The template's `value` with its references to parameters and conditions replaced."""
    if isinstance(value, list):
        return [_resolved(item, parameters) for item in value]
    if not isinstance(value, dict):
        return value
    if "Fn::If" in value:
        condition, then, otherwise = value["Fn::If"]
        return _resolved(then if parameters[condition] else otherwise, parameters)
    if "Fn::Sub" in value:
        return str(value["Fn::Sub"]).replace("${Id}", str(parameters["Id"]))
    if "Ref" in value:
        return _reference(value["Ref"], parameters)
    resolved = {name: _resolved(item, parameters) for name, item in value.items()}
    return {name: item for name, item in resolved.items() if item is not None}


def _reference(name: str, parameters: dict[str, Any]) -> int | str | None:
    if name == "AWS::NoValue":
        return None
    reference = str(parameters.get(name))
    return int(reference) if reference.isdigit() else reference


def _register_web_host(ec2: Any, settings: EmulatorSettings) -> None:
    """The machine that web and controller run on, so that the EC2 view is complete."""
    tags = [{"Key": "Name", "Value": "web-instance"}, {"Key": "elastic-face:id", "Value": settings.id}]
    filters = [{"Name": f"tag:{tag['Key']}", "Values": [tag["Value"]]} for tag in tags]
    filters.append({"Name": "instance-state-name", "Values": ["pending", "running"]})
    with translated("register the web host"):
        if not ec2.describe_instances(Filters=filters)["Reservations"]:
            ec2.run_instances(
                ImageId=_image_id(ec2),
                InstanceType="t3.small",
                MinCount=1,
                MaxCount=1,
                TagSpecifications=[{"ResourceType": "instance", "Tags": tags}],
            )
