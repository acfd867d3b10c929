"""The heartbeat: extends while the request is in hand, not after, and whatever fails."""

import threading
import time
from collections.abc import Callable

import pytest
from facecore.errors import AwsError, UnavailableError
from faceworker.heartbeat import BEATS, Heartbeat

PATIENCE_S = 30


class Extensions:
    """A queue that notes what was extended and may fail."""

    def __init__(self, wanted: int, error: Exception | None = None) -> None:
        self.calls: list[tuple[str, int]] = []
        self.reached = threading.Event()
        self._wanted = wanted
        self._error = error

    def extend(self, receipt: str, visibility_s: int) -> None:
        self.calls.append((receipt, visibility_s))
        if len(self.calls) >= self._wanted:
            self.reached.set()
        if self._error:
            raise self._error


def heartbeat(
    queue: Extensions,
    *,
    limit_s: float = PATIENCE_S,
    give_up: Callable[[], None] = lambda: pytest.fail("gave up"),
    interval_s: float | None = 0.001,
) -> Heartbeat:
    return Heartbeat(queue, visibility_s=6, limit_s=limit_s, give_up=give_up, interval_s=interval_s)


def test_a_request_in_hand_is_extended_again_and_again() -> None:
    queue = Extensions(wanted=3)
    with heartbeat(queue).during("receipt-1"):
        assert queue.reached.wait(PATIENCE_S)
    assert set(queue.calls) == {("receipt-1", 6)}


def test_nothing_is_extended_after_the_block() -> None:
    queue = Extensions(wanted=1)
    with heartbeat(queue).during("receipt-1"):
        assert queue.reached.wait(PATIENCE_S)
    assert not [thread for thread in threading.enumerate() if thread.name == "heartbeat"]
    count = len(queue.calls)
    time.sleep(0.02)
    assert len(queue.calls) == count


def test_it_stops_where_the_block_raises() -> None:
    with pytest.raises(KeyError), heartbeat(Extensions(wanted=1)).during("receipt-1"):
        raise KeyError
    assert not [thread for thread in threading.enumerate() if thread.name == "heartbeat"]


@pytest.mark.parametrize("error", [UnavailableError("no answer"), ValueError("a bug")])
def test_a_failure_is_survived_and_the_next_beat_comes(error: AwsError | ValueError) -> None:
    queue = Extensions(wanted=3, error=error)
    with heartbeat(queue).during("receipt-1"):
        assert queue.reached.wait(PATIENCE_S)


def test_a_quick_request_is_never_extended() -> None:
    queue = Extensions(wanted=1)
    with heartbeat(queue, interval_s=None).during("receipt-1"):
        pass
    assert queue.calls == []


def test_two_beats_may_fail_within_a_visibility() -> None:
    assert BEATS == 3


def test_a_request_that_hangs_is_given_up_and_extended_no_more() -> None:
    queue, gave_up = Extensions(wanted=1), threading.Event()
    with heartbeat(queue, limit_s=0, give_up=gave_up.set).during("receipt-1"):
        assert gave_up.wait(PATIENCE_S)
    assert queue.calls == []
