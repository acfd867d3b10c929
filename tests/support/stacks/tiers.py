"""An end-to-end run of the tiers as programs of their own, each with access keys of its own, and what they called."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from facecore import user_data
from facecore.aws import Aws
from facelocal.emulator import resources
from facelocal.settings import EmulatorSettings

from support.aws.proxy import Recorder
from support.ground import FACES, QUERIES, until
from support.stacks import web_process

PATIENCE_S = 150.0


@dataclass
class Run:
    """A deployment whose tiers call AWS through a recorder."""

    settings: EmulatorSettings
    """Of the emulator itself: what is called with these is not recorded."""
    recorder: Recorder
    folder: Path
    subnets: str
    security_group: str

    def __post_init__(self) -> None:
        aws = Aws(self.settings)
        self.ec2, self.sqs = aws.client("ec2"), aws.client("sqs")

    def states(self) -> list[str]:
        """States of the app tier's instances."""
        filters = [
            {"Name": "tag:elastic-face:id", "Values": [self.settings.id]},
            {"Name": "tag:Name", "Values": ["app-tier-instance-*"]},
        ]
        found = self.ec2.describe_instances(Filters=filters)["Reservations"]
        return [one["State"]["Name"] for group in found for one in group["Instances"]]

    def until(self, condition: Callable[[], Any], what: str) -> None:
        """Waits for the condition."""
        until(condition, PATIENCE_S, lambda: f"not so: {what}; logs: {self._logs()}", pause_s=0.2)

    def _logs(self) -> str:
        return "\n".join(f"{path.name}:\n{path.read_text()[-1500:]}" for path in sorted(self.folder.rglob("*.log")))

    @contextmanager
    def program(self, module: str, key: str, **variables: str) -> Iterator[subprocess.Popen[bytes]]:
        """A program that calls AWS with this key; told to end by SIGTERM when the block is left."""
        environment = os.environ | self.environment(key) | variables
        with (self.folder / f"{key}.log").open("a") as log:
            process = subprocess.Popen([sys.executable, "-m", module], env=environment, stdout=log, stderr=log)
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)

    def environment(self, key: str) -> dict[str, str]:
        """What ties a program to the recorder."""
        return {"EFACE_ID": self.settings.id, "AWS_ENDPOINT_URL": self.recorder.url, "AWS_ACCESS_KEY_ID": key}

    def move_template(self, **changes: Any) -> None:
        """Changes the launch template as an update of its stack does."""
        name = f"{self.settings.id}-worker"
        data = self.ec2.describe_launch_template_versions(LaunchTemplateName=name, Versions=["$Default"])
        former = data["LaunchTemplateVersions"][0]["LaunchTemplateData"]
        version = self.ec2.create_launch_template_version(LaunchTemplateName=name, LaunchTemplateData=former | changes)[
            "LaunchTemplateVersion"
        ]["VersionNumber"]
        self.ec2.modify_launch_template(LaunchTemplateName=name, DefaultVersion=str(version))


def run(endpoint: str, recorder: Recorder, folder: Path, cache: Path) -> Run:
    """Photographs from one to the next state of the fleet: launched, numbered, idle, started, stopped, terminated."""
    deployment = _deployed(endpoint, recorder, folder, cache)
    # Slow enough for a heartbeat.
    recorder.delays_s["worker", "GetObject"] = 1.0
    with ExitStack() as stack:
        recorded = deployment.settings.model_copy(update={"endpoint_url": recorder.url})
        web = stack.enter_context(web_process.running(recorded, folder / "web.log", access_key="web"))
        hypervisor = stack.enter_context(_hypervisor(deployment))
        stack.enter_context(
            deployment.program(
                "facecontroller", "controller", EFACE_REAP_AFTER_S="60", EFACE_SUBNETS=deployment.subnets,
                EFACE_INSTANCE_TYPES="m7i.large",
            )
        )  # fmt: skip
        assert web.get("readyz").status_code == httpx.codes.OK
        with ThreadPoolExecutor(3) as pool:
            answers = list(pool.map(lambda n: web.post(f"{n}.jpg", _photograph()).text, range(3)))
        assert answers == [f"{n}.jpg:Barack Obama" for n in range(3)]
        deployment.until(lambda: "CreateTags" in recorder.operations("controller"), "instances are numbered")
        deployment.until(lambda: set(deployment.states()) == {"stopped"}, "all instances are idle")
        with deployment.program("facecontroller", "controller"):
            deployment.until(lambda: "HeadObject" in recorder.operations("controller"), "a second controller stands by")
        assert web.post("again.jpg", _photograph()).text == "again.jpg:Barack Obama"
        deployment.until(lambda: set(deployment.states()) == {"stopped"}, "all instances are idle again")
        _lose_a_worker(deployment, web, hypervisor)
    return deployment


