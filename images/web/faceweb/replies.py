"""The way of replies: from the reply queue, which one thread polls, to the requests that await them."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from threading import Event, Thread

from facecore.aws import LONG_POLL_S
from facecore.errors import AwsError, DecodeError
from facecore.logs import get_logger
from facecore.messages import Reply
from facecore.queues import MAX_BATCH, Queue

from faceweb.metrics import Metrics
from faceweb.pending import Pending

log = get_logger(__name__)

# Of the dispatcher's own client: above the length of a long poll.
READ_TIMEOUT_S = LONG_POLL_S + 10
# A reply is deleted milliseconds after it was received. One that a process received with its last poll, and did not
# live to deliver, is visible again this soon to the process that replaces it.
HIDDEN_S = 5
FIRST_PAUSE_S = 0.25
# Replies are seen this late, at most, once AWS answers again.
MAX_PAUSE_S = 5.0
# Below the 3 s of a readiness check, so that the reason is logged rather than a timeout.
FIRST_POLL_S = 2.0
# Longer than a poll with all its retries.
STALLED_S = 4 * READ_TIMEOUT_S


class Dispatcher(Thread):
    """Receives replies for as long as the process lives.

    `deliver` gets the decoded replies of a poll and the number of those that could not be decoded, in this thread.
    It raises RuntimeError once its event loop is closed, which ends the thread.
    """

    def __init__(
        self,
        queue: Queue,
        deliver: Callable[[list[Reply], int], object],
        *,
        clock: Callable[[], float] = time.monotonic,
        first_pause_s: float = FIRST_PAUSE_S,
        first_poll_s: float = FIRST_POLL_S,
    ) -> None:
        # A daemon, and its poll is not awaited at shutdown: by then all clients of this process are answered, so what
        # the poll still brings is for the process that replaces it, which sees it after HIDDEN_S.
        super().__init__(name="dispatcher", daemon=True)
        self._queue = queue
        self._deliver = deliver
        self._clock = clock
        self._first_pause_s = first_pause_s
        self._first_poll_s = first_poll_s
        self._stopping = Event()
        self._answers = Event()
        """Set while the queue answers: from a poll that succeeded to one that failed."""
        self._failures = 0
        self._polled_at = clock()

    def stop(self) -> None:
        """Ends the thread after the poll that it is at; returns at once."""
        self._stopping.set()

    def check(self) -> None:
        """Raises RuntimeError, which says what is wrong, unless replies are being received."""
        if not self.is_alive():
            raise RuntimeError("the dispatcher's thread does not run")
        if self._failures:
            raise RuntimeError(f"the last {self._failures} polls of the reply queue failed")
        # Right after the start no poll has ended, which says nothing yet.
        if not self._answers.wait(self._first_poll_s):
            raise RuntimeError("the first poll of the reply queue has not succeeded yet")
        if self._clock() - self._polled_at > STALLED_S:
            raise RuntimeError(f"no poll of the reply queue ended within {STALLED_S} s")

    def run(self) -> None:
        """Polls until `stop`."""
        while not self._stopping.is_set():
            try:
                self._poll()
                self._failures = 0
                self._answers.set()
            except AwsError as error:
                self._pause("reply_poll_failed", reason=str(error), aws_code=error.aws_code)
            except Exception:
                # Without this thread no request is answered, so no fault may end it.
                log.exception("dispatcher_fault")
                self._pause("dispatcher_continues")
            self._polled_at = self._clock()

    def _poll(self) -> None:
        # While it is not known whether the queue answers, a short poll finds out at once; a long one takes 20 s.
        wait_s = LONG_POLL_S if self._answers.is_set() else 0
        messages = self._queue.receive(max_messages=MAX_BATCH, wait_s=wait_s, visibility_s=HIDDEN_S)
        if not messages:
            return
        replies: list[Reply] = []
        for message in messages:
            try:
                replies.append(Reply.decode(message.body))
            except DecodeError as error:
                log.warning("reply_undecodable", reason=str(error), receive_count=message.receive_count)
        try:
            self._deliver(replies, len(messages) - len(replies))
        except RuntimeError:
            self._stopping.set()
            return
        # A deletion that fails makes them come again, as duplicates.
        self._queue.delete([message.receipt for message in messages])

    def _pause(self, event: str, **details: str) -> None:
        self._failures += 1
        self._answers.clear()
        longest_s = min(self._first_pause_s * 2 ** min(self._failures - 1, 16), MAX_PAUSE_S)
        pause_s = longest_s * random.uniform(0.5, 1)  # noqa: S311 - it only spreads the retries of several hosts
        log.warning(event, failures=self._failures, pause_s=round(pause_s, 2), **details)
        self._stopping.wait(pause_s)


class Replies:
    """Takes each reply of `queue` to the request that awaits it, and counts those that no request awaits."""

    def __init__(self, queue: Queue, pending: Pending, metrics: Metrics) -> None:
        self._queue = queue
        self._pending = pending
        self._metrics = metrics
        self._dispatcher: Dispatcher | None = None

    @asynccontextmanager
    async def receiving(self) -> AsyncIterator[None]:
        """Receives replies for as long as the context lasts; leaving it does not wait for the poll under way."""
        loop = asyncio.get_running_loop()
        self._dispatcher = Dispatcher(
            self._queue, lambda replies, undecodable: loop.call_soon_threadsafe(self._deliver, replies, undecodable)
        )
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
            delivery = self._pending.deliver(reply)
            self._metrics.reply_received(reply, delivery)
            log.info("reply_received", request_id=reply.id, delivery=delivery.value, instance_id=reply.instance)
