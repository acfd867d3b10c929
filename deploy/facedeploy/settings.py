"""What a deployment is configured by."""

from pathlib import Path

from facecore.settings import (
    AbsolutePath,
    AwsSettings,
    EnvironmentLines,
    InstanceType,
    InstanceTypes,
    MaxInstances,
    Model,
    ReadyTimeout,
)
from facecore.user_data import parse
from facecore.variables import WEB_HOST_LINES, WORKER_LINES, complaints
from pydantic import Field, ValidationInfo, field_validator


class DeploySettings(AwsSettings):
    """Of one deployment. What is not given keeps the value that the deployment has, or the default in the first one."""

    build_dir: Path = Path("build")
    """Folder of `images.json` and `ami.json`, which `make push` and `make ami` write."""
    ami: str = Field("", alias="AMI", pattern=r"^(ami-[0-9a-f]+)?$")
    """The AMI of both roles; the one in `ami.json` by default."""
    model: Model = Model.FACENET
    """Embedder of the workers; their image must have it."""
    max_instances: MaxInstances = 15
    """Most instances of the app tier."""
    instance_types: InstanceTypes = "m7i.large"
    """EC2 instance types of the app tier, separated by commas, the preferred one first."""
    web_instance_type: InstanceType = "t3.small"
    """EC2 instance type of the web host."""
    web_cidr: str = Field("0.0.0.0/0", pattern=r"^(\d{1,3}\.){3}\d{1,3}/\d{1,2}$")
    """Addresses that may send photographs."""
    face_data_days: int = Field(30, ge=1, le=3650)
    """Days after which photographs and predictions expire."""
    log_days: int = Field(30, ge=1)
    """Days after which logs expire."""
    alarm_email: str = Field("", pattern=r"^([^@\s]+@[^@\s]+)?$")
    """Where alarms are mailed to; nowhere if empty."""
    oldest_request_s: int = Field(120, ge=60)
    """Age of the oldest request, in seconds, that raises an alarm."""
    cost_guard_vcpus: int = Field(8, ge=0)
    """Virtual processors that the account may run on an average day; 0 turns this alarm off."""
    web_environment: EnvironmentLines = ""
    """More `NAME=value` lines for the web host: settings of the web tier and the controller."""
    worker_environment: EnvironmentLines = ""
    """More `NAME=value` lines for the workers."""
    keep_data: str = Field("yes", alias="KEEP_DATA", pattern=r"^(yes|no)$")
    """`no`: `make destroy` removes photographs, predictions, galleries and images too."""
    yes: str = Field("", alias="YES", pattern=r"^1?$")
    """`1`: `make destroy` does not ask."""
    gallery: AbsolutePath = Field(Path("tests/faces/gallery"), alias="GALLERY", validate_default=True)
    """Folder of people that `make enrol-aws` enrols: `<subject>/*.jpg`."""
    ready_timeout_s: ReadyTimeout = Field(600, alias="READY_TIMEOUT_S")
    """Seconds that `make deploy` waits for the web tier's first answer."""

    @field_validator("web_environment", "worker_environment")
    @classmethod
    def _of_that_machine(cls, lines: str, info: ValidationInfo) -> str:
        """Refuses what no program of that machine reads, and what the deployment decides itself."""
        web = info.field_name == "web_environment"
        allowed, machine = (WEB_HOST_LINES, "the web host") if web else (WORKER_LINES, "the workers")
        if found := complaints(parse(lines), allowed, f"no program of {machine} reads it, or the deployment sets it"):
            raise ValueError("; ".join(found))
        return lines

    @property
    def registry_stack(self) -> str:
        """Stack of registry.yaml."""
        return f"{self.id}-registry"

    @property
    def network_stack(self) -> str:
        """Stack of network.yaml."""
        return f"{self.id}-network"

    @property
    def resources_stack(self) -> str:
        """Stack of resources.yaml: what holds data."""
        return f"{self.id}-resources"

    @property
    def access_stack(self) -> str:
        """Stack of access.yaml."""
        return f"{self.id}-access"

    @property
    def host_stack(self) -> str:
        """Stack of stack.yaml."""
        return self.id
