"""Containers that are killed or paused in the middle of a burst: no accepted request is lost or answered wrongly."""

import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import docker
import docker.errors
import pytest
from support.ground import until
from support.stacks.compose import ComposeStack
from support.stacks.stack import Answer
from support.uploads import Upload

pytestmark = pytest.mark.alone

PAUSE_S = 20.0
UNAVAILABLE = 503
AWS_THREADS = 16


def _burst(stack: ComposeStack, prefix: str, count: int) -> Future[list[Answer]]:
    uploads = [Upload(f"{prefix}-{i}.jpg", b"a photograph") for i in range(count)]
    return ThreadPoolExecutor(1).submit(stack.burst, uploads)


def _assert_all_right(answers: list[Answer]) -> None:
    assert [answer for answer in answers if (answer.status, answer.text) != (200, f"{answer.name}:unknown")] == []


def _killed(stack: ComposeStack, service: str) -> None:
    """Kills a service and starts it again, as an operator would: the engine starts nothing that was killed by hand."""
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


def test_a_burst_survives_a_killed_worker(fragile_compose: ComposeStack) -> None:
    fragile_compose.wait_until_idle()
    burst = _burst(fragile_compose, "worker", 200)
    worker = until(fragile_compose.workers)[0]
    until(lambda: fragile_compose.keys(fragile_compose.settings.out_bucket, "worker-"))
    worker.kill()
    _assert_all_right(burst.result(timeout=200))


@pytest.mark.parametrize("service", ["controller", "hypervisor"])
def test_a_burst_survives_a_killed_service(fragile_compose: ComposeStack, service: str) -> None:
    fragile_compose.wait_until_idle()
    burst = _burst(fragile_compose, service, 200)
    until(fragile_compose.workers)
    _killed(fragile_compose, service)
    _assert_all_right(burst.result(timeout=200))
    fragile_compose.wait_until_idle()
    until(lambda: not fragile_compose.workers())


def test_requests_that_a_killed_web_tier_accepted_are_still_carried_out(fragile_compose: ComposeStack) -> None:
    fragile_compose.wait_until_idle()
    with ThreadPoolExecutor(50) as pool:
        pending = [pool.submit(fragile_compose.send, f"web-{i}.jpg", b"a photograph") for i in range(200)]
        until(fragile_compose.workers)
        _killed(fragile_compose, "web")
        answers = [future.result() for future in pending if future.exception(timeout=200) is None]
    _assert_all_right([answer for answer in answers if answer.status != UNAVAILABLE])
    # A client that was cut off can send again; what it had sent before has its result.
    stored = set(fragile_compose.keys(fragile_compose.settings.in_bucket, "web-"))
    until(lambda: fragile_compose.depth(fragile_compose.settings.request_queue) == 0)
    results = set(fragile_compose.keys(fragile_compose.settings.out_bucket, "web-"))
    assert results <= stored
    # A photograph may have been stored, and its request not sent yet: at most one for each thread that calls AWS.
    assert len(stored - results) <= AWS_THREADS
    until(lambda: fragile_compose.service("web").health == "healthy")
    assert fragile_compose.send("again.jpg", b"a photograph").text == "again.jpg:unknown"
    assert fragile_compose.depth(fragile_compose.settings.dead_queue) == 0


def test_a_burst_survives_an_aws_that_does_not_answer_for_20_seconds(fragile_compose: ComposeStack) -> None:
    fragile_compose.wait_until_idle()
    burst = _burst(fragile_compose, "paused", 200)
    until(fragile_compose.workers)
    localstack = fragile_compose.service("localstack")
    until(lambda: _froze(localstack))
    try:
        time.sleep(PAUSE_S)
    finally:
        localstack.unpause()
    answers = burst.result(timeout=240)
    accepted = [answer for answer in answers if answer.status != UNAVAILABLE]
    assert accepted
    _assert_all_right(accepted)
    fragile_compose.wait_until_idle()
