"""Processes that are killed in the middle of their work, and requests that kill their workers."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from support.ground import TESTS
from support.stacks.embedded import EmbeddedStack, started
from support.stacks.stack import Answer, Upload, photograph, photographs

ANSWERED_AFTER_KILL_S = 15.0


@pytest.fixture(scope="module")
def fragile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedStack]:
    """A stack whose workers are slow, hang or die where the image's first bytes say so."""
    with started(
        tmp_path_factory.mktemp("fragile"),
        EFACE_MODEL="noop",
        EFACE_BOOT_S="0",
        EFACE_WORKER="support.fakes.crashing_worker:run",
        PYTHONPATH=str(TESTS),
    ) as stack:
        yield stack


def _until(condition: Callable[[], Any], timeout_s: float = 30) -> Any:
    deadline = time.monotonic() + timeout_s
    while not (value := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
    return value


def _in_background(stack: EmbeddedStack, name: str, content: bytes) -> Future[Answer]:
    return ThreadPoolExecutor(1).submit(stack.send, name, content)


def test_a_worker_killed_in_the_middle_of_a_request_costs_the_client_seconds_only(fragile: EmbeddedStack) -> None:
    fragile.wait_until_idle(30)
    pending = _in_background(fragile, "slow.jpg", b"SLOW")
    (worker,) = _until(fragile.workers).values()
    _until(lambda: "in_hand" in _worker_log(fragile) or _received(fragile))
    worker.kill()
    killed_at = time.monotonic()
    answer = pending.result(timeout=60)
    assert (answer.status, answer.text) == (200, "slow.jpg:unknown")
    assert time.monotonic() - killed_at < ANSWERED_AFTER_KILL_S


def _worker_log(stack: EmbeddedStack) -> str:
    return "".join(path.read_text() for path in (stack.run_dir / "logs").glob("worker-*.log"))


def _received(stack: EmbeddedStack) -> bool:
    attributes = stack.client("sqs").get_queue_attributes(
        QueueUrl=stack.client("sqs").get_queue_url(QueueName=stack.settings.request_queue)["QueueUrl"],
        AttributeNames=["ApproximateNumberOfMessagesNotVisible"],
    )
    return attributes["Attributes"]["ApproximateNumberOfMessagesNotVisible"] == "1"


def test_a_message_that_always_crashes_its_worker_ends_in_the_dead_queue(fragile: EmbeddedStack) -> None:
    fragile.wait_until_idle(60)
    poison = _in_background(fragile, "poison.jpg", b"CRASH")
    _until(lambda: _received(fragile))
    others = fragile.burst([Upload(f"healthy-{i}.jpg", b"fine") for i in range(10)])
    assert [answer.text for answer in others] == [f"healthy-{i}.jpg:unknown" for i in range(10)]
    _until(lambda: fragile.depth(fragile.settings.dead_queue) == 1, 90)
    assert fragile.depth(fragile.settings.request_queue) == 0
    assert not poison.done()


def test_a_killed_controller_comes_back_and_the_next_burst_scales(fragile: EmbeddedStack) -> None:
    fragile.wait_until_idle(90)
    controller = fragile.process("controller")
    controller.kill()
    with fragile.watched() as fleet:
        answers = fragile.burst([Upload(f"after-{i}.jpg", b"SLOW") for i in range(40)])
    assert all(answer.status == 200 for answer in answers)
    assert max(fleet.running) == 15
    assert fragile.process("controller").pid != controller.pid


def test_a_killed_web_process_comes_back_and_serves(embedded_stack: EmbeddedStack) -> None:
    embedded_stack.process("web").kill()
    _until(lambda: _answers(embedded_stack))
    answer = embedded_stack.send("back.jpg", photograph("obama2.jpg"))
    assert answer.text == "back.jpg:Barack Obama"


def _answers(stack: EmbeddedStack) -> bool:
    try:
        return stack.send("probe.txt", b"no photograph").status == 415
    except OSError:
        return False
    except Exception as error:
        if type(error).__module__.startswith("httpx"):
            return False
        raise


def test_workers_survive_a_killed_hypervisor_and_their_requests_are_answered(fragile: EmbeddedStack) -> None:
    fragile.wait_until_idle(60)
    uploads, _ = zip(*photographs(20, "adopted"), strict=True)
    slow = [Upload(upload.name, b"SLOW") for upload in uploads]
    with ThreadPoolExecutor(1) as pool:
        pending = pool.submit(fragile.burst, slow)
        before = _until(lambda: len(fragile.workers()) == 15 and fragile.workers())
        fragile.process("hypervisor").kill()
        answers = pending.result(timeout=120)
    assert all(answer.status == 200 for answer in answers)
    assert {worker.pid for worker in before.values()}
    fragile.wait_until_idle(60)
    assert fragile.workers() == {}
