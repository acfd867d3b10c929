"""`python -m facelocal.hypervisor`: wires the hypervisor together and runs it."""

import os
import signal
import sys
import threading
from collections.abc import Mapping

from facecore import logs
from facecore.aws import Aws
from facecore.errors import AwsError, SettingsError
from facecore.settings import load

from facelocal.hypervisor.loop import Ec2, Hypervisor
from facelocal.hypervisor.machines import Driver, Machines
from facelocal.settings import HypervisorSettings

log = logs.get_logger(__name__)

_INHERITED = ("PATH", "HOME", "LANG", "TMPDIR", "PYTHONPATH", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")


def main(environ: Mapping[str, str]) -> int:
    """Runs until SIGTERM or SIGINT and returns the exit status."""
    try:
        settings = load(HypervisorSettings, environ)
    except SettingsError as error:
        sys.stderr.write(f"hypervisor: {error}\n")
        return 2
    logs.configure("hypervisor", settings.log_level)
    log.info("settings", **settings.shown())
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    ec2 = Ec2(Aws(settings).client("ec2"), settings.id)
    try:
        driver = _driver(settings, ec2)
    except AwsError as error:
        log.error("driver_not_ready", error=str(error))
        return 1
    # On EC2 a worker learns this from the instance's role and metadata.
    host = {name: environ[name] for name in _INHERITED if name in environ}
    host |= {"EFACE_REGION": settings.region, "AWS_EC2_METADATA_DISABLED": "true"}
    if settings.endpoint_url:
        host["AWS_ENDPOINT_URL"] = settings.endpoint_url
    machines = Machines(settings.boot_s, settings.restart_s, settings.max_failures)
    Hypervisor(ec2, driver, machines, host, settings.run_dir / "heartbeat").run(stop, settings.poll_s)
    return 0


def _driver(settings: HypervisorSettings, ec2: Ec2) -> Driver:
    # Each driver is imported alone: the container image has no psutil, and a laptop without Docker no Docker client.
    if settings.driver == "process":
        from facelocal.hypervisor.processes import ProcessDriver

        preload = tuple(filter(None, settings.preload.split(",")))
        return ProcessDriver(settings.run_dir, settings.worker, preload, settings.stop_grace_s)
    import docker

    if settings.driver == "container":
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


if __name__ == "__main__":
    sys.exit(main(os.environ))
