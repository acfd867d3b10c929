"""The hypervisor against the emulator: workers follow the instances, and power-offs stop them."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from facecore.aws import Aws
from facelocal.hypervisor.loop import Ec2, Hypervisor
from facelocal.hypervisor.machines import Machines
from facelocal.hypervisor.processes import ProcessDriver
from facelocal.settings import EmulatorSettings
from support.ground import until


class Machine:
    """One deployment's emulated EC2 with a hypervisor that runs in a thread."""

    def __init__(self, settings: EmulatorSettings, run_dir: Path) -> None:
        self.client = Aws(settings).client("ec2")
        self.settings = settings
        self.driver = ProcessDriver(run_dir, "support.fakes.tiny_worker:main", (), stop_grace_s=1)
        self.stop = threading.Event()
        ec2, host = Ec2(self.client, settings.id), {"FROM": "host"}
        self.heartbeat_file = run_dir / "heartbeat"
        hypervisor = Hypervisor(ec2, self.driver, Machines(0.2, 0.1, 3), host, self.heartbeat_file)
        self.thread = threading.Thread(target=hypervisor.run, args=(self.stop, 0.1))
        self.thread.start()

    def launch(self, verb: str, name: str = "app-tier-instance-1") -> str:
        tags = [{"Key": "Name", "Value": name}, {"Key": "elastic-face:id", "Value": self.settings.id}]
        answer = self.client.run_instances(
            LaunchTemplate={"LaunchTemplateName": f"{self.settings.id}-worker"},
            UserData=f"# what the worker needs\nEFACE_TINY={verb}\n",
            MinCount=1,
            MaxCount=1,
            TagSpecifications=[{"ResourceType": "instance", "Tags": tags}],
        )
        return str(answer["Instances"][0]["InstanceId"])

    def state(self, instance_id: str) -> str:
        found = self.client.describe_instances(InstanceIds=[instance_id])
        return str(found["Reservations"][0]["Instances"][0]["State"]["Name"])


@pytest.fixture
def machine(deployment: EmulatorSettings, tmp_path: Path) -> Iterator[Machine]:
    machine = Machine(deployment, tmp_path)
    yield machine
    machine.stop.set()
    machine.thread.join(20)
    assert not any(worker.running for worker in machine.driver.workers().values())


def test_a_running_instance_gets_its_worker_and_loses_it_when_it_stops(machine: Machine) -> None:
    instance_id = machine.launch("sleep")
    until(lambda: instance_id in machine.driver.workers())
    machine.client.stop_instances(InstanceIds=[instance_id])
    until(lambda: machine.driver.workers() == {})
    machine.client.start_instances(InstanceIds=[instance_id])
    until(lambda: instance_id in machine.driver.workers())


def test_an_idle_worker_stops_its_instance(machine: Machine) -> None:
    instance_id = machine.launch("exit:0")
    until(lambda: machine.state(instance_id) == "stopped")
    until(lambda: machine.driver.workers() == {})


def test_each_pass_touches_the_heartbeat_file(machine: Machine) -> None:
    until(machine.heartbeat_file.exists)
    machine.heartbeat_file.unlink()
    until(machine.heartbeat_file.exists)


def test_a_worker_that_keeps_failing_stops_its_instance(machine: Machine, tmp_path: Path) -> None:
    instance_id = machine.launch("exit:3")
    until(lambda: machine.state(instance_id) == "stopped")
    assert (tmp_path / f"logs/worker-{instance_id}.log").read_text().count("exit:3") == 3


def test_a_terminated_instance_loses_its_worker(machine: Machine) -> None:
    instance_id = machine.launch("sleep")
    until(lambda: instance_id in machine.driver.workers())
    machine.client.terminate_instances(InstanceIds=[instance_id])
    until(lambda: machine.driver.workers() == {})


def test_machines_of_others_get_no_worker(machine: Machine) -> None:
    machine.launch("sleep", name="web-instance")
    instance_id = machine.launch("sleep")
    until(lambda: set(machine.driver.workers()) == {instance_id})
