"""A client's connection below the app: limits on what comes before a request is understood."""

import asyncio
import uuid
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

MAX_HEAD_BYTES = 32 * 1024
"""A request's line and headers, or a chunk's header and trailers, may take this much."""
HEAD_TIMEOUT_S = 15.0
"""A connection with no request under way at two checks in a row, this far apart, is closed."""
KEEP_ALIVE_S = 10
_BAD_REQUEST = b"bad_request: this is not HTTP that can be understood; POST a photograph to / or read /docs"


class Connection(H11Protocol):
    """uvicorn's h11 protocol, whose parser limits heads, with a limit on how long a head may take.

    Without it a client that opens connections and sends nothing, or a byte now and then, holds them for ever.
    """

    _head_timer: asyncio.TimerHandle | None = None
    _was_idle = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Starts to watch the connection."""
        super().connection_made(transport)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends the watch."""
        if self._head_timer:
            self._head_timer.cancel()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """Answers what is not HTTP in the way that the app answers; after half a response there is no way to."""
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            self.transport.close()
            return
        headers = [
            ("content-type", "text/plain; charset=utf-8"),
            ("content-length", str(len(_BAD_REQUEST))),
            ("connection", "close"),
            ("x-request-id", str(uuid.uuid4())),
        ]
        for event in (h11.Response(status_code=400, headers=headers), h11.Data(data=_BAD_REQUEST), h11.EndOfMessage()):
            self._write(event)
        self.transport.close()

    def _write(self, event: Any) -> None:
        if data := self.conn.send(event):
            self.transport.write(data)

    def _watch(self) -> None:
        self._head_timer = self.loop.call_later(HEAD_TIMEOUT_S, self._check)

    def _check(self) -> None:
        idle = self.cycle is None or self.cycle.response_complete
        if idle and self._was_idle:
            self.transport.close()
            return
        self._was_idle = idle
        self._watch()
