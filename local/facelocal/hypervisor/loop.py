"""Converges the workers on this computer to the emulated EC2, a few times a second."""

import threading
import time
from collections.abc import Mapping
from pathlib import Path

from facecore.errors import AwsError, NotFoundError
from facecore.logs import get_logger

from facelocal.hypervisor.driver import Driver
from facelocal.hypervisor.ec2 import Ec2
from facelocal.hypervisor.machines import Machines, Step

log = get_logger(__name__)


class Hypervisor:
    """One pass looks at EC2 and the workers and takes the steps that `Machines` decides."""

    def __init__(
        self, ec2: Ec2, driver: Driver, machines: Machines, host: Mapping[str, str], heartbeat_file: Path
    ) -> None:
        """`host` is what a machine learns from its surroundings on EC2: credentials, region, endpoint.

        `heartbeat_file` is touched after each pass, those included that did not reach EC2.
        """
        self._ec2 = ec2
        self._driver = driver
        self._machines = machines
        self._host = dict(host)
        self._heartbeat_file = heartbeat_file
        self._reachable = True
        self._user_data: dict[str, dict[str, str]] = {}

    def run(self, stop: threading.Event, poll_s: float) -> None:
        """Passes every `poll_s` seconds, and when a machine has booted, until `stop` is set; then ends all workers."""
        while not stop.wait(self._pause(poll_s)):
            self._try_once()
            self._heartbeat_file.touch()
        while self._halt_all():
            time.sleep(poll_s)
        for instance_id in self._driver.workers():
            self._driver.remove(instance_id)

    def once(self) -> None:
        """One pass; raises the AWS errors of `facecore.errors`."""
        running = self._ec2.running()
        self._read_user_data(running)
        steps = self._machines.steps(running, self._driver.workers(), time.monotonic())
        for instance_id, step, reason in steps:
            if step is not Step.HALT:
                log.info("step", instance_id=instance_id, step=step.name.lower(), reason=reason)
            try:
                self._take(instance_id, step)
            except NotFoundError as error:
                log.warning("instance_is_gone", instance_id=instance_id, error=str(error))

    def _pause(self, poll_s: float) -> float:
        boot = self._machines.next_boot()
        return poll_s if boot is None else min(poll_s, max(0.0, boot - time.monotonic()))

    def _read_user_data(self, running: list[str]) -> None:
        """Reads it while a machine boots, as the machine would, so that fifteen that boot at once start at once."""
        known = {instance_id: self._user_data[instance_id] for instance_id in running if instance_id in self._user_data}
        self._user_data = known | {id_: self._ec2.user_data(id_) for id_ in running if id_ not in known}

    def _take(self, instance_id: str, step: Step) -> None:
        match step:
            case Step.BOOT:
                environment = self._host | self._user_data[instance_id] | {"EFACE_INSTANCE_ID": instance_id}
                self._driver.start(instance_id, environment)
            case Step.HALT:
                self._driver.stop(instance_id)
            case Step.CLEAR:
                self._driver.remove(instance_id)
            case Step.POWER_OFF:
                self._ec2.power_off(instance_id)
                self._driver.remove(instance_id)

    def _try_once(self) -> None:
        try:
            self.once()
        except AwsError as error:
            if self._reachable:
                log.warning("ec2_is_unreachable", error=str(error))
            self._reachable = False
        else:
            if not self._reachable:
                log.info("ec2_is_reachable_again")
            self._reachable = True

    def _halt_all(self) -> int:
        """Asks every worker that still runs to end, and returns how many those are."""
        running = [instance_id for instance_id, worker in self._driver.workers().items() if worker.running]
        for instance_id in running:
            self._driver.stop(instance_id)
        return len(running)
