"""A client's connection below the app: limits on what comes before a request is understood."""

import asyncio
import uuid

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD_BYTES = 32 * 1024
"""A request's line and headers may take this much, and so may the trailers of a chunked body."""
HEAD_TIMEOUT_S = 15.0
"""A connection with no request under way at two checks in a row, this far apart, is closed."""
KEEP_ALIVE_S = 10
_BAD_REQUEST = b"bad_request: this is not HTTP that can be understood; POST a photograph to / or read /docs"


class Connection(HttpToolsProtocol):
    """uvicorn's httptools protocol with what it lacks: limits on the size of a head and on how long one may take.

    Without them a client that sends headers without end fills the memory, and one that opens connections and sends
    nothing, or a byte now and then, holds them for ever.
    """

    _timer: asyncio.TimerHandle | None = None
    _was_idle = False
    _head_bytes = 0
    """Bytes received since a head, or a piece of a body, was last complete."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Starts to watch the connection."""
        super().connection_made(transport)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends the watch."""
        if self._timer:
            self._timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parses what came, and refuses a head that is too large."""
        self._head_bytes += len(data)
        super().data_received(data)
        if self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            self.send_400_response("head too large")

    def on_headers_complete(self) -> None:
        """Notes that the head is over."""
        self._head_bytes = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Notes that a piece of the body came."""
        self._head_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Notes that the body is over."""
        self._head_bytes = 0
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Answers what is not HTTP in the way that the app answers; after half a response there is no way to."""
        if self.cycle is None or self.cycle.response_complete or not self.cycle.response_started:
            self.transport.write(_bad_request(str(uuid.uuid4())))
        self.transport.close()

    def _watch(self) -> None:
        self._timer = self.loop.call_later(HEAD_TIMEOUT_S, self._check)

    def _check(self) -> None:
        idle = self.cycle is None or self.cycle.response_complete
        if idle and self._was_idle:
            self.transport.close()
            return
        self._was_idle = idle
        self._watch()


def _bad_request(request_id: str) -> bytes:
    head = (
        "HTTP/1.1 400 Bad Request",
        "content-type: text/plain; charset=utf-8",
        f"content-length: {len(_BAD_REQUEST)}",
        f"x-request-id: {request_id}",
        "connection: close",
    )
    return "\r\n".join(head).encode() + b"\r\n\r\n" + _BAD_REQUEST
