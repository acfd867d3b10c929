"""The thread that receives replies."""

import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from facecore.aws import LONG_POLL_S
from facecore.errors import AccessError, UnavailableError
from facecore.messages import Reply
from faceweb.replies import STALLED_S, Dispatcher
from support.fakes.web import FakeInbox, reply, until

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
def dispatching(inbox: FakeInbox, desk: Desk) -> Iterator[Dispatcher]:
    dispatcher = Dispatcher(inbox, desk.deliver, first_pause_s=0.001)
    dispatcher.start()
    try:
        yield dispatcher
    finally:
        dispatcher.stop()
        dispatcher.join(10)


def test_replies_are_delivered_and_deleted() -> None:
    inbox, desk = FakeInbox(), Desk()
    inbox.put(*(reply(ID, f"Anna {n}").encode() for n in range(25)))
    with dispatching(inbox, desk):
        until(lambda: len(inbox.deleted) == 25)
    assert [got.subject for got in desk.replies] == [f"Anna {n}" for n in range(25)]


@pytest.mark.parametrize(
    "garbage", ["", "not JSON", "{}", '{"v":2}', "[" * 5000, reply(ID).encode().replace(ID, "no uuid")]
)
def test_what_cannot_be_decoded_is_counted_deleted_and_does_not_stop_the_others(garbage: str) -> None:
    inbox, desk = FakeInbox(), Desk()
    inbox.put(garbage, reply(ID).encode())
    with dispatching(inbox, desk):
        until(lambda: len(inbox.deleted) == 2)
    assert (desk.undecodable, [got.id for got in desk.replies]) == (1, [ID])


@pytest.mark.parametrize("failure", [UnavailableError("down"), AccessError("denied"), KeyError("a bug"), MemoryError()])
def test_it_goes_on_after_any_failure(failure: Exception) -> None:
    inbox, desk = FakeInbox(), Desk()
    inbox.failures = [failure] * 5
    inbox.put(reply(ID).encode())
    with dispatching(inbox, desk) as dispatcher:
        until(lambda: bool(desk.replies))
        until(lambda: inbox.polls >= 8)
        dispatcher.check()


def test_while_polls_fail_it_says_so_and_waits_longer_each_time() -> None:
    inbox, desk = FakeInbox(), Desk()
    inbox.failures = [UnavailableError("down")] * 1000
    with dispatching(inbox, desk) as dispatcher:
        until(lambda: inbox.polls >= 3)
        with pytest.raises(RuntimeError, match="polls of the reply queue failed"):
            dispatcher.check()
        until(lambda: inbox.polls >= 6)
    assert inbox.polls < 20


def test_a_failed_delivery_leaves_the_messages_in_the_queue() -> None:
    inbox, desk = FakeInbox(), Desk()
    desk.failures = [KeyError("a bug")]
    inbox.put(reply(ID).encode())
    with dispatching(inbox, desk):
        until(lambda: inbox.polls >= 3)
    assert inbox.deleted == []


def test_it_ends_when_nobody_is_left_to_deliver_to() -> None:
    inbox, desk = FakeInbox(), Desk()
    desk.failures = [RuntimeError("Event loop is closed")]
    inbox.put(reply(ID).encode())
    with dispatching(inbox, desk) as dispatcher:
        dispatcher.join(10)
        with pytest.raises(RuntimeError, match="does not run"):
            dispatcher.check()
    assert inbox.deleted == []


def test_a_poll_that_never_ends_is_noticed() -> None:
    now_s = [0.0]
    inbox = FakeInbox()
    dispatcher = Dispatcher(inbox, Desk().deliver, clock=lambda: now_s[0])
    dispatcher.start()
    dispatcher.check()
    hangs = threading.Event()
    inbox.receive = lambda **_: hangs.set() or until(lambda: now_s[0] > 10 * STALLED_S) or []  # type: ignore[method-assign, func-returns-value]
    assert hangs.wait(10)
    now_s[0] = STALLED_S + 1
    with pytest.raises(RuntimeError, match="no poll"):
        dispatcher.check()
    dispatcher.stop()
    now_s[0] = 11 * STALLED_S
    dispatcher.join(10)


def test_it_is_not_ready_before_its_first_poll_has_ended() -> None:
    inbox, answered = FakeInbox(), threading.Event()
    receive = inbox.receive
    inbox.receive = lambda **call: (answered.wait(10), receive(**call))[1]  # type: ignore[method-assign]
    dispatcher = Dispatcher(inbox, Desk().deliver, first_poll_s=0.01)
    dispatcher.start()
    with pytest.raises(RuntimeError, match="first poll"):
        dispatcher.check()
    answered.set()
    until(lambda: inbox.polls > 1)
    dispatcher.check()
    dispatcher.stop()


def test_a_check_right_after_the_start_waits_for_the_first_poll() -> None:
    inbox = FakeInbox()
    dispatcher = Dispatcher(inbox, Desk().deliver)
    dispatcher.start()
    dispatcher.check()
    assert inbox.polls >= 1
    dispatcher.stop()


def test_the_first_poll_and_one_after_a_failure_return_at_once() -> None:
    inbox, waits_s = FakeInbox(), list[int]()
    receive = inbox.receive
    inbox.receive = lambda wait_s, **call: (waits_s.append(wait_s), receive(wait_s=wait_s, **call))[1]  # type: ignore[method-assign]
    with dispatching(inbox, Desk()):
        until(lambda: len(waits_s) >= 2)
        inbox.failures = [UnavailableError("down")]
        until(lambda: not inbox.failures)
        until(lambda: 0 in waits_s[2:])
        until(lambda: waits_s[-1] > 0)
    assert waits_s[:2] == [0, LONG_POLL_S]
