"""`python -m facelocal.stack up|down|status|logs|enroll`: the whole system on this machine, without Docker."""

import os
import subprocess
import sys

from facecore.errors import FaceError

from facelocal.stack import stack
from facelocal.stack.programs import CREDENTIALS
from facelocal.stack.settings import StackSettings, load
from facelocal.stack.view import machines, queues

USAGE = "usage: python -m facelocal.stack up|down|status|logs|enroll\n"
EXAMPLE = "tests/faces/queries/obama2.jpg"


def main(arguments: list[str]) -> int:
    """Runs the command and returns its exit status."""
    commands = {"up": _up, "down": _down, "status": _status, "logs": _logs, "enroll": _enroll}
    if len(arguments) != 1 or arguments[0] not in commands:
        sys.stderr.write(USAGE)
        return 2
    os.environ.update(CREDENTIALS)
    try:
        return commands[arguments[0]](load(os.environ))
    except FaceError as error:
        sys.stderr.write(f"embedded stack: {error}\n")
        return 1


def _up(settings: StackSettings) -> int:
    if stack.is_up(settings):
        sys.stdout.write(f"Elastic Face is up already: {settings.web_url} (`make down` stops it)\n")
        return 0
    stack.up(settings, os.environ)
    sys.stdout.write(
        f"Elastic Face is up (embedded stack, model {stack.model_in_use(settings)})\n"
        f"  web   {settings.web_url}\n"
        f"  AWS   {settings.aws_url} (keys test/test)\n"
        f"  logs  {settings.run_dir / 'logs'}\n"
        f"Try:  curl -F inputFile=@{EXAMPLE} {settings.web_url}/\n"
    )
    return 0


def _down(settings: StackSettings) -> int:
    stopped = stack.down(settings)
    sys.stdout.write("Elastic Face is down\n" if stopped else "Elastic Face was not up\n")
    return 0


def _status(settings: StackSettings) -> int:
    if not stack.is_up(settings):
        sys.stdout.write("Elastic Face is not up (`make up` starts it)\n")
        return 1
    sys.stdout.write(f"{stack.status(settings)}\n{machines(settings.aws_url)}\n{queues(settings.aws_url)}")
    return 0


def _logs(settings: StackSettings) -> int:
    files = stack.logs(settings)
    if not files:
        sys.stdout.write("There are no logs yet (`make up` starts the stack)\n")
        return 1
    try:
        return subprocess.run(["tail", "-n", "20", "-F", *map(str, files)], check=False).returncode  # noqa: S603, S607
    except KeyboardInterrupt:
        return 0


def _enroll(settings: StackSettings) -> int:
    return stack.enrol(settings, os.environ | {"EFACE_ID": "local", "AWS_ENDPOINT_URL": settings.aws_url}, "--upload")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
