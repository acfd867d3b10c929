"""`python -m facedeploy push|preflight|deploy|enroll|destroy`, as `make` runs it."""

import os
import sys

from facecore.errors import FaceError, SettingsError
from facecore.settings import load

from facedeploy import builds, deployment
from facedeploy.account import Account
from facedeploy.destroy import destroy
from facedeploy.enroll import enroll
from facedeploy.errors import DeployError
from facedeploy.preflight import Verdict, preflight
from facedeploy.push import push
from facedeploy.settings import DeploySettings

USAGE = "usage: EFACE_ID=… python -m facedeploy push|preflight|deploy|enroll|destroy\n"


def main(arguments: list[str]) -> int:
    """Runs the command. Exit status: 0 done, 1 a failure or something missing, 2 wrong usage or settings."""
    commands = {"push": _push, "preflight": _preflight, "deploy": _deploy, "enroll": _enroll, "destroy": _destroy}
    if len(arguments) != 1 or arguments[0] not in commands:
        sys.stderr.write(USAGE)
        return 2
    try:
        settings = load(DeploySettings, os.environ)
        commands[arguments[0]](Account(settings, say), settings)
    except FaceError as error:
        sys.stderr.write(f"{arguments[0]}: {error}\n")
        return 2 if isinstance(error, SettingsError) else 1
    return 0


def say(line: str) -> None:
    """A line for the user, seen at once also where the output is a pipe."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _push(account: Account, settings: DeploySettings) -> None:
    say(f"wrote {push(account, settings)}")


def _preflight(account: Account, settings: DeploySettings) -> None:
    missing = []
    for finding in preflight(account, settings):
        say(str(finding))
        if finding.verdict is Verdict.MISSING:
            missing.append(finding.check)
    if missing:
        raise DeployError(f"not ready: {', '.join(missing)}; nothing was created")


def _deploy(account: Account, settings: DeploySettings) -> None:
    _preflight(account, settings)
    address = deployment.deploy(account, settings)
    say(f"waiting until {address} is ready")
    deployment.wait_until_ready(address, settings.ready_timeout_s)
    say(f"""Elastic Face is deployed
  web     {address}
  worker  {builds.read_images(settings).worker}
Enrol:  make enroll-aws EFACE_ID={settings.id} GALLERY=tests/faces/gallery
Try:    curl -F inputFile=@tests/faces/queries/obama2.jpg {address}""")


def _enroll(account: Account, settings: DeploySettings) -> None:
    enroll(account, deployment.with_former_choices(account, settings))


def _destroy(account: Account, settings: DeploySettings) -> None:
    if not settings.yes:
        what = "everything" if settings.keep_data == "yes" else "everything, its photographs and galleries too,"
        sys.stdout.write(f"This removes {what} of {settings.id}. Type its id to go on: ")
        sys.stdout.flush()
        if sys.stdin.readline().strip() != settings.id:
            raise DeployError("that is not the id, so nothing was removed")
    destroy(account, settings)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
