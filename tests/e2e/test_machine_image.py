"""The machine image: built by Packer against LocalStack, then booted with systemd and an engine of its own."""

import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from facecore.aws import Aws
from facecore.messages import Reply, Request
from facecore.objects import S3Bucket
from facecore.queues import SqsQueue
from facelocal.hypervisor.whole_machines import MachineDriver
from facelocal.settings import EmulatorSettings
from support.aws.cloud import REGISTRY, Cloud
from support.ground import until
from support.stacks import images as container_images
from support.stacks.machine_build import BuiltMachine
from support.stacks.machines import Machine, booted, deploy, log_group, logged, new_driver
from support.uploads import photograph

OFF_IN_S = 90.0
WORKER = "elastic-face-worker.service"
_BROKEN = """
FROM python:3.11-slim-bookworm
USER 10001
CMD ["python3", "-c", "import sys; print('broken on purpose'); sys.exit(3)"]
"""


@pytest.fixture(scope="module")
def driver(cloud: Cloud, built_machine: BuiltMachine, tmp_path_factory: pytest.TempPathFactory) -> MachineDriver:
    """Boots machines of the built image."""
    return new_driver(cloud, built_machine, container_images.built("hypervisor"), tmp_path_factory.mktemp("machines"))


@pytest.fixture(scope="module")
def deployed(cloud: Cloud, built_machine: BuiltMachine) -> EmulatorSettings:
    """A deployment with a gallery."""
    return deploy(cloud, container_images.built("worker"), built_machine.ami)


@pytest.fixture
def broken_image(cloud: Cloud, tmp_path: Path) -> Iterator[str]:
    """An image, by digest, whose program fails at once."""
    (tmp_path / "Dockerfile").write_text(_BROKEN)
    name = "elastic-face-test/broken-worker"
    cloud.engine.images.build(path=str(tmp_path), tag=name, rm=True)
    yield cloud.push(name, "elastic-face/broken-worker")
    cloud.engine.images.remove(name)


def _recognise(deployed: EmulatorSettings, name: str) -> Reply:
    """Asks for a photograph as the web tier does, and waits for the reply."""
    aws = Aws(deployed)
    version = S3Bucket(aws.client("s3"), deployed.in_bucket).put(name, photograph(name))
    request = Request(str(uuid.uuid4()), name, version, deployed.response_queue, time.time())
    SqsQueue(aws.client("sqs"), deployed.request_queue).send(request.encode())
    replies = SqsQueue(aws.client("sqs", read_timeout_s=30), deployed.response_queue)
    [message] = until(lambda: replies.receive(wait_s=20), OFF_IN_S, "no reply")
    replies.delete([message.receipt])
    reply = Reply.decode(message.body)
    assert reply.id == request.id
    return reply


def _metadata_from(machine: Machine, image: str, network: str) -> str:
    """How an attempt ends to read the metadata, without a token, from a container in `network`."""
    program = "import urllib.request; urllib.request.urlopen('http://169.254.169.254/latest/', timeout=3)"
    command = ["docker", "run", "--rm", "--network", network, "--entrypoint", "python", image, "-c", program]
    status, output = machine.container.exec_run(command)
    assert status == 1
    return str(output.decode())


def test_packer_builds_an_ami_that_passes_its_own_test(cloud: Cloud, built_machine: BuiltMachine) -> None:
    image = cloud.ec2.describe_images(ImageIds=[built_machine.ami])["Images"][0]
    tags = {tag["Key"]: tag["Value"] for tag in image["Tags"]}
    assert image["State"] == "available"
    assert image["Name"].startswith(f"elastic-face-{tags['elastic-face:commit'][:12]}-")
    assert tags["elastic-face:worker-image"] == built_machine.worker
    assert "90-test: ok: the worker image is here, by its digest" in built_machine.log
    assert "NOT OK" not in built_machine.log


def test_what_stands_for_the_ami_makes_no_volumes_of_its_own(cloud: Cloud, built_machine: BuiltMachine) -> None:
    assert not cloud.engine.images.get(built_machine.image).attrs["Config"]["Volumes"]


def test_the_build_leaves_nothing_in_the_account(cloud: Cloud, built_machine: BuiltMachine) -> None:
    ec2 = cloud.ec2
    alive = [{"Name": "instance-state-name", "Values": ["pending", "running", "stopping", "stopped"]}]
    builds = [*alive, {"Name": "tag:Name", "Values": ["elastic-face-build"]}]
    assert ec2.describe_instances(Filters=builds)["Reservations"] == []
    assert not [group for group in ec2.describe_security_groups()["SecurityGroups"] if "packer" in group["GroupName"]]
    assert ec2.describe_key_pairs()["KeyPairs"] == []


