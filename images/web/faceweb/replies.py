"""Joins the dispatcher's thread to the waiters on the event loop."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from facecore.logs import get_logger
from facecore.messages import Reply

from faceweb.dispatcher import Dispatcher, Inbox
from faceweb.metrics import Metrics
from faceweb.waiters import Waiters

log = get_logger(__name__)


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
