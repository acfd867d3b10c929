"""The stacks of the end-to-end tests: the one that is named, or those of their own in E2E_STACKS."""

import os
import shutil
from collections.abc import Iterator

import pytest
from support.aws import cloud as clouds
from support.aws.cloud import Cloud
from support.stacks import compose, machine_build
from support.stacks import images as container_images
from support.stacks.compose import ComposeStack
from support.stacks.embedded import EmbeddedStack, started
from support.stacks.machine_build import BuiltMachine
from support.stacks.stack import Stack

# Read before the suite clears the environment of a user's own settings.
_WEB_URL = os.environ.get("E2E_WEB_URL")
_AWS_URL = os.environ.get("E2E_AWS_URL")
_ENGINE = os.environ.get("E2E_ENGINE", "onnx")
_KINDS = ["named"] if _WEB_URL and _AWS_URL else os.environ.get("E2E_STACKS", "embedded,compose").split(",")


@pytest.fixture(scope="session", params=_KINDS)
def stack(request: pytest.FixtureRequest, credentials: None) -> Stack:
    """A whole stack with the demo gallery, idle."""
    found: Stack = (
        Stack(str(_WEB_URL), str(_AWS_URL))
        if request.param == "named"
        else request.getfixturevalue(f"{request.param}_stack")
    )
    found.wait_until_idle(60)
    return found


@pytest.fixture(scope="session")
def embedded_stack(credentials: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedStack]:
    """An embedded stack with the real recogniser."""
    with started(tmp_path_factory.mktemp("embedded"), EFACE_ENGINE=_ENGINE) as stack:
        yield stack


@pytest.fixture(scope="session")
def compose_stack(credentials: None) -> Iterator[ComposeStack]:
    """A compose stack with the real recogniser."""
    compose.require_engine()
    with compose.started(EFACE_ENGINE=_ENGINE) as stack:
        yield stack


@pytest.fixture(scope="session")
def cloud(credentials: None) -> Iterator[Cloud]:
    """An empty account of an emulated AWS, with a registry, for machines."""
    compose.require_engine()
    with clouds.running_cloud() as cloud:
        yield cloud


@pytest.fixture(scope="session")
def built_machine(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BuiltMachine]:
    """The machine image, built by Packer in the account, with the worker of this checkout."""
    if not shutil.which("packer"):
        compose.skip("packer is not installed")
    worker = cloud.push(container_images.built("worker"), "elastic-face/worker")
    built = machine_build.build(cloud, worker, tmp_path_factory.mktemp("ami"))
    yield built
    machine_build.remove(cloud, built)