def test_a_machine_answers_a_request_by_itself_and_powers_off_when_idle_at_each_boot(
    cloud: Cloud, built_machine: BuiltMachine, driver: MachineDriver, deployed: EmulatorSettings
) -> None:
    settings = {
        "EFACE_ID": deployed.id,
        "EFACE_MODEL": "auto",
        "EFACE_IDLE_S": "3",
        "EFACE_LOG_GROUP": log_group(deployed.id),
    }
    with booted(driver, cloud, settings) as machine:
        reply = _recognise(deployed, "obama2.jpg")
        assert (reply.subject, reply.instance) == ("Barack Obama", machine.instance_id)
        machine.wait_until_off(OFF_IN_S)
        assert "the worker ended with status 0, it is idle: powering off" in machine.journal(WORKER)
        # The controller starts stopped instances again.
        machine.container.start()
        assert _recognise(deployed, "biden-mirrored.jpg").subject == "Joe Biden"
        machine.wait_until_off(OFF_IN_S)
    assert '"event": "idle"' in logged(deployed, f"{machine.instance_id}/worker")


def test_a_workers_container_is_confined_and_knows_what_it_needs(
    cloud: Cloud, driver: MachineDriver, deployed: EmulatorSettings
) -> None:
    image = f"EFACE_WEB_IMAGE={REGISTRY}/elastic-face/web@sha256:{'0' * 64}"
    settings = {"EFACE_ID": deployed.id, "EFACE_MODEL": "noop", "EFACE_IDLE_S": "8", "EFACE_ROLE": "worker"}
    with booted(driver, cloud, settings | dict([image.split("=", 1)])) as machine:
        _recognise(deployed, "obama2.jpg")
        assert machine.run("systemctl", "is-system-running").strip() in ("running", "starting")
        environment = machine.run("docker", "exec", "elastic-face-worker", "env")
        host = machine.run("docker", "inspect", "--format", "{{json .HostConfig}}", "elastic-face-worker")
        files = machine.run("stat", "--format", "%a", "/run/elastic-face/env", "/run/elastic-face/worker.env")
        user = machine.run("docker", "exec", "elastic-face-worker", "id", "--user")
        worker = machine.run("cat", "/etc/elastic-face/worker-image").strip()
        near, far = (_metadata_from(machine, worker, network) for network in ("host", "bridge"))
    assert f"EFACE_INSTANCE_ID={machine.instance_id}" in environment
    assert "EFACE_REGION=us-east-1" in environment
    assert not [
        line for line in environment.splitlines() if "_IMAGE" in line or "_ROLE" in line or "AWS_SECRET" in line
    ]
    assert '"ReadonlyRootfs":true' in host
    assert '"CapDrop":["ALL"]' in host
    assert '"SecurityOpt":["no-new-privileges"]' in host
    assert '"NetworkMode":"host"' in host
    assert files.split() == ["600", "600"]
    assert user.strip() == "10001"
    # What runs in a network of its own is one hop too far for the role's keys.
    assert "HTTP Error 401" in near
    assert "Remote end closed connection" in far or "Connection reset" in far


def test_a_machine_whose_worker_keeps_failing_powers_off_and_says_why(
    cloud: Cloud, driver: MachineDriver, deployed: EmulatorSettings, broken_image: str
) -> None:
    with booted(driver, cloud, {"EFACE_ID": deployed.id, "EFACE_WORKER_IMAGE": broken_image}) as machine:
        machine.wait_until_off(OFF_IN_S)
        assert machine.journal(WORKER).count("broken on purpose") == 5
        console = machine.console()
    assert "code=exited, status=3" in console
    assert f"give-up: powering off: {WORKER} keeps failing" in console


def test_an_image_that_the_registry_does_not_have_is_not_replaced_by_another(
    cloud: Cloud, driver: MachineDriver, deployed: EmulatorSettings
) -> None:
    missing = f"{REGISTRY}/elastic-face/worker@sha256:{'0' * 64}"
    with booted(driver, cloud, {"EFACE_ID": deployed.id, "EFACE_WORKER_IMAGE": missing}) as machine:
        machine.wait_until_off(OFF_IN_S)
        assert f"run-container: cannot pull {missing}" in machine.console()


def test_the_baked_worker_serves_where_the_registry_cannot_be_reached(
    cloud: Cloud, driver: MachineDriver, deployed: EmulatorSettings
) -> None:
    elsewhere = f"nowhere.invalid:5000/elastic-face/worker@sha256:{'0' * 64}"
    settings = {"EFACE_ID": deployed.id, "EFACE_MODEL": "noop", "EFACE_IDLE_S": "1", "EFACE_WORKER_IMAGE": elsewhere}
    with booted(driver, cloud, settings) as machine:
        machine.wait_until_off(OFF_IN_S)
        journal = machine.journal(WORKER)
    assert f"the registry of {elsewhere} cannot be reached" in journal
    assert "it is idle: powering off" in journal


def test_a_machine_whose_user_data_is_wrong_powers_off_and_says_why(cloud: Cloud, driver: MachineDriver) -> None:
    with booted(driver, cloud, {"EFACE_MODEL": "noop"}) as machine:
        machine.wait_until_off(OFF_IN_S)
        console = machine.console()
    assert "the user data sets no EFACE_ID" in console
    assert "give-up: powering off: elastic-face-boot.service keeps failing" in console


def test_a_web_host_whose_user_data_is_wrong_says_so_and_stays_up(cloud: Cloud, driver: MachineDriver) -> None:
    with booted(driver, cloud, {"EFACE_ROLE": "web", "EFACE_MODEL": "noop"}) as machine:
        until(lambda: "give-up: this is a web host, which stays up" in machine.console(), OFF_IN_S, "no word of it")
        assert machine.state().running
