"""Wires the hypervisor together."""

import signal
import sys
import threading
from collections.abc import Mapping

from facecore import logs
from facecore.aws import Aws
from facecore.errors import AwsError, SettingsError
from facecore.settings import load

from facelocal.hypervisor.driver import Driver
from facelocal.hypervisor.ec2 import Ec2
from facelocal.hypervisor.loop import Hypervisor
from facelocal.hypervisor.machines import Machines
from facelocal.hypervisor.settings import HypervisorSettings

_INHERITED = ("PATH", "HOME", "LANG", "TMPDIR", "PYTHONPATH", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")


def main(environ: Mapping[str, str]) -> int:
    """Runs until SIGTERM or SIGINT and returns the exit status."""
    try:
        settings = load(HypervisorSettings, environ)
    except SettingsError as error:
        sys.stderr.write(f"hypervisor: {error}\n")
        return 2
    logs.configure("hypervisor", settings.log_level)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    ec2 = Ec2(Aws(settings).client("ec2"), settings.id)
    try:
        driver = _driver(settings, ec2)
    except AwsError as error:
        logs.get_logger(__name__).error("driver_not_ready", error=str(error))
        return 1
    hypervisor = Hypervisor(
        ec2,
        driver,
        Machines(settings.boot_s, settings.restart_s, settings.max_failures),
        host_environment(settings, environ),
        settings.run_dir / "heartbeat",
    )
    hypervisor.run(stop, settings.poll_s)
    return 0


def _driver(settings: HypervisorSettings, ec2: Ec2) -> Driver:
    match settings.driver:
        case "process":
            return _process_driver(settings)
        case "container":
            return _container_driver(settings, ec2)
        case "machine":
            return _machine_driver(settings, ec2)


def _process_driver(settings: HypervisorSettings) -> Driver:
    from facelocal.hypervisor.processes import ProcessDriver

    preload = tuple(filter(None, settings.preload.split(",")))
    return ProcessDriver(settings.run_dir, settings.worker, preload, settings.stop_grace_s)


def _container_driver(settings: HypervisorSettings, ec2: Ec2) -> Driver:
    import docker

    from facelocal.hypervisor.containers import ContainerDriver, Machine

    cpus, memory_mib = ec2.size(settings.instance_type)
    return ContainerDriver(
        docker.from_env(),
        image=settings.worker_image,
        network=settings.network,
        machine=Machine(settings.instance_cpus or cpus, settings.instance_memory_mib or memory_mib),
        log_dir=settings.run_dir,
        stop_grace_s=settings.stop_grace_s,
    )


def _machine_driver(settings: HypervisorSettings, ec2: Ec2) -> Driver:
    import docker

    from facelocal.hypervisor.whole_machines import MachineDriver

    return MachineDriver(
        docker.from_env(),
        ami_of=ec2.image_id,
        machine_image=settings.machine_image,
        metadata_image=settings.metadata_image,
        network=settings.network,
        log_dir=settings.run_dir,
        stop_grace_s=settings.stop_grace_s,
    )


def host_environment(settings: HypervisorSettings, environ: Mapping[str, str]) -> dict[str, str]:
    """What a worker learns from its machine: on EC2 from the instance's role and metadata, here from our own."""
    inherited = {name: environ[name] for name in _INHERITED if name in environ}
    endpoint = {"AWS_ENDPOINT_URL": settings.endpoint_url} if settings.endpoint_url else {}
    return inherited | endpoint | {"EFACE_REGION": settings.region, "AWS_EC2_METADATA_DISABLED": "true"}
