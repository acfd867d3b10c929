"""Containers that tests start beside a stack, each with a port on this computer."""

import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from support.ground import until

READY_IN_S = 120.0


@contextmanager
def published(engine: Any, image: str, port: int, ready_path: str, **options: Any) -> Iterator[str]:
    """URL of a container's port once it answers on `ready_path`; the container is gone when the block ends."""
    ports = {f"{port}/tcp": ("127.0.0.1", None)}
    container = engine.containers.run(image, detach=True, ports=ports, **options)
    try:
        container.reload()
        url = f"http://127.0.0.1:{container.ports[f'{port}/tcp'][0]['HostPort']}"
        until(
            lambda: _answers(url + ready_path),
            READY_IN_S,
            lambda: f"{image} does not answer:\n{container.logs().decode()[-2000:]}",
        )
        yield url
    finally:
        container.remove(force=True, v=True)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
