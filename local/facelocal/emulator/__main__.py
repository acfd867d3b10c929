"""`python -m facelocal.emulator serve|resources`: an emulator with a deployment in it, or a deployment elsewhere."""

import os
import sys
import threading
from collections.abc import Mapping

from facecore import logs, user_data
from facecore.aws import Aws
from facecore.errors import FaceError, SettingsError
from facecore.settings import load
from facecore.variables import LOCAL_WORKERS

from facelocal.emulator import resources
from facelocal.settings import EmulatorSettings

USAGE = "usage: python -m facelocal.emulator serve|resources\n"


def main(arguments: list[str]) -> int:
    """Runs the command and returns its exit status."""
    if arguments not in (["serve"], ["resources"]):
        sys.stderr.write(USAGE)
        return 2
    try:
        settings = with_workers_variables(load(EmulatorSettings, os.environ), os.environ)
    except SettingsError as error:
        sys.stderr.write(f"emulator: {error}\n")
        return 2
    logs.configure("emulator", settings.log_level)
    logs.get_logger(__name__).info("settings", **settings.shown())
    if arguments == ["resources"]:
        return _create(settings)
    # The image that only makes resources has no moto.
    from facelocal.emulator import server

    ending = threading.Event()
    bound = server.bind(settings.emulator_host, settings.emulator_port, ending)
    endpoint = f"http://{settings.emulator_host}:{bound.bind_addr[1]}"
    failures: list[int] = []

    # The resources are made through the server, so it has to serve while they are.
    def create() -> None:
        if status := _create(settings.model_copy(update={"endpoint_url": endpoint})):
            failures.append(status)
            ending.set()
            bound.stop()

    threading.Thread(target=create, daemon=True).start()
    server.serve_until_terminated(bound, ending)
    return failures[0] if failures else 0


def with_workers_variables(settings: EmulatorSettings, environ: Mapping[str, str]) -> EmulatorSettings:
    """The settings with the variables of `environ` that are a worker's among the workers' lines.

    A stack is started with one environment, but instances learn theirs from user data alone. Raises SettingsError if a
    value cannot be user data.
    """
    passed = {name: environ[name] for name in sorted(LOCAL_WORKERS) if environ.get(name)}
    lines = user_data.lines(passed | user_data.parse(settings.worker_environment))
    return settings.model_copy(update={"worker_environment": lines})


def _create(settings: EmulatorSettings) -> int:
    try:
        resources.create(Aws(settings), settings)
    except (FaceError, OSError) as error:
        logs.get_logger(__name__).error("resources_failed", error=str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
