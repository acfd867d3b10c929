"""`python -m emulator serve` runs the emulator with a deployment in it; `resources` makes a deployment in another."""

import os
import sys
import threading
from typing import NoReturn

from facecore import logs
from facecore.aws import Aws
from facecore.errors import FaceError, SettingsError
from facecore.settings import load

from emulator.settings import EmulatorSettings

USAGE = "usage: python -m emulator serve|resources\n"


def main(arguments: list[str]) -> int:
    """Runs the command and returns its exit status."""
    if arguments not in (["serve"], ["resources"]):
        sys.stderr.write(USAGE)
        return 2
    try:
        settings = load(EmulatorSettings, os.environ)
    except SettingsError as error:
        sys.stderr.write(f"emulator: {error}\n")
        return 2
    logs.configure("emulator", settings.log_level)
    if arguments == ["serve"]:
        _serve(settings)
    return _create(settings)


def _create(settings: EmulatorSettings) -> int:
    from emulator import resources

    try:
        resources.create(Aws(settings), settings)
    except (FaceError, OSError) as error:
        logs.get_logger(__name__).error("resources_failed", error=str(error))
        return 1
    return 0


def _serve(settings: EmulatorSettings) -> NoReturn:
    from emulator import server

    bound = server.bind(settings.emulator_host, settings.emulator_port)
    endpoint = f"http://{settings.emulator_host}:{bound.bind_addr[1]}"
    failures: list[int] = []

    def create() -> None:
        if status := _create(settings.model_copy(update={"endpoint_url": endpoint})):
            failures.append(status)
            bound.stop()

    threading.Thread(target=create, daemon=True).start()
    server.serve_until_terminated(bound)
    sys.stderr.flush()
    # A long poll in progress holds its thread for up to 20 s, and the process with it.
    os._exit(failures[0] if failures else 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
