"""One thread that long-polls the reply queue and hands every reply to the event loop."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from threading import Event, Thread
from typing import Protocol

from facecore.aws import LONG_POLL_S
from facecore.errors import AwsError, DecodeError
from facecore.logs import get_logger
from facecore.messages import Reply
from facecore.queues import MAX_BATCH, Message

from faceweb.metrics import Metrics
from faceweb.pending import Waiters

log = get_logger(__name__)

READ_TIMEOUT_S = LONG_POLL_S + 10
"""Read timeout of the dispatcher's own client, above the length of a long poll."""
HIDDEN_S = 5
"""How long a received reply stays hidden until it is deleted, which takes milliseconds. A reply that a process took
with its last poll, and did not live to use, is seen so soon by the process that replaces it."""
FIRST_PAUSE_S = 0.25
MAX_PAUSE_S = 5.0
"""Longest pause after failures: so late, at most, are replies seen once AWS answers again."""
# Below the readiness check's own limit of 3 s, so that the reason is logged rather than a timeout.
FIRST_POLL_S = 2.0
"""How long a check waits for the first poll to end."""
STALLED_S = 4 * READ_TIMEOUT_S
"""A dispatcher whose last poll ended longer ago than all of a poll's retries take is stuck."""


class Inbox(Protocol):
    """What is asked of the reply queue; `facecore.queues.Queue` is one."""

    def receive(self, *, max_messages: int, wait_s: int, visibility_s: int) -> list[Message]:
        """Waits for messages."""

    def delete(self, receipts: Sequence[str]) -> None:
        """Deletes received messages in batches."""


class Dispatcher:
    """Receives replies for as long as the process lives.

    `deliver` gets the decoded replies of a poll and the number of those that could not be decoded, in the dispatcher's
    thread; it raises RuntimeError when nobody is left to take them (a closed event loop), which ends the dispatcher.

    All are deleted right after, in one batch. A deletion that fails makes them come again as duplicates. The thread is
    a daemon and nothing waits for its poll at shutdown: by then this process's clients have been answered or given up,
    so what the poll still brings is either for nobody or for the next process, which gets it after `HIDDEN_S`.
    """

    def __init__(
        self,
        inbox: Inbox,
        deliver: Callable[[list[Reply], int], None],
        *,
        clock: Callable[[], float] = time.monotonic,
        first_pause_s: float = FIRST_PAUSE_S,
        first_poll_s: float = FIRST_POLL_S,
    ) -> None:
        self._inbox = inbox
        self._deliver = deliver
        self._clock = clock
        self._first_pause_s = first_pause_s
        self._first_poll_s = first_poll_s
        self._answered = Event()
        """Set while the last poll succeeded."""
        self._stopped = Event()
        self._failures = 0
        self._polled_at = clock()
        self._thread = Thread(target=self._work, name="dispatcher", daemon=True)

    def start(self) -> None:
        """Starts to receive."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread after the poll that it is at; returns at once."""
        self._stopped.set()

    def join(self, timeout_s: float) -> None:
        """Waits for the thread to end."""
        self._thread.join(timeout_s)

    def check(self) -> None:
        """Raises RuntimeError, which says what is wrong, unless replies are being received."""
        if not self._thread.is_alive():
            raise RuntimeError("the dispatcher's thread does not run")
        if self._failures:
            raise RuntimeError(f"the last {self._failures} polls of the reply queue failed")
        # Right after the start no poll has ended, which says nothing yet.
        if not self._answered.wait(self._first_poll_s):
            raise RuntimeError("the first poll of the reply queue has not succeeded yet")
        if self._clock() - self._polled_at > STALLED_S:
            raise RuntimeError(f"no poll of the reply queue ended within {STALLED_S} s")

    def _work(self) -> None:
        while not self._stopped.is_set():
            try:
                self._poll()
                self._failures = 0
                self._answered.set()
            except AwsError as error:
                self._pause("reply_poll_failed", reason=str(error), aws_code=error.aws_code)
            except Exception:
                # Without this thread nobody is ever answered, so no fault may end it.
                log.exception("dispatcher_fault")
                self._pause("dispatcher_continues")
            self._polled_at = self._clock()

    def _poll(self) -> None:
        # While it is not known whether the queue answers, a short poll finds out at once; a long one takes 20 s.
        wait_s = LONG_POLL_S if self._answered.is_set() else 0
        messages = self._inbox.receive(max_messages=MAX_BATCH, wait_s=wait_s, visibility_s=HIDDEN_S)
        if not messages:
            return
        replies = [reply for message in messages if (reply := _decoded(message))]
        try:
            self._deliver(replies, len(messages) - len(replies))
        except RuntimeError:
            self._stopped.set()
            return
        self._inbox.delete([message.receipt for message in messages])

    def _pause(self, event: str, **details: str) -> None:
        self._failures += 1
        self._answered.clear()
        longest_s = min(self._first_pause_s * 2 ** min(self._failures - 1, 16), MAX_PAUSE_S)
        pause_s = longest_s * random.uniform(0.5, 1)  # noqa: S311 - it only spreads the retries of several hosts
        log.warning(event, failures=self._failures, pause_s=round(pause_s, 2), **details)
        self._stopped.wait(pause_s)


class Replies:
    """Takes every reply of `inbox` to the one who waits for it, and counts those that nobody gets."""

    def __init__(self, inbox: Inbox, waiters: Waiters, metrics: Metrics) -> None:
        self._inbox = inbox
        self._waiters = waiters
        self._metrics = metrics
        self._dispatcher: Dispatcher | None = None

    @asynccontextmanager
    async def received(self) -> AsyncIterator[None]:
        """Receives replies for as long as the context lasts; leaving it does not wait for the poll under way."""
        loop = asyncio.get_running_loop()

        def hand_over(replies: list[Reply], undecodable: int) -> None:
            loop.call_soon_threadsafe(self._deliver, replies, undecodable)

        self._dispatcher = Dispatcher(self._inbox, hand_over)
        self._dispatcher.start()
        try:
            yield
        finally:
            self._dispatcher.stop()

    def check(self) -> None:
        """Raises RuntimeError unless replies are being received."""
        if self._dispatcher is None:
            raise RuntimeError("the dispatcher has not started")
        self._dispatcher.check()

    def _deliver(self, replies: list[Reply], undecodable: int) -> None:
        self._metrics.replies_undecodable(undecodable)
        for reply in replies:
            fate = self._waiters.deliver(reply)
            self._metrics.reply_received(reply, fate)
            log.info("reply_received", request_id=reply.id, fate=fate.value, instance_id=reply.instance)


def _decoded(message: Message) -> Reply | None:
    try:
        return Reply.decode(message.body)
    except DecodeError as error:
        log.warning("reply_undecodable", reason=str(error), receive_count=message.receive_count)
        return None
