"""`python -m facelocal.emulator serve|resources`: an emulator with a deployment in it, or a deployment elsewhere."""

import os
import sys
import threading

from facecore import logs
from facecore.aws import Aws
from facecore.errors import FaceError, SettingsError
from facecore.settings import load

from facelocal.emulator.settings import EmulatorSettings

USAGE = "usage: python -m facelocal.emulator serve|resources\n"


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
    return _serve(settings) if arguments == ["serve"] else _create(settings)


def _create(settings: EmulatorSettings) -> int:
    from facelocal.emulator import resources

    try:
        resources.create(Aws(settings), settings)
    except (FaceError, OSError) as error:
        logs.get_logger(__name__).error("resources_failed", error=str(error))
        return 1
    return 0


def _serve(settings: EmulatorSettings) -> int:
    from facelocal.emulator import server

    ending = threading.Event()
    bound = server.bind(settings.emulator_host, settings.emulator_port, ending)
    endpoint = f"http://{settings.emulator_host}:{bound.bind_addr[1]}"
    failures: list[int] = []

    def create() -> None:
        if status := _create(settings.model_copy(update={"endpoint_url": endpoint})):
            failures.append(status)
            ending.set()
            bound.stop()

    threading.Thread(target=create, daemon=True).start()
    server.serve_until_terminated(bound, ending)
    return failures[0] if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
