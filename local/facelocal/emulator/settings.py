"""What the emulator and the resources in it are configured by."""

from pathlib import Path

from facecore.settings import AwsSettings
from pydantic import Field


class EmulatorSettings(AwsSettings):
    """Of the emulated account and the deployment in it."""

    emulator_host: str = "127.0.0.1"
    """Address that `serve` listens on."""
    emulator_port: int = Field(4566, ge=0, le=65535)
    """Port that `serve` listens on; 0 takes a free one."""
    resources_file: Path = Path("deploy/resources.yaml")
    """The CloudFormation template that makes the deployment's resources."""
    gallery_file: Path | None = None
    """A gallery to store in the gallery bucket; None leaves the bucket empty."""
    ami: str = Field("", pattern=r"^(ami-[0-9a-f]{8,17})?$")
    """The AMI that the instances start from; one without content is registered if empty."""
    instance_type: str = Field("m7i.large", pattern=r"^[a-z0-9-]+\.[a-z0-9]+$")
    """EC2 instance type of the app tier."""
    worker_environment: str = ""
    """`NAME=value` lines for the workers; they become the user data of the instances."""
