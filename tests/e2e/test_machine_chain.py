"""The whole chain: an AMI by Packer, its launch template, web tier and controller on a machine of it, instances."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import httpx
import pytest
from facelocal.hypervisor.containers import NETWORK_LABEL
from facelocal.settings import EmulatorSettings
from support.aws.cloud import Cloud
from support.ground import CREDENTIALS, ROOT, until
from support.stacks import images as container_images
from support.stacks.machine_build import MACHINE_IMAGE, BuiltMachine
from support.stacks.machines import ENDPOINT, Machine, booted, deploy, log_group, logged, new_driver
from support.stacks.stack import Stack
from support.uploads import photographs

ID = "local"
LOGS = ROOT / "build/chain"
MAX_INSTANCES = 3
REQUESTS = 20
UP_IN_S = 120.0
IDLE_IN_S = 120.0


@pytest.fixture
def logs() -> Iterator[Path]:
    """A folder for the logs of the chain, which stays where the test fails."""
    shutil.rmtree(LOGS, ignore_errors=True)
    LOGS.mkdir(parents=True)
    return LOGS


@contextmanager
def _hypervisor(settings: EmulatorSettings, network: str, metadata_image: str, folder: Path) -> Iterator[None]:
    """The hypervisor as a process of this computer, whose instances are machines."""
    environment = CREDENTIALS | {
        "PATH": "/usr/bin:/bin",
        "EFACE_ID": settings.id,
        "AWS_ENDPOINT_URL": str(settings.endpoint_url),
        "EFACE_DRIVER": "machine",
        "EFACE_RUN_DIR": str(folder),
        "EFACE_BOOT_S": "0",
        "EFACE_STOP_GRACE_S": "60",
        "EFACE_MACHINE_IMAGE": MACHINE_IMAGE,
        "EFACE_METADATA_IMAGE": metadata_image,
        "EFACE_NETWORK": network,
    }
    with (folder / "hypervisor.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "facelocal.hypervisor"], env=environment, stdout=log, stderr=log
        )
        try:
            yield
        finally:
            process.terminate()
            assert process.wait(90) == 0


def _address(machine: Machine, network: str, cloud: Cloud) -> str:
    """The address of a machine's network, which is that of its metadata service."""
    host = cloud.engine.containers.get(f"{machine.container.name}-metadata")
    return str(host.attrs["NetworkSettings"]["Networks"][network]["IPAddress"])


def _machines(cloud: Cloud) -> list[str]:
    """The machines of instances that the engine knows."""
    found = cloud.engine.containers.list(all=True, filters={"label": f"{NETWORK_LABEL}={cloud.network}"})
    return [container.name for container in found]


def _is_ready(url: str) -> bool:
    with suppress(httpx.TransportError):
        return httpx.get(f"{url}/readyz", timeout=5).status_code == 200
    return False


@contextmanager
def _journal_kept(machine: Machine, target: Path) -> Iterator[None]:
    """Writes to a file what the machine logged, so that it is there where the test fails."""
    try:
        yield
    finally:
        target.write_text(machine.run("journalctl", "--no-pager"))


def _twenty_requests(stack: Stack, ami: str) -> list[str]:
    """Sends them at once, and returns the ids of the instances that answered, once none of them runs."""
    uploads, expected = zip(*photographs(REQUESTS, "chain"), strict=True)
    with stack.watched() as fleet:
        answers = stack.burst(uploads)
        stack.wait_until_idle(IDLE_IN_S)
    assert [answer.text for answer in answers] == list(expected)
    assert max(fleet.running) == len(fleet.existing) == MAX_INSTANCES
    assert {instance["ImageId"] for instance in stack.instances()} == {ami}
    for queue in (stack.settings.request_queue, stack.settings.response_queue, stack.settings.dead_queue):
        assert stack.depth(queue) == 0
    return sorted(fleet.existing)


def test_twenty_requests_on_machines_of_the_ami_and_none_left_running(
    cloud: Cloud, built_machine: BuiltMachine, logs: Path
) -> None:
    worker_settings = f"EFACE_MODEL=auto\nEFACE_THREADS=1\nAWS_ENDPOINT_URL={ENDPOINT}\nEFACE_LOG_GROUP={log_group(ID)}"
    metadata_image = container_images.built("hypervisor")
    settings = deploy(cloud, container_images.built("worker"), built_machine.ami, worker_settings, ID)
    web_settings = {
        "EFACE_ID": ID,
        "EFACE_ROLE": "web",
        "EFACE_WEB_IMAGE": cloud.push(container_images.built("web"), "elastic-face/web"),
        "EFACE_CONTROLLER_IMAGE": cloud.push(container_images.built("controller"), "elastic-face/controller"),
        "EFACE_MAX_INSTANCES": str(MAX_INSTANCES),
        "EFACE_LOG_GROUP": log_group(ID),
    }
    with ExitStack() as parts:
        subnet = parts.enter_context(cloud.subnet("web"))
        parts.enter_context(_hypervisor(settings, cloud.network, metadata_image, logs))
        driver = new_driver(cloud, built_machine, metadata_image, logs, subnet)
        web = parts.enter_context(booted(driver, cloud, web_settings, subnet))
        url = f"http://{_address(web, subnet, cloud)}:8000"
        with _journal_kept(web, logs / "web.log"):
            until(lambda: _is_ready(url), UP_IN_S, "the web tier is not ready")
            answered = _twenty_requests(Stack(url, cloud.aws_url), built_machine.ami)
            until(lambda: not _machines(cloud), IDLE_IN_S, "a machine still exists")
    assert all('"event": "idle"' in logged(settings, f"{instance_id}/worker") for instance_id in answered)
    shutil.rmtree(logs)
