"""Processes that are killed in the middle of their work, and requests that kill their workers."""

import time
from concurrent.futures import Future, ThreadPoolExecutor

import httpx
import pytest
from facecore.queues import SqsQueue
from support.fakes.crashing_worker import SLOW_S
from support.ground import PATIENCE_S, until
from support.stacks.embedded import EmbeddedStack
from support.stacks.stack import Answer
from support.uploads import Upload, photograph

pytestmark = pytest.mark.alone

MAX_INSTANCES = 15
VISIBILITY_S = 6.0
"""How long the request of a worker that died stays hidden, by default."""


def _in_background(stack: EmbeddedStack, name: str, content: bytes) -> Future[Answer]:
    return ThreadPoolExecutor(1).submit(stack.send, name, content)


def test_a_worker_killed_in_the_middle_of_a_request_costs_the_client_seconds_only(fragile: EmbeddedStack) -> None:
    fragile.wait_until_idle()
    pending = _in_background(fragile, "slow.jpg", b"SLOW")
    until(lambda: _in_flight(fragile))
    (worker,) = fragile.workers().values()
    worker.kill()
    killed_at = time.monotonic()
    answer = pending.result(timeout=PATIENCE_S)
    assert (answer.status, answer.text) == (200, "slow.jpg:unknown")
    # The request is hidden once more at most, while the hypervisor starts the worker again, and takes its time once.
    # A second hiding would make it two; what lies between is for a machine that is loaded.
    assert time.monotonic() - killed_at < 2 * VISIBILITY_S + SLOW_S


def _in_flight(stack: EmbeddedStack) -> int:
    return SqsQueue(stack.client("sqs"), stack.settings.request_queue).depth().in_flight


def test_a_message_that_always_crashes_its_worker_ends_in_the_dead_queue(fragile: EmbeddedStack) -> None:
    fragile.wait_until_idle()
    poison = _in_background(fragile, "poison.jpg", b"CRASH")
    until(lambda: _in_flight(fragile))
    others = fragile.burst([Upload(f"healthy-{i}.jpg", b"fine") for i in range(10)])
    assert [answer.text for answer in others] == [f"healthy-{i}.jpg:unknown" for i in range(10)]
    until(lambda: fragile.depth(fragile.settings.dead_queue) == 1, 90)
    assert fragile.depth(fragile.settings.request_queue) == 0
    assert not poison.done()


def test_a_killed_controller_comes_back_and_the_next_burst_scales(fragile: EmbeddedStack) -> None:
    fragile.wait_until_idle()
    controller = fragile.process("controller")
    controller.kill()
    with fragile.watched() as fleet:
        answers = fragile.burst([Upload(f"after-{i}.jpg", b"SLOW") for i in range(40)])
    assert all(answer.status == 200 for answer in answers)
    assert max(fleet.running) == MAX_INSTANCES
    assert fragile.process("controller").pid != controller.pid


def test_a_killed_web_process_comes_back_and_serves(embedded_stack: EmbeddedStack) -> None:
    embedded_stack.process("web").kill()
    until(lambda: _answers(embedded_stack))
    answer = embedded_stack.send("back.jpg", photograph("obama2.jpg"))
    assert answer.text == "back.jpg:Barack Obama"


def _answers(stack: EmbeddedStack) -> bool:
    try:
        return stack.send("probe.txt", b"no photograph").status == 415
    except httpx.TransportError:
        return False


def test_workers_survive_a_killed_hypervisor_and_their_requests_are_answered(fragile: EmbeddedStack) -> None:
    fragile.wait_until_idle()
    with ThreadPoolExecutor(1) as pool:
        # Five for each worker, so that all of them work until the next hypervisor is there.
        pending = pool.submit(fragile.burst, [Upload(f"adopted-{i}.jpg", b"SLOW") for i in range(75)])
        until(lambda: len(fragile.workers()) == MAX_INSTANCES)
        before = {worker.pid for worker in fragile.workers().values()}
        _replace_hypervisor(fragile)
        after = {worker.pid for worker in fragile.workers().values()}
        answers = pending.result(timeout=120)
    assert all(answer.status == 200 for answer in answers)
    assert after
    assert after <= before
    fragile.wait_until_idle()
    assert fragile.workers() == {}


def _replace_hypervisor(stack: EmbeddedStack) -> None:
    """Kills it, and waits until the next one has looked at EC2 and the workers once."""
    hypervisor = stack.process("hypervisor")
    hypervisor.kill()
    hypervisor.wait(PATIENCE_S)
    heartbeat = stack.run_dir / "heartbeat"
    heartbeat.unlink()
    until(heartbeat.exists)
