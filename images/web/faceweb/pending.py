"""Requests awaiting a reply, by id."""

from asyncio import Future, get_running_loop
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum

from facecore.errors import FaceError, OverloadedError
from facecore.messages import Reply

# Answered requests whose further replies count as duplicates: SQS delivers some messages twice, and where a worker dies
# between its reply and the deletion of the request, another one replies again.
REMEMBERED = 4096


class Delivery(StrEnum):
    """What became of a reply."""

    DELIVERED = "delivered"
    DUPLICATE = "duplicate"
    """Its request was answered before."""
    LATE = "late"
    """No request awaits it: it ran out of time, its client left, or it belongs to another process."""


class Pending:
    """The requests in hand, and the futures of those that await a reply. For the event loop only."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._futures: dict[str, Future[Reply]] = {}
        self._answered: OrderedDict[str, None] = OrderedDict()
        self._closed_by: FaceError | None = None
        self.in_hand = 0

    @property
    def waiting(self) -> int:
        """How many requests await a reply now."""
        return len(self._futures)

    @contextmanager
    def place(self) -> Iterator[None]:
        """Takes one of the places in hand; raises OverloadedError when there is none."""
        if self.in_hand >= self._limit:
            raise OverloadedError("too many photographs are waiting; send it again in a few seconds")
        self.in_hand += 1
        try:
            yield
        finally:
            self.in_hand -= 1

    @contextmanager
    def expect(self, request_id: str) -> Iterator[Future[Reply]]:
        """The future that gets the reply to `request_id`, for as long as the context lasts."""
        future: Future[Reply] = get_running_loop().create_future()
        if self._closed_by:
            raise self._closed_by
        self._futures[request_id] = future
        try:
            yield future
        finally:
            del self._futures[request_id]
            future.cancel()

    def deliver(self, reply: Reply) -> Delivery:
        """Hands a reply to the request that awaits it."""
        if reply.id in self._answered:
            return Delivery.DUPLICATE
        future = self._futures.get(reply.id)
        if future is None or future.done():
            return Delivery.LATE
        future.set_result(reply)
        self._answered[reply.id] = None
        if len(self._answered) > REMEMBERED:
            self._answered.popitem(last=False)
        return Delivery.DELIVERED

    def close(self, error: FaceError) -> None:
        """Ends every wait with `error`, and each that comes later."""
        self._closed_by = error
        for future in self._futures.values():
            if not future.done():
                future.set_exception(error)
