"""Fairness on the event loop: a burst of uploads starts a few at a time, so that small requests pass in between."""

import asyncio
from collections import deque

STARTS_PER_TURN = 4
"""Requests that start in one turn of the event loop; each takes about half a millisecond of it."""


class Turns:
    """Hands out turns in the order in which they were asked for. For the event loop only."""

    def __init__(self, starts_per_turn: int = STARTS_PER_TURN) -> None:
        self._starts_per_turn = starts_per_turn
        self._queue: deque[asyncio.Future[None]] = deque()

    async def wait(self) -> None:
        """Returns when it is the caller's turn; between two turns the event loop looks for other work."""
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[None] = loop.create_future()
        self._queue.append(turn)
        if len(self._queue) == 1:
            loop.call_soon(self._start_some)
        await turn

    def _start_some(self) -> None:
        for _ in range(min(self._starts_per_turn, len(self._queue))):
            if not (turn := self._queue.popleft()).done():
                turn.set_result(None)
        if self._queue:
            asyncio.get_running_loop().call_soon(self._start_some)
