"""What the hypervisor is configured by."""

from pathlib import Path
from typing import Literal

from facecore.settings import AwsSettings
from pydantic import Field


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
    instance_type: str = Field("m7i.large", pattern=r"^[a-z0-9-]+\.[a-z0-9]+$")
    """EC2 instance type whose processors and memory a container gets."""
    instance_cpus: float | None = Field(None, gt=0, le=1024)
    """Processors that a container gets instead."""
    instance_memory_mib: int | None = Field(None, ge=64)
    """Memory in MiB that a container gets instead."""
    machine_image: str = "elastic-face/machine"
    """The images of AMIs that were built here, each tagged with its AMI's id; for machines that boot an AMI."""
    metadata_image: str = "elastic-face/hypervisor"
    """The image that serves such a machine its instance metadata."""
