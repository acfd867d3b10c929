"""Containers that are killed or paused in the middle of a burst: no accepted request is lost or answered wrongly."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import docker
import docker.errors
import pytest
from support.stacks import compose
from support.stacks.compose import ComposeStack
from support.stacks.stack import Answer, Upload

PAUSE_S = 20.0
UNAVAILABLE = 503
AWS_THREADS = 16


@pytest.fixture(scope="module")
def fragile(credentials: None) -> Iterator[ComposeStack]:
    """A stack whose workers answer at once, so that the tiers are what is tested."""
    compose.require_engine()
    with compose.started(EFACE_MODEL="noop", EFACE_BOOT_S="0") as stack:
        yield stack


def _until(condition: Callable[[], Any], timeout_s: float = 60) -> Any:
    deadline = time.monotonic() + timeout_s
    while not (value := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)
    return value


def _burst(stack: ComposeStack, prefix: str, count: int) -> Future[list[Answer]]:
    uploads = [Upload(f"{prefix}-{i}.jpg", b"a photograph") for i in range(count)]
    return ThreadPoolExecutor(1).submit(stack.burst, uploads)


def _assert_all_right(answers: list[Answer]) -> None:
    assert [answer for answer in answers if (answer.status, answer.text) != (200, f"{answer.name}:unknown")] == []


def _killed(stack: ComposeStack, service: str) -> None:
    """Kills a service and starts it again, as an operator would: the engine leaves what was killed by hand alone."""
    container = stack.service(service)
    container.kill()
    time.sleep(2)
    container.start()


def _froze(container: Any) -> bool:
    """Pauses a container. Some kernels cannot freeze one at the moment in which it makes a process."""
    try:
        container.pause()
    except docker.errors.APIError as error:
        if "unable to freeze" not in str(error):
            raise
        return False
    return True


def test_a_burst_survives_a_killed_worker(fragile: ComposeStack) -> None:
    fragile.wait_until_idle(60)
    burst = _burst(fragile, "worker", 200)
    worker = _until(fragile.workers)[0]
    _until(lambda: fragile.keys(fragile.settings.out_bucket, "worker-"))
    worker.kill()
    _assert_all_right(burst.result(timeout=200))


@pytest.mark.parametrize("service", ["controller", "hypervisor"])
def test_a_burst_survives_a_killed_service(fragile: ComposeStack, service: str) -> None:
    fragile.wait_until_idle(60)
    burst = _burst(fragile, service, 200)
    _until(fragile.workers)
    _killed(fragile, service)
    _assert_all_right(burst.result(timeout=200))
    fragile.wait_until_idle(60)
    _until(lambda: not fragile.workers())


def test_requests_that_a_killed_web_tier_accepted_are_still_carried_out(fragile: ComposeStack) -> None:
    fragile.wait_until_idle(60)
    with ThreadPoolExecutor(50) as pool:
        pending = [pool.submit(fragile.send, f"web-{i}.jpg", b"a photograph") for i in range(200)]
        _until(fragile.workers)
        _killed(fragile, "web")
        answers = [future.result() for future in pending if future.exception(timeout=200) is None]
    _assert_all_right([answer for answer in answers if answer.status != UNAVAILABLE])
    # Whoever was cut off can send again; what it had sent before has its result.
    stored = set(fragile.keys(fragile.settings.in_bucket, "web-"))
    _until(lambda: fragile.depth(fragile.settings.request_queue) == 0)
    results = set(fragile.keys(fragile.settings.out_bucket, "web-"))
    assert results <= stored
    # A photograph may have been stored, and its request not sent yet: at most one for each thread that calls AWS.
    assert len(stored - results) <= AWS_THREADS
    _until(lambda: fragile.service("web").health == "healthy")
    assert fragile.send("again.jpg", b"a photograph").text == "again.jpg:unknown"
    assert fragile.depth(fragile.settings.dead_queue) == 0


def test_a_burst_survives_an_aws_that_does_not_answer_for_20_seconds(fragile: ComposeStack) -> None:
    fragile.wait_until_idle(60)
    burst = _burst(fragile, "paused", 200)
    _until(fragile.workers)
    localstack = fragile.service("localstack")
    _until(lambda: _froze(localstack))
    try:
        time.sleep(PAUSE_S)
    finally:
        localstack.unpause()
    answers = burst.result(timeout=240)
    accepted = [answer for answer in answers if answer.status != UNAVAILABLE]
    assert accepted
    _assert_all_right(accepted)
    fragile.wait_until_idle(60)
