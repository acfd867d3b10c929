"""Builds the machine image with Packer against LocalStack, whose instance is a container here."""

import io
import json
import os
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from docker.types import Mount
from facelocal.hypervisor.whole_machines import disk_of_ami, machine_options

from support.aws.cloud import Cloud
from support.ground import ROOT, free_port, until

STANDIN_IMAGE = "elastic-face-test/instance"
MACHINE_IMAGE = "elastic-face-test/machine"
# One of the images that LocalStack knows. Debian's are not among them, and Packer takes none that was made in it: they
# have no EBS root device.
SOURCE_AMI = "amzn2-ami-hvm-*"
SOURCE_OWNER = "137112412989"
BUILT_IN_S = 480.0


@dataclass
class BuiltMachine:
    """A machine image that Packer made, and what stands for it here: an image and the volume of its engine."""

    ami: str
    worker: str
    log: str

    @property
    def image(self) -> str:
        return f"{MACHINE_IMAGE}:{self.ami}"


def build(cloud: Cloud, worker: str, folder: Path) -> BuiltMachine:
    """Runs `packer/build` as `make ami` does; `worker` is the worker's image by digest. Its log is in `folder`."""
    cloud.engine.images.build(path=str(ROOT / "local/machine"), tag=STANDIN_IMAGE, rm=True)
    (folder / "images.json").write_text(json.dumps({"worker": worker}))
    port = free_port()
    with (folder / "packer.log").open("w") as log:
        process = subprocess.Popen(
            [ROOT / "packer/build", *_variables(cloud, port)], env=_environment(folder), stdout=log, stderr=log
        )
    instance = None
    try:
        key = until(lambda: _ended(process) or _key_of_build(cloud.ec2), 120, "Packer launches no instance")
        assert key is not True, (folder / "packer.log").read_text()
        instance = _StandIn(cloud, port, key)
        status = process.wait(BUILT_IN_S)
        text = (folder / "packer.log").read_text()
        assert status == 0, text
        result = json.loads((folder / "ami.json").read_text())
        instance.keep_as(result["ami"])
        return BuiltMachine(result["ami"], result["worker"], text)
    finally:
        process.kill()
        process.wait()
        if instance:
            instance.remove()


def remove(cloud: Cloud, machine: BuiltMachine) -> None:
    """Removes what stands for a built machine."""
    cloud.engine.images.remove(machine.image)
    cloud.engine.volumes.get(disk_of_ami(machine.ami)).remove()


def _variables(cloud: Cloud, port: int) -> list[str]:
    values = {
        "ec2_endpoint": cloud.aws_url,
        "ssh_host": "127.0.0.1",
        "ssh_port": port,
        "source_ami_name": SOURCE_AMI,
        "source_ami_owner": SOURCE_OWNER,
        "ssm_agent_version": "none",
    }
    return [part for name, value in values.items() for part in ("-var", f"{name}={value}")]


def _environment(folder: Path) -> dict[str, str]:
    files = {"IMAGES_FILE": str(folder / "images.json"), "AMI_FILE": str(folder / "ami.json")}
    return os.environ | files | {"PACKER_CACHE_DIR": str(folder / "cache"), "CHECKPOINT_DISABLE": "1"}


def _ended(process: subprocess.Popen[bytes]) -> bool:
    return process.poll() is not None


def _key_of_build(ec2: Any) -> str | None:
    """The public key that the build's instance lets in, once that runs, as the instance finds it in its metadata."""
    filters = [
        {"Name": "tag:Name", "Values": ["elastic-face-build"]},
        {"Name": "instance-state-name", "Values": ["running"]},
    ]
    found = ec2.describe_instances(Filters=filters)["Reservations"]
    if not found:
        return None
    name = found[0]["Instances"][0]["KeyName"]
    return str(ec2.describe_key_pairs(KeyNames=[name], IncludePublicKey=True)["KeyPairs"][0]["PublicKey"])


class _StandIn:
    """The container that is the build's instance: it lets `admin` in with the given key, as cloud-init sets it up."""

    def __init__(self, cloud: Cloud, port: int, key: str) -> None:
        self._engine = cloud.engine
        self._name = f"{cloud.network}-build"
        self._disk = self._engine.volumes.create(f"{self._name}-disk")
        self._container = self._engine.containers.create(
            STANDIN_IMAGE,
            name=self._name,
            network=cloud.network,
            ports={"22/tcp": ("127.0.0.1", port)},
            **(machine_options(self._disk.name) | {"detach": None}),
        )
        self._container.put_archive("/home/admin", _authorized_keys(key))
        self._container.start()

    def keep_as(self, ami: str) -> None:
        """Shuts the machine down, and keeps its disk under the AMI's name."""
        self._container.stop(timeout=60)
        self._container.commit(MACHINE_IMAGE, ami)
        made = self._engine.volumes.create(disk_of_ami(ami))
        mounts = [Mount("/from", self._disk.name, read_only=True), Mount("/to", made.name)]
        self._engine.containers.run(
            STANDIN_IMAGE, ["cp", "--archive", "/from/.", "/to/"], remove=True, network_mode="none", mounts=mounts
        )

    def remove(self) -> None:
        self._container.remove(force=True)
        self._disk.remove()


def _authorized_keys(key: str) -> bytes:
    """An archive with the file that lets the key in, for a home of the user 1000."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, kind, mode, content in (
            (".ssh", tarfile.DIRTYPE, 0o700, b""),
            (".ssh/authorized_keys", tarfile.REGTYPE, 0o600, f"{key}\n".encode()),
        ):
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode, entry.uid, entry.gid, entry.size = kind, mode, 1000, 1000, len(content)
            archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue()
