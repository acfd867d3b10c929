"""Instances as whole machines: containers with systemd and an engine of their own, which boot a built AMI."""

from __future__ import annotations

import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import docker.errors
from docker.types import Mount
from facecore import user_data

from facelocal.hypervisor.containers import InstanceContainers
from facelocal.hypervisor.metadata import ADDRESS

if TYPE_CHECKING:
    from docker import DockerClient

METADATA_LABEL = "elastic-face.metadata-of"
"""On the container that serves an instance its metadata."""
ENGINE_FOLDER = "/var/lib/docker"
_OF_THE_MACHINE = ("EFACE_INSTANCE_ID", "EFACE_REGION")
"""What a machine reads from its metadata besides its user data."""


def machine_options(disk: str) -> dict[str, Any]:
    """Arguments of the Docker client for a container that is a whole machine; `disk` is its engine's volume."""
    return {
        "detach": True,
        # The container's log is then what the machine writes to its console.
        "tty": True,
        # What systemd and an engine need, by name: `privileged` asks for capabilities that the outer engine may lack.
        "cap_add": ["SYS_ADMIN", "NET_ADMIN", "SYS_PTRACE", "DAC_READ_SEARCH", "SYSLOG", "SYS_BOOT", "SYS_NICE"],
        "security_opt": ["seccomp=unconfined", "apparmor=unconfined"],
        "cgroupns": "host",
        "tmpfs": {"/run": "exec", "/tmp": "exec"},  # noqa: S108  the container's own
        # As mounts: what is given as `volumes` stays in the container's configuration, and in images made from it.
        "mounts": [Mount("/sys/fs/cgroup", "/sys/fs/cgroup", type="bind"), Mount(ENGINE_FOLDER, disk)],
    }


def disk_of_ami(ami: str) -> str:
    """The volume with what the engine of a built machine holds: the part of its disk that is in no image."""
    return f"elastic-face-machine-{ami}"


class MachineDriver(InstanceContainers):
    """Boots each instance from the image that its AMI was built as, with a metadata service at EC2's own address.

    A machine that powers itself off has a worker that ended with status 0. Its disk is not kept: an instance that
    starts again boots afresh.
    """

    # What systemd as a container's first process takes for a halt: see systemd(1), "Signals".
    stop_signal = "SIGRTMIN+3"
    # How the kernel ends the first process of a container that powered itself off: see reboot(2).
    powered_off = 128 + signal.SIGINT

    def __init__(
        self,
        client: DockerClient,
        *,
        ami_of: Callable[[str], str],
        machine_image: str,
        metadata_image: str,
        network: str,
        log_dir: Path,
        stop_grace_s: float,
    ) -> None:
        """`ami_of` gives the AMI of an instance; `machine_image` is tagged with the AMIs that were built here."""
        super().__init__(client, network=network, log_dir=log_dir, stop_grace_s=stop_grace_s)
        self._ami_of = ami_of
        self._machine_image = machine_image
        self._metadata_image = metadata_image

    def _options(self, instance_id: str, environment: dict[str, str]) -> dict[str, Any]:
        ami = self._ami_of(instance_id)
        image, disk, metadata = f"{self._machine_image}:{ami}", self._disk(instance_id), self._metadata(instance_id)
        # Each instance has a disk of its own, with the worker's image on it as the AMI has it.
        self._client.containers.run(
            image,
            ["cp", "--archive", "/from/.", "/to/"],
            remove=True,
            network_mode="none",
            mounts=[Mount("/from", disk_of_ami(ami), read_only=True), Mount("/to", disk)],
        )
        told = {
            name: value
            for name, value in environment.items()
            if (name.startswith("EFACE_") and name not in _OF_THE_MACHINE) or name == "AWS_ENDPOINT_URL"
        }
        own = {name: environment[name] for name in ("EFACE_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
        self._client.containers.run(
            self._metadata_image,
            ["facelocal.hypervisor.metadata"],
            name=metadata,
            labels={METADATA_LABEL: instance_id},
            detach=True,
            environment=own | {"EFACE_INSTANCE_ID": instance_id, "USER_DATA": user_data.lines(told)},
            network=self._network,
            # The machine joins this network: at this address no other machine sees the service.
            networking_config={self._network: self._client.api.create_endpoint_config(link_local_ips=[ADDRESS])},
            read_only=True,
            cap_drop=["ALL"],
            security_opt=["no-new-privileges"],
            healthcheck={"test": ["NONE"]},
        )
        return machine_options(disk) | {"image": image, "network_mode": f"container:{metadata}"}

    def _discard(self, instance_id: str) -> None:
        super()._discard(instance_id)
        with suppress(docker.errors.NotFound):
            self._client.api.remove_container(self._metadata(instance_id), force=True, v=True)
        with suppress(docker.errors.NotFound):
            self._client.api.remove_volume(self._disk(instance_id))

    def _metadata(self, instance_id: str) -> str:
        return f"{self._name(instance_id)}-metadata"

    def _disk(self, instance_id: str) -> str:
        return f"{self._name(instance_id)}-disk"
