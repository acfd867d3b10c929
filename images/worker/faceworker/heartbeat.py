"""Keeps a request hidden from other workers while it is in hand, and ends a worker that hangs on one."""

import contextvars
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from facecore.errors import AwsError
from facecore.logs import get_logger
from facecore.queues import Queue

_log = get_logger(__name__)

# Extensions within one visibility timeout: two may fail before another worker gets the request.
BEATS = 3


class Heartbeat:
    """Extends a message's visibility from a thread of its own, every third of that visibility.

    After `limit_s` it calls `give_up`, which has to end the process. The message is then received again by another
    worker, and moved to the dead queue after the third time.
    """

    def __init__(
        self,
        queue: Queue,
        *,
        visibility_s: int,
        limit_s: float,
        give_up: Callable[[], None],
        steady_s: Callable[[], float] = time.monotonic,
        interval_s: float | None = None,
    ) -> None:
        self._queue = queue
        self._visibility_s = visibility_s
        self._limit_s = limit_s
        self._give_up = give_up
        self._steady_s = steady_s
        self._interval_s = visibility_s / BEATS if interval_s is None else interval_s

    @contextmanager
    def during(self, receipt: str) -> Iterator[None]:
        """Extends the message while the block runs."""
        done = threading.Event()
        # The caller's context carries the request's id into the thread's log lines.
        context = contextvars.copy_context()
        thread = threading.Thread(target=context.run, args=(self._beat, receipt, done), name="heartbeat", daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def _beat(self, receipt: str, done: threading.Event) -> None:
        started_s = self._steady_s()
        while not done.wait(self._interval_s):
            # Without this bound a hung recogniser would keep its message hidden, and its instance running, for ever.
            if self._steady_s() - started_s > self._limit_s:
                _log.error("request_hung", limit_s=self._limit_s)
                # Nothing less than the end of the process ends a native call that hangs.
                self._give_up()
                return
            try:
                self._queue.extend(receipt, self._visibility_s)
            except AwsError as error:
                _log.warning("heartbeat_failed", error=str(error), error_type=type(error).__name__)
            except Exception:
                # A thread that dies would let the request slip away in silence.
                _log.exception("heartbeat_broken")