def _lose_a_worker(deployment: Run, web: web_process.Web, hypervisor: subprocess.Popen[bytes]) -> None:
    """A machine that came up without its worker is stopped for the queue's sake, and an old image's terminated."""
    hypervisor.send_signal(signal.SIGTERM)
    hypervisor.wait(30)
    with ThreadPoolExecutor(1) as pool:
        lost = pool.submit(_give_up, web)
        deployment.until(lambda: "running" in deployment.states(), "an instance runs without a worker")
        lost.result()
    url = deployment.sqs.get_queue_url(QueueName=deployment.settings.request_queue)["QueueUrl"]
    deployment.sqs.purge_queue(QueueUrl=url)
    image = deployment.ec2.register_image(Name=f"{deployment.settings.id}-next", RootDeviceName="/dev/xvda")["ImageId"]
    deployment.move_template(ImageId=image)
    deployment.until(lambda: set(deployment.states()) <= {"terminated", "shutting-down"}, "all instances terminated")


def _give_up(web: web_process.Web) -> None:
    try:
        httpx.post(web.url, files={"inputFile": ("lost.jpg", _photograph())}, timeout=5)
    except httpx.TimeoutException:
        return
    raise AssertionError("a request was answered without a worker")


def _photograph() -> bytes:
    return (QUERIES / "obama2.jpg").read_bytes()


def _deployed(endpoint: str, recorder: Recorder, folder: Path, cache: Path) -> Run:
    gallery = folder / "gallery.npz"
    command = [sys.executable, "-m", "faceworker.enrol", str(FACES / "gallery"), "--model", "dlib-resnet-v1"]
    environment = os.environ | {"EFACE_CACHE_DIR": str(cache)}
    subprocess.run([*command, "--output", str(gallery)], env=environment, check=True, capture_output=True)
    worker = {
        "AWS_ENDPOINT_URL": recorder.url,
        "EFACE_MODEL": "dlib-resnet-v1",
        "EFACE_CACHE_DIR": str(cache),
        "EFACE_VISIBILITY_S": "2",
        "EFACE_GALLERY_REFRESH_S": "0",
        "EFACE_IDLE_S": "1",
        "EFACE_THREADS": "1",
    }
    settings = EmulatorSettings(
        id="recorded",
        endpoint_url=endpoint,
        gallery_file=gallery,
        worker_environment=user_data.lines(worker),
    )
    resources.create(Aws(settings), settings)
    ec2 = Aws(settings).client("ec2")
    subnets = ",".join(sorted(subnet["SubnetId"] for subnet in ec2.describe_subnets()["Subnets"])[:2])
    group = ec2.create_security_group(GroupName="recorded-worker", Description="workers")["GroupId"]
    deployment = Run(settings, recorder, folder, subnets, group)
    deployment.move_template(SecurityGroupIds=[group])
    return deployment


@contextmanager
def _hypervisor(deployment: Run) -> Iterator[subprocess.Popen[bytes]]:
    folder = deployment.folder / "machines"
    (folder / "logs").mkdir(parents=True)
    (folder / "workers").mkdir()
    variables = {"EFACE_RUN_DIR": str(folder), "EFACE_BOOT_S": "0.2", "EFACE_PRELOAD": "faceworker.recogniser.dlib"}
    # Its own calls are not recorded: workers have its key, and the recorder as their endpoint by their user data.
    endpoint = str(deployment.settings.endpoint_url)
    with deployment.program("facelocal.hypervisor", "worker", AWS_ENDPOINT_URL=endpoint, **variables) as process:
        yield process
