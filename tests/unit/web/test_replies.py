"""The thread that polls the reply queue."""

import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from facecore.aws import LONG_POLL_S
from facecore.errors import AccessError, UnavailableError
from facecore.messages import Reply
from faceweb.replies import STALLED_S, Dispatcher
from support.fakes.web import SharedQueue, reply, until

ID = str(uuid.uuid4())


class Desk:
    """Takes what a dispatcher delivers."""

    def __init__(self) -> None:
        self.replies: list[Reply] = []
        self.undecodable = 0
        self.failures: list[Exception] = []

    def deliver(self, replies: list[Reply], undecodable: int) -> None:
        if self.failures:
            raise self.failures.pop(0)
        self.replies += replies
        self.undecodable += undecodable


@contextmanager
def dispatching(queue: SharedQueue, desk: Desk) -> Iterator[Dispatcher]:
    dispatcher = Dispatcher(queue, desk.deliver, first_pause_s=0.001)
    dispatcher.start()
    try:
        yield dispatcher
    finally:
        dispatcher.stop()
        dispatcher.join(10)


@pytest.fixture
def queue() -> SharedQueue:
    return SharedQueue("replies")


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_replies_are_delivered_and_deleted(queue: SharedQueue, desk: Desk) -> None:
    for n in range(25):
        queue.send(reply(ID, f"Anna {n}").encode())
    with dispatching(queue, desk):
        until(lambda: queue.depth().total == 0)
    assert [got.subject for got in desk.replies] == [f"Anna {n}" for n in range(25)]


@pytest.mark.parametrize(
    "garbage", ["", "not JSON", "{}", '{"v":2}', "[" * 1000, reply(ID).encode().replace(ID, "no uuid")]
)
def test_what_cannot_be_decoded_is_counted_deleted_and_does_not_stop_the_others(
    queue: SharedQueue, desk: Desk, garbage: str
) -> None:
    queue.send(garbage)
    queue.send(reply(ID).encode())
    with dispatching(queue, desk):
        until(lambda: queue.depth().total == 0)
    assert (desk.undecodable, [got.id for got in desk.replies]) == (1, [ID])


@pytest.mark.parametrize("failure", [UnavailableError("down"), AccessError("denied"), KeyError("a bug"), MemoryError()])
def test_it_goes_on_after_any_failure(queue: SharedQueue, desk: Desk, failure: Exception) -> None:
    queue.journal.failures["receive"] = [failure] * 5
    queue.send(reply(ID).encode())
    with dispatching(queue, desk) as dispatcher:
        until(lambda: bool(desk.replies))
        until(lambda: len(queue.waits_s) >= 8)
        dispatcher.check()


def test_while_polls_fail_it_says_so_and_waits_longer_each_time(queue: SharedQueue, desk: Desk) -> None:
    queue.journal.failures["receive"] = [UnavailableError("down")] * 1000
    with dispatching(queue, desk) as dispatcher:
        until(lambda: len(queue.waits_s) >= 3)
        with pytest.raises(RuntimeError, match="polls of the reply queue failed"):
            dispatcher.check()
        until(lambda: len(queue.waits_s) >= 6)
    assert len(queue.waits_s) < 20


def test_replies_that_could_not_be_delivered_are_received_again(queue: SharedQueue, desk: Desk) -> None:
    desk.failures = [KeyError("a bug")]
    queue.send(reply(ID).encode())
    with dispatching(queue, desk):
        until(lambda: queue.depth().total == 0)
    assert queue.journal.steps == ["send", "receive", "receive", "delete"]
    assert [got.id for got in desk.replies] == [ID]


def test_it_ends_when_the_event_loop_is_closed(queue: SharedQueue, desk: Desk) -> None:
    desk.failures = [RuntimeError("Event loop is closed")]
    queue.send(reply(ID).encode())
    with dispatching(queue, desk) as dispatcher:
        dispatcher.join(10)
        with pytest.raises(RuntimeError, match="does not run"):
            dispatcher.check()
    assert queue.journal.steps == ["send", "receive"]


def test_a_poll_that_never_ends_is_noticed(queue: SharedQueue, desk: Desk) -> None:
    now_s, hangs, released = [0.0], threading.Event(), threading.Event()
    dispatcher = Dispatcher(queue, desk.deliver, clock=lambda: now_s[0])
    dispatcher.start()
    dispatcher.check()
    queue.journal.before = lambda _step: hangs.set() or released.wait(10)
    assert hangs.wait(10)
    now_s[0] = STALLED_S + 1
    with pytest.raises(RuntimeError, match="no poll"):
        dispatcher.check()
    dispatcher.stop()
    released.set()
    dispatcher.join(10)


def test_it_is_not_ready_before_its_first_poll_has_ended(queue: SharedQueue, desk: Desk) -> None:
    released = threading.Event()
    queue.journal.before = lambda _step: released.wait(10)
    dispatcher = Dispatcher(queue, desk.deliver, first_poll_s=0.01)
    dispatcher.start()
    with pytest.raises(RuntimeError, match="first poll"):
        dispatcher.check()
    released.set()
    until(lambda: len(queue.waits_s) > 1)
    dispatcher.check()
    dispatcher.stop()


def test_a_check_right_after_the_start_waits_for_the_first_poll(queue: SharedQueue, desk: Desk) -> None:
    queue.journal.before = lambda _step: time.sleep(0.1)
    with dispatching(queue, desk) as dispatcher:
        dispatcher.check()


def test_the_first_poll_and_one_after_a_failure_return_at_once(queue: SharedQueue, desk: Desk) -> None:
    def fail(_step: str) -> None:
        if len(queue.waits_s) == 3:
            raise UnavailableError("down")

    queue.journal.before = fail
    with dispatching(queue, desk):
        until(lambda: len(queue.waits_s) >= 5)
    assert queue.waits_s[:5] == [0, LONG_POLL_S, LONG_POLL_S, 0, LONG_POLL_S]
