"""`python -m facedeploy push|preflight|deploy|enrol|destroy`, as `make` runs it."""

import os
import sys

from facecore.errors import FaceError, SettingsError
from facecore.settings import load

from facedeploy import DeployError
from facedeploy.account import Account
from facedeploy.deployment import deploy, wait_until_ready, with_former_choices
from facedeploy.destroy import destroy
from facedeploy.enrol import enrol
from facedeploy.images import push, read_images, revision
from facedeploy.preflight import Verdict, preflight
from facedeploy.settings import DeploySettings

COMMANDS = ("push", "preflight", "deploy", "enrol", "destroy")
USAGE = f"usage: EFACE_ID=… python -m facedeploy {'|'.join(COMMANDS)}\n"


def main(arguments: list[str]) -> int:
    """Runs the command. Exit status: 0 done, 1 a failure or something missing, 2 wrong usage or settings."""
    if len(arguments) != 1 or arguments[0] not in COMMANDS:
        sys.stderr.write(USAGE)
        return 2
    try:
        settings = load(DeploySettings, os.environ)
        run(arguments[0], Account(settings, say), settings)
    except FaceError as error:
        sys.stderr.write(f"{arguments[0]}: {error}\n")
        # As a shell's own commands: 2 is wrong usage.
        return 2 if isinstance(error, SettingsError) else 1
    return 0


def say(line: str) -> None:
    """A line for the user, seen at once also where the output is a pipe."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def run(command: str, account: Account, settings: DeploySettings) -> None:
    """Runs one of COMMANDS. Raises DeployError and the AWS errors of `facecore.errors`."""
    match command:
        case "push":
            say(f"wrote {push(account, settings, revision())}")
        case "preflight":
            _check(account, settings)
        case "deploy":
            _check(account, settings)
            address = deploy(account, settings)
            say(f"waiting until {address} is ready")
            wait_until_ready(address, settings.ready_timeout_s)
            say(f"""Elastic Face is deployed
  web     {address}
  worker  {read_images(settings).worker}
Enrol:  make enrol-aws EFACE_ID={settings.id} GALLERY=tests/faces/gallery
Try:    curl -F inputFile=@tests/faces/queries/obama2.jpg {address}""")
        case "enrol":
            enrol(account, with_former_choices(account, settings))
        case "destroy":
            if not settings.yes:
                what = "everything" if settings.keep_data == "yes" else "everything, its photographs and galleries too,"
                sys.stdout.write(f"This removes {what} of {settings.id}. Type its id to go on: ")
                sys.stdout.flush()
                if sys.stdin.readline().strip() != settings.id:
                    raise DeployError("that is not the id, so nothing was removed")
            destroy(account, settings)


def _check(account: Account, settings: DeploySettings) -> None:
    """Shows what `preflight` finds; raises DeployError if something is missing."""
    missing = []
    for finding in preflight(account, settings):
        say(str(finding))
        if finding.verdict is Verdict.MISSING:
            missing.append(finding.check)
    if missing:
        raise DeployError(f"not ready: {', '.join(missing)}; nothing was created")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
