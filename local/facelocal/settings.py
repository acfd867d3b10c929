"""What the local programs are configured by: the emulator, the hypervisor, and the embedded stack around them."""

from pathlib import Path
from typing import Annotated, Literal

from facecore.settings import AbsolutePath, AwsSettings, EnvironmentLines, InstanceType, Model, ReadyTimeout, Region
from pydantic import BaseModel, ConfigDict, Field

Port = Annotated[int, Field(ge=1, le=65_535)]


class EmulatorSettings(AwsSettings):
    """Of the emulated account and the deployment in it."""

    emulator_host: str = "127.0.0.1"
    """Address that `serve` listens on."""
    emulator_port: int = Field(4566, ge=0, le=65_535)
    """Port that `serve` listens on; 0 takes a free one."""
    resources_file: Path = Path("deploy/resources.yaml")
    """The CloudFormation template that makes the deployment's resources."""
    gallery_file: Path | None = None
    """A gallery to store in the gallery bucket; None leaves the bucket empty."""
    ami: str = Field("", pattern=r"^(ami-[0-9a-f]{8,17})?$")
    """The AMI that the instances start from; one without content is registered if empty."""
    instance_type: InstanceType = "m7i.large"
    """EC2 instance type of the app tier."""
    worker_environment: EnvironmentLines = ""
    """More `NAME=value` lines for the workers."""


class HypervisorSettings(AwsSettings):
    """Of one deployment's machines on this computer."""

    driver: Literal["process", "container", "machine"] = "process"
    """What an instance is: a worker's process, a worker's container, or a container that boots the instance's AMI."""
    run_dir: Path
    """Folder for what the hypervisor must know after a restart, and for the workers' logs."""
    boot_s: float = Field(2.0, ge=0, le=600)
    """Seconds from an instance's `running` to its worker's start; EC2 takes about 20."""
    poll_s: float = Field(0.3, gt=0, le=10)
    """Seconds between two looks at EC2 and the workers."""
    restart_s: float = Field(1.0, ge=0, le=60)
    """Seconds from a worker's failure to its restart, as in the worker's systemd unit."""
    max_failures: int = Field(5, ge=1, le=100)
    """Failures in a row after which the machine powers off, as in the worker's systemd unit."""
    stop_grace_s: float = Field(10.0, ge=0, le=600)
    """Seconds a worker has to end when its instance stops, before it is killed."""
    worker: str = Field("faceworker.main:main", pattern=r"^[\w.]+:\w+$")
    """`module:function` of the worker; it takes the environment and returns an exit status."""
    preload: str = Field("", pattern=r"^[\w.,]*$")
    """Modules, separated by commas, that workers share instead of importing them one by one."""
    worker_image: str = "elastic-face/worker"
    """The image that containers run."""
    network: str = "elastic-face-instances"
    """The Docker network of the instances; it must reach the AWS emulator."""
    instance_type: InstanceType = "m7i.large"
    """EC2 instance type of the app tier, whose processors and memory a container gets."""
    instance_cpus: float | None = Field(None, gt=0, le=1024)
    """Processors that a container gets instead."""
    instance_memory_mib: int | None = Field(None, ge=64)
    """Memory in MiB that a container gets instead."""
    machine_image: str = "elastic-face/machine"
    """The images of AMIs that were built here, each tagged with its AMI's id; for machines that boot an AMI."""
    metadata_image: str = "elastic-face/hypervisor"
    """The image that serves such a machine its instance metadata."""


class StackSettings(BaseModel):
    """Where the embedded stack lives and what it answers on."""

    model_config = ConfigDict(frozen=True, validate_by_name=True, validate_default=True, use_attribute_docstrings=True)

    run_dir: AbsolutePath = Field(Path(".run/embedded"), alias="RUN_DIR")
    """Folder of logs and state; `make down` empties it but for the logs."""
    web_port: Port = Field(8000, alias="WEB_PORT")
    """Port of the web tier on 127.0.0.1."""
    aws_port: Port = Field(4566, alias="AWS_PORT")
    """Port of the AWS API on 127.0.0.1."""
    gallery: AbsolutePath = Field(Path("tests/faces/gallery"), alias="GALLERY")
    """Folder of people to enrol: `<subject>/*.jpg`."""
    region: Region = "us-east-1"
    """AWS region that the emulator's resources are in."""
    model: Model = Model.AUTO
    """The model; `auto` takes FaceNet if its weights can be fetched, else dlib."""
    ready_timeout_s: ReadyTimeout = Field(90, alias="READY_TIMEOUT_S")
    """Seconds that `up` waits for the web tier."""

    @property
    def web_url(self) -> str:
        """Base URL of the web tier."""
        return f"http://127.0.0.1:{self.web_port}"

    @property
    def aws_url(self) -> str:
        """Base URL of the AWS API."""
        return f"http://127.0.0.1:{self.aws_port}"

    @property
    def gallery_file(self) -> Path:
        """The gallery that was made of the folder of people."""
        return self.run_dir / "gallery.npz"

    @property
    def deployment(self) -> AwsSettings:
        """The deployment in the emulator: its names and where it is."""
        return AwsSettings(id="local", region=self.region, endpoint_url=self.aws_url)
