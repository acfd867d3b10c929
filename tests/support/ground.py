"""What every test stands on: the checkout, the keys that emulators take, free ports, and waiting for a condition."""

import random
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import TypeVar

ROOT = Path(__file__).parents[2]
TESTS = ROOT / "tests"
FACES = TESTS / "faces"
QUERIES = FACES / "queries"
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}
# Below those that the kernel takes for outgoing connections: such a one could have the port before the program does.
_PORTS = range(20_000, 32_000)
PATIENCE_S = 60.0
"""With a machine that is loaded, before what a test waits for counts as never happening."""
Found = TypeVar("Found")


def free_port() -> int:
    """A port on the loopback that no process listens on now."""
    return free_ports(1)[0]


def free_ports(count: int) -> list[int]:
    """Ports on the loopback that no process listens on now, all different."""
    with ExitStack() as stack:
        # By chance, since tests run in several processes.
        candidates = random.SystemRandom().sample(_PORTS, len(_PORTS))
        free = (port for port in candidates if _is_bound(stack.enter_context(socket.socket()), port))
        return list(islice(free, count))


def _is_bound(probe: socket.socket, port: int) -> bool:
    try:
        probe.bind(("127.0.0.1", port))
    except OSError:
        return False
    return True


def unmeasured(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment whose programs run without coverage: it makes moto take 2.4 times as long for a call."""
    return {name: value for name, value in environment.items() if not name.startswith("COVERAGE_")}


def until(
    condition: Callable[[], Found],
    timeout_s: float = PATIENCE_S,
    failure: str | Callable[[], str] = "it did not happen",
    pause_s: float = 0.1,
) -> Found:
    """What `condition` returns once that is true; raises AssertionError with `failure` after `timeout_s`.

    The time is patience with a loaded machine, not a promise: a test of a promise measures the time itself.
    """
    deadline = time.monotonic() + timeout_s
    while not (found := condition()):
        if time.monotonic() >= deadline:
            raise AssertionError(f"{failure() if callable(failure) else failure} after {timeout_s:g} s")
        time.sleep(pause_s)
    return found
