"""The stack that the end-to-end tests run against: the one that is named, or an embedded one of their own."""

import os
from collections.abc import Iterator

import pytest
from embedded_stack import EmbeddedStack, started
from stack import Stack

# Read before the suite clears the environment of a user's own settings.
_WEB_URL = os.environ.get("E2E_WEB_URL")
_AWS_URL = os.environ.get("E2E_AWS_URL")


@pytest.fixture(scope="session")
def stack(request: pytest.FixtureRequest, credentials: None) -> Stack:
    """A whole stack with the demo gallery, idle."""
    named = Stack(_WEB_URL, _AWS_URL) if _WEB_URL and _AWS_URL else None
    found: Stack = named or request.getfixturevalue("embedded_stack")
    found.wait_until_idle(60)
    return found


@pytest.fixture(scope="session")
def embedded_stack(credentials: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedStack]:
    """An embedded stack with the real recogniser."""
    with started(tmp_path_factory.mktemp("embedded")) as stack:
        yield stack
