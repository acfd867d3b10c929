"""Instances as whole machines: containers with systemd and an engine of their own, which boot a built AMI."""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import docker.errors
from docker.types import Mount

from facelocal.hypervisor.containers import InstanceContainers
from facelocal.hypervisor.metadata import ADDRESS

if TYPE_CHECKING:
    from docker import DockerClient

METADATA_LABEL = "elastic-face.metadata-of"
"""On the container that serves an instance its metadata."""
ENGINE_FOLDER = "/var/lib/docker"
_POWERED_OFF = 128 + signal.SIGINT
"""How the kernel ends the first process of a container that powered itself off."""


def machine_options(disk: str) -> dict[str, Any]:
    """How a container runs that is a whole machine, as arguments of the Docker client; `disk` is its engine's volume.

    What systemd and an engine need is named, instead of `privileged`: that asks for capabilities which the outer
    engine may itself not have.
    """
    return {
        "detach": True,
        # What is written to the console is the container's log.
        "tty": True,
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

    stop_signal = "SIGRTMIN+3"

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

    def _make(self, instance_id: str, environment: dict[str, str]) -> None:
        self._discard(instance_id)
        ami = self._ami_of(instance_id)
        image, disk, metadata = f"{self._machine_image}:{ami}", self._disk(instance_id), self._metadata(instance_id)
        self._client.containers.run(
            image,
            ["cp", "--archive", "/from/.", "/to/"],
            remove=True,
            network_mode="none",
            mounts=[Mount("/from", disk_of_ami(ami), read_only=True), Mount("/to", disk)],
        )
        self._serve_metadata(metadata, instance_id, environment)
        self._client.containers.run(
            image,
            name=self._name(instance_id),
            labels=self._labels(instance_id),
            network_mode=f"container:{metadata}",
            **machine_options(disk),
        )

    def _serve_metadata(self, name: str, instance_id: str, environment: Mapping[str, str]) -> None:
        """The machine's network with the metadata service in it, at an address that no other machine sees."""
        told = ("EFACE_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
        variables = {variable: environment[variable] for variable in told} | {
            "EFACE_INSTANCE_ID": instance_id,
            "USER_DATA": user_data(environment),
        }
        endpoint = self._client.api.create_endpoint_config(link_local_ips=[ADDRESS])
        self._client.containers.run(
            self._metadata_image,
            ["facelocal.hypervisor.metadata"],
            name=name,
            labels={METADATA_LABEL: instance_id},
            detach=True,
            environment=variables,
            network=self._network,
            networking_config={self._network: endpoint},
            read_only=True,
            cap_drop=["ALL"],
            security_opt=["no-new-privileges"],
            healthcheck={"test": ["NONE"]},
        )

    def _discard(self, instance_id: str) -> None:
        super()._discard(instance_id)
        with suppress(docker.errors.NotFound):
            self._client.api.remove_container(self._metadata(instance_id), force=True, v=True)
        with suppress(docker.errors.NotFound):
            self._client.api.remove_volume(self._disk(instance_id))

    def _exit_status(self, exit_code: int) -> int:
        return 0 if exit_code == _POWERED_OFF else exit_code

    def _metadata(self, instance_id: str) -> str:
        return f"{self._name(instance_id)}-metadata"

    def _disk(self, instance_id: str) -> str:
        return f"{self._name(instance_id)}-disk"


def user_data(environment: Mapping[str, str]) -> str:
    """What of a worker's environment comes from the user data, as its lines; the rest is the machine's own."""
    of_the_machine = ("EFACE_INSTANCE_ID", "EFACE_REGION")
    return "".join(
        f"{name}={value}\n"
        for name, value in environment.items()
        if (name.startswith("EFACE_") and name not in of_the_machine) or name == "AWS_ENDPOINT_URL"
    )
