"""The emulator of the embedded stack as a process of its own."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.ground import ROOT, free_port, unmeasured, until

READY_IN_S = 60.0


@contextmanager
def started(log: Path) -> Iterator[str]:
    """Its URL while the block runs; `first` is deployed in it."""
    port = free_port()
    environment = unmeasured(os.environ) | {
        "EFACE_ID": "first",
        "EFACE_EMULATOR_PORT": str(port),
        "EFACE_RESOURCES_FILE": str(ROOT / "deploy/resources.yaml"),
    }
    command = [sys.executable, "-m", "facelocal.emulator", "serve"]
    with log.open("w") as stream:
        process = subprocess.Popen(command, env=environment, stdout=stream, stderr=stream)
    try:
        until(lambda: _is_ready(process, log), READY_IN_S, lambda: f"the emulator is not ready:\n{log.read_text()}")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


def _is_ready(process: subprocess.Popen[bytes], log: Path) -> bool:
    assert process.poll() is None, log.read_text()
    return "resources_ready" in log.read_text()
