"""Fixtures that all tests share: emulators of AWS, and a fresh deployment in one."""

import logging
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from facecore.aws import Aws
from facelocal.emulator import resources
from facelocal.settings import EmulatorSettings
from support import sharing
from support.aws import emulator, localstack
from support.ground import CREDENTIALS, ROOT
from support.requirements import require_engine
from xdist.remote import Producer


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items[:] = sharing.in_order(items)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> sharing.Scheduling:
    return sharing.Scheduling(config, log)


@pytest.fixture(scope="session", autouse=True)
def credentials() -> Iterator[None]:
    """The keys that emulators take, in this process's environment, and no user's own settings of AWS."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(("AWS_", "EFACE_"))]:
            patch.delenv(name)
        for name, value in CREDENTIALS.items():
            patch.setenv(name, value)
        yield


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """Programs configure logging for the whole process, and here that is many tests'."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers, root.level = handlers, level
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def aws_endpoint(credentials: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of an emulator that runs until the tests end."""
    with emulator.started(tmp_path_factory.mktemp("emulator") / "log") as url:
        yield url


@pytest.fixture(scope="session")
def localstack_url(credentials: None) -> Iterator[str]:
    """URL of a LocalStack that runs until the tests end; a caller's access key of twelve digits is its account."""
    require_engine()
    with localstack.started() as url:
        yield url


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
