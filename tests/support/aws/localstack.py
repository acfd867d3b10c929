"""LocalStack in a container of its own, with all services that its free edition has."""

from __future__ import annotations

import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import docker

IMAGE = "localstack/localstack:4.14.0"
START_S = 120.0


@contextmanager
def started() -> Iterator[str]:
    """The URL of an empty account while the block runs; the account's number is the caller's access key."""
    container = docker.from_env().containers.run(
        IMAGE,
        detach=True,
        remove=True,
        ports={"4566/tcp": ("127.0.0.1", None)},
        environment={"SQS_ENDPOINT_STRATEGY": "dynamic", "DISABLE_EVENTS": "1"},
    )
    try:
        container.reload()
        url = f"http://127.0.0.1:{container.ports['4566/tcp'][0]['HostPort']}"
        _wait(url, container)
        yield url
    finally:
        container.kill()


def _wait(url: str, container: docker.models.containers.Container) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"{url}/_localstack/health", timeout=2):
                return
        except OSError:
            time.sleep(0.3)
    raise AssertionError(f"LocalStack did not start in {START_S:g} s:\n{container.logs().decode()[-2000:]}")
