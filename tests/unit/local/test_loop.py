"""The hypervisor's loop: what it does with user data that a machine would refuse, and how it ends."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from facecore import user_data
from facelocal.hypervisor.loop import Hypervisor
from facelocal.hypervisor.machines import Machines, WorkerState


@dataclass
class FakeEc2:
    """Instances that run, with their user data as lines."""

    instances: dict[str, str]

    def running(self) -> list[str]:
        return list(self.instances)

    def user_data(self, instance_id: str) -> dict[str, str]:
        return user_data.parse(self.instances[instance_id])

    def power_off(self, instance_id: str) -> None:
        del self.instances[instance_id]


@dataclass
class FakeDriver:
    """Workers that run until they are stopped."""

    environments: dict[str, Mapping[str, str]] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    states: dict[str, WorkerState] = field(default_factory=dict)

    def workers(self) -> dict[str, WorkerState]:
        return dict(self.states)

    def start(self, instance_id: str, environment: Mapping[str, str]) -> None:
        self.environments[instance_id] = environment
        self.states[instance_id] = WorkerState(running=True)

    def stop(self, instance_id: str) -> None:
        self.calls.append("stop")
        self.states[instance_id] = WorkerState(running=False)

    def remove(self, instance_id: str) -> None:
        self.calls.append("remove")
        del self.states[instance_id]

    def close(self) -> None:
        self.calls.append("close")


def _hypervisor(ec2: FakeEc2, driver: FakeDriver, folder: Path) -> Hypervisor:
    of_aws: Any = ec2
    return Hypervisor(of_aws, driver, Machines(0, 0, 3), {"FROM": "host"}, folder / "heartbeat")


def test_a_worker_gets_the_hosts_variables_its_user_data_and_its_id(tmp_path: Path) -> None:
    driver = FakeDriver()
    _hypervisor(FakeEc2({"i-1": "EFACE_IDLE_S=9"}), driver, tmp_path).once()
    assert driver.environments == {"i-1": {"FROM": "host", "EFACE_IDLE_S": "9", "EFACE_INSTANCE_ID": "i-1"}}


def test_an_instance_whose_user_data_a_machine_would_refuse_is_powered_off(tmp_path: Path) -> None:
    ec2, driver = FakeEc2({"i-1": "PATH=/tmp", "i-2": "EFACE_IDLE_S=9"}), FakeDriver()
    _hypervisor(ec2, driver, tmp_path).once()
    assert list(ec2.instances) == list(driver.environments) == ["i-2"]


def test_at_its_end_it_stops_and_removes_all_workers_and_closes_the_driver_last(tmp_path: Path) -> None:
    driver, stop = FakeDriver(), threading.Event()
    hypervisor = _hypervisor(FakeEc2({"i-1": ""}), driver, tmp_path)
    hypervisor.once()
    stop.set()
    hypervisor.run(stop, 0.01)
    assert driver.calls == ["stop", "remove", "close"]
