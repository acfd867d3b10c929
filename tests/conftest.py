"""Fixtures that all tests share: an emulator of AWS as a process of its own, and a fresh deployment in it."""

import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from facecore.aws import Aws
from facelocal.emulator import resources
from facelocal.settings import EmulatorSettings
from support.ground import CREDENTIALS, ROOT, free_port


@pytest.fixture(scope="session", autouse=True)
def credentials() -> Iterator[None]:
    """The keys that emulators take, in this process's environment, and no user's own settings of AWS."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(("AWS_", "EFACE_"))]:
            patch.delenv(name)
        for name, value in CREDENTIALS.items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="session")
def aws_endpoint(credentials: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of an emulator that runs as its own process until the tests end."""
    port = free_port()
    log = tmp_path_factory.mktemp("emulator") / "log"
    environment = os.environ | {
        "EFACE_ID": "first",
        "EFACE_EMULATOR_PORT": str(port),
        "EFACE_RESOURCES_FILE": str(ROOT / "deploy/resources.yaml"),
    }
    with log.open("w") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "facelocal.emulator", "serve"], env=environment, stdout=stream, stderr=stream
        )
    try:
        _wait_for("resources_ready", process, log)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


def _wait_for(event: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        if event in log.read_text():
            return
        time.sleep(0.1)
    pytest.fail(f"the emulator did not start:\n{log.read_text()}")


@pytest.fixture(scope="session")
def exported_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder with the exported networks that need no download: MTCNN and dlib-resnet-v1."""
    from faceworker.export.__main__ import main

    folder = tmp_path_factory.mktemp("networks")
    assert main({"EFACE_MODEL": "dlib-resnet-v1", "EFACE_CACHE_DIR": str(folder)}) == 0
    return folder


@pytest.fixture
def deployment(aws_endpoint: str) -> EmulatorSettings:
    """A deployment of its own for one test: versioned buckets, queues and the launch template `<id>-worker`."""
    settings = EmulatorSettings(
        id=f"t{uuid.uuid4().hex[:12]}",
        endpoint_url=aws_endpoint,
        resources_file=ROOT / "deploy/resources.yaml",
    )
    resources.create(Aws(settings), settings)
    return settings
