"""The stacks of the end-to-end tests: the one that is named, or those of their own in E2E_STACKS."""

import os
from collections.abc import Iterator

import compose_stack as compose
import pytest
from compose_stack import ComposeStack
from embedded_stack import EmbeddedStack, started
from stack import Stack

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
