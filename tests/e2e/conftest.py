"""The stacks of the end-to-end tests: the one that is named, or those of their own in E2E_STACKS."""

import os
from collections.abc import Iterator
from contextlib import nullcontext
from functools import partial
from typing import cast

import pytest
from support.aws import cloud as clouds
from support.aws.cloud import Cloud
from support.ground import TESTS
from support.requirements import require_engine, require_program
from support.stacks import compose, embedded, machine_build
from support.stacks import images as container_images
from support.stacks.compose import ComposeStack
from support.stacks.embedded import EmbeddedStack
from support.stacks.machine_build import BuiltMachine
from support.stacks.stack import Stack
from support.stacks.turns import Turns

# Read before the suite clears the environment of a user's own settings.
_WEB_URL = os.environ.get("E2E_WEB_URL")
_AWS_URL = os.environ.get("E2E_AWS_URL")
_ENGINE = os.environ.get("E2E_ENGINE", "onnx")
_KINDS = ["named"] if _WEB_URL and _AWS_URL else os.environ.get("E2E_STACKS", "embedded,compose").split(",")
# Workers that answer at once, so that the tiers are what is tested, on machines that boot at once and end soon.
_FRAGILE = {"EFACE_MODEL": "noop", "EFACE_BOOT_S": "0", "EFACE_IDLE_S": "2"}
_CRASHING = {"EFACE_WORKER": "support.fakes.crashing_worker:run", "PYTHONPATH": str(TESTS)}


@pytest.fixture(scope="session")
def turns(credentials: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Turns]:
    """The stacks by name, started when a test needs them."""
    folder = tmp_path_factory.mktemp
    starts = {
        "named": lambda: nullcontext(Stack(str(_WEB_URL), str(_AWS_URL))),
        "embedded": lambda: embedded.started(folder("embedded"), measured=False, EFACE_ENGINE=_ENGINE),
        "fragile": lambda: embedded.started(folder("fragile"), measured=False, **_FRAGILE, **_CRASHING),
        "compose": partial(compose.started, EFACE_ENGINE=_ENGINE),
        "fragile_compose": partial(compose.started, **_FRAGILE),
    }
    with Turns(starts) as turns:
        yield turns


@pytest.fixture(params=_KINDS)
def stack(request: pytest.FixtureRequest, turns: Turns) -> Stack:
    """A whole stack with the demo gallery and the real recogniser."""
    if request.param == "compose":
        require_engine()
    return turns.stack(request.param)


@pytest.fixture
def embedded_stack(turns: Turns) -> EmbeddedStack:
    """An embedded stack with the real recogniser."""
    return cast(EmbeddedStack, turns.stack("embedded"))


@pytest.fixture
def fragile(turns: Turns) -> EmbeddedStack:
    """An embedded stack whose workers are slow, hang or die where the image's first bytes say so."""
    return cast(EmbeddedStack, turns.stack("fragile"))


@pytest.fixture
def compose_stack(turns: Turns) -> ComposeStack:
    """A compose stack with the real recogniser."""
    require_engine()
    return cast(ComposeStack, turns.stack("compose"))


@pytest.fixture
def fragile_compose(turns: Turns) -> ComposeStack:
    """A compose stack whose workers answer at once."""
    require_engine()
    return cast(ComposeStack, turns.stack("fragile_compose"))


@pytest.fixture(scope="session")
def cloud(credentials: None) -> Iterator[Cloud]:
    """An empty account of an emulated AWS, with a registry, for machines."""
    require_engine()
    with clouds.running_cloud() as cloud:
        yield cloud


@pytest.fixture(scope="session")
def built_machine(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BuiltMachine]:
    """The machine image, built by Packer in the account, with the worker of this checkout."""
    require_program("packer")
    worker = cloud.push(container_images.built("worker"), "elastic-face/worker")
    built = machine_build.build(cloud, worker, tmp_path_factory.mktemp("ami"))
    yield built
    machine_build.remove(cloud, built)
