"""`python -m facelocal.stack up|down|status|logs|enrol`: the whole system on this machine, without Docker."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping

import numpy as np
from facecore.aws import Aws, translated
from facecore.errors import AwsError, FaceError
from facecore.queues import SqsQueue
from facecore.settings import Model, load

from facelocal.emulator import resources
from facelocal.settings import StackSettings
from facelocal.stack.supervisor import CREDENTIALS, Supervisor, environment

USAGE = "usage: python -m facelocal.stack up|down|status|logs|enrol\n"
EXAMPLE = "tests/faces/queries/obama2.jpg"
_POLL_S = 0.2


class StackError(FaceError):
    """The stack cannot be started or stopped; the message says why and what to do."""


def main(arguments: list[str]) -> int:
    """Runs the command and returns its exit status."""
    commands: dict[str, Callable[[StackSettings, Mapping[str, str]], int]] = {
        "up": up,
        "down": down,
        "status": status,
        "logs": logs,
        "enrol": enrol,
    }
    if len(arguments) != 1 or arguments[0] not in commands:
        sys.stderr.write(USAGE)
        return 2
    # This program calls the emulator too, and a user's own keys must not get there.
    os.environ.update(CREDENTIALS)
    try:
        return commands[arguments[0]](load(StackSettings, os.environ), os.environ)
    except FaceError as error:
        sys.stderr.write(f"embedded stack: {error}\n")
        return 1


def up(settings: StackSettings, environ: Mapping[str, str]) -> int:
    """Enrols the gallery, starts all programs and returns when the web tier is ready.

    Raises StackError if a port is taken, no picture can be enrolled, or the web tier is not ready in time.
    """
    supervisor = Supervisor(settings.run_dir)
    if supervisor.is_up():
        sys.stdout.write(f"Elastic Face is up already: {settings.web_url} (`make down` stops it)\n")
        return 0
    check_ports(settings)
    # A supervisor that was killed left its programs.
    supervisor.sweep()
    for folder in (settings.run_dir / "logs", settings.run_dir / "workers"):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    gallery_file = None
    model = str(settings.model)
    if settings.model != Model.NOOP:
        # Enrolment and the workers run the exported networks; if they are cached, this takes a second.
        if subprocess.run([sys.executable, "-m", "faceworker.export"], env=environ, check=False).returncode:
            raise StackError("the networks could not be exported; see above")
        gallery_file = settings.gallery_file
        if _run_enroller(settings, environ):
            raise StackError(
                f"no picture in {settings.gallery} could be enrolled; see above, or name another GALLERY=folder"
            )
        with np.load(gallery_file, allow_pickle=False) as gallery:
            model = str(gallery["model"])
    supervisor.start(environment(settings, environ, gallery_file))
    aws = Aws(settings.deployment)
    try:
        _wait("the AWS emulator", lambda: resources.are_complete(aws, settings.deployment), settings.ready_timeout_s)
        supervisor.start_tiers()
        ready_url = f"{settings.web_url}/readyz"
        _wait("the web tier", lambda: bool(urllib.request.urlopen(ready_url, timeout=5)), settings.ready_timeout_s)  # noqa: S310
    except StackError as error:
        states = supervisor.states()
        supervisor.stop()
        raise StackError(
            f"{error}; the stack is stopped, its logs are in {settings.run_dir / 'logs'}\n{states}"
        ) from error
    sys.stdout.write(
        f"Elastic Face is up (embedded stack, model {model})\n"
        f"  web   {settings.web_url}\n"
        f"  AWS   {settings.aws_url} (keys test/test)\n"
        f"  logs  {settings.run_dir / 'logs'}\n"
        f"Try:  curl -F inputFile=@{EXAMPLE} {settings.web_url}/\n"
    )
    return 0


def down(settings: StackSettings, _environ: Mapping[str, str]) -> int:
    """Stops everything that the stack started."""
    stopped = Supervisor(settings.run_dir).stop()
    sys.stdout.write("Elastic Face is down\n" if stopped else "Elastic Face was not up\n")
    return 0


def status(settings: StackSettings, _environ: Mapping[str, str]) -> int:
    """Shows the programs, the instances and the queues, a line each; exit status 1 if the stack is not up."""
    supervisor = Supervisor(settings.run_dir)
    if not supervisor.is_up():
        sys.stdout.write("Elastic Face is not up (`make up` starts it)\n")
        return 1
    deployment, aws = settings.deployment, Aws(settings.deployment)
    with translated("look at the instances"):
        filters = [{"Name": "tag:elastic-face:id", "Values": [deployment.id]}]
        found = aws.client("ec2").describe_instances(Filters=filters)
    rows = sorted(
        (tag["Value"], instance["InstanceId"], instance["State"]["Name"])
        for reservation in found["Reservations"]
        for instance in reservation["Instances"]
        for tag in instance["Tags"]
        if tag["Key"] == "Name"
    )
    machines = "".join(f"{name:24}{instance_id:24}{state}\n" for name, instance_id, state in rows)
    queues = ""
    for name in (deployment.request_queue, deployment.response_queue, deployment.dead_queue):
        depth = SqsQueue(aws.client("sqs"), name).depth()
        queues += f"{name:24}{depth.visible} visible, {depth.in_flight} in flight\n"
    sys.stdout.write(f"{supervisor.states()}\n{machines}\n{queues}")
    return 0


def logs(settings: StackSettings, _environ: Mapping[str, str]) -> int:
    """Follows the logs of all programs until it is interrupted."""
    files = sorted((settings.run_dir / "logs").glob("*.log"))
    if not files:
        sys.stdout.write("There are no logs yet (`make up` starts the stack)\n")
        return 1
    try:
        return subprocess.run(["tail", "-n", "20", "-F", *map(str, files)], check=False).returncode  # noqa: S603, S607
    except KeyboardInterrupt:
        return 0


def enrol(settings: StackSettings, environ: Mapping[str, str]) -> int:
    """Enrols the folder of people into the running stack; returns the enroller's exit status."""
    deployment = {"EFACE_ID": settings.deployment.id, "AWS_ENDPOINT_URL": settings.aws_url}
    return _run_enroller(settings, {**environ, **deployment}, "--upload")


def _run_enroller(settings: StackSettings, environ: Mapping[str, str], *options: str) -> int:
    command = [sys.executable, "-m", "faceworker.enrol", str(settings.gallery)]
    command += ["--output", str(settings.gallery_file), "--model", settings.model, *options]
    return subprocess.run(command, env=environ, check=False).returncode  # noqa: S603  our own program


def check_ports(settings: StackSettings) -> None:
    """Raises StackError, which names the port, if another program has one of the stack's ports."""
    for variable, port in (("WEB_PORT", settings.web_port), ("AWS_PORT", settings.aws_port)):
        with socket.socket() as probe:
            # As the programs do: a port whose last connections still fade out is free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError as error:
                raise StackError(
                    f"port {port} is taken by another program ({error.strerror}): end that one, or choose "
                    f"another port, as in `make up {variable}={port + 1000}`"
                ) from error


def _wait(what: str, is_ready: Callable[[], bool], timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    last = "no answer"
    while time.monotonic() < deadline:
        try:
            if is_ready():
                return
        except urllib.error.HTTPError as error:
            # The web tier says which of its checks fails.
            last = error.read().decode(errors="replace").strip()
        except (OSError, AwsError) as error:
            last = str(error)
        time.sleep(_POLL_S)
    raise StackError(f"{what} was not ready after {timeout_s:g} s ({last})")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
