"""uvicorn as the web tier runs it: its limits, its port, how it takes connections, and how it stops."""

import asyncio
import errno
import resource
import signal
import socket
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import uvicorn
from facecore.errors import UnavailableError
from facecore.logs import get_logger
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from faceweb.pending import Pending

log = get_logger(__name__)

# After `shutdown_s` requests in hand are answered with an error, for which they get this long.
CANCEL_AFTER_S = 5
BACKLOG = 2048
# uvloop itself takes all connections that wait: 500 of them hold the event loop for 0.1 s.
ACCEPTS_PER_TURN = 8
# Without a free file descriptor, connections stay in the kernel's queue for this long.
ACCEPT_PAUSE_S = 0.5
# Of a request's line and headers, and of the trailers of a chunked body.
MAX_HEAD_BYTES = 32 * 1024
# A connection with no request under way at two checks in a row, this far apart, is closed.
HEAD_TIMEOUT_S = 15.0
KEEP_ALIVE_S = 10

_NO_FILES = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
_BAD_REQUEST = b"bad_request: this is not HTTP that can be understood; POST a photograph to / or read /docs"


class Server(uvicorn.Server):
    """uvicorn, told how to stop: no more connections, then `shutdown_s` for the requests in hand, then an answer."""

    def __init__(self, app: ASGIApp, pending: Pending, shutdown_s: float, log_level: str) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                loop="uvloop",
                http=Connection,
                ws="none",
                timeout_keep_alive=KEEP_ALIVE_S,
                timeout_graceful_shutdown=int(shutdown_s) + CANCEL_AFTER_S,
                # Clients connect directly: what they say of a proxy is not to be believed.
                proxy_headers=False,
                server_header=False,
                # Each request is logged once, with its id and outcome, by faceweb.recognise.
                access_log=False,
                # facecore.logs has set the logs up.
                log_config=None,
                log_level=log_level,
            )
        )
        self._pending = pending
        self._shutdown_s = shutdown_s

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Starts the app and listens on `sockets`."""
        # Without sockets uvicorn starts the app and listens nowhere; the listening is the acceptors'.
        await super().startup(sockets=[])
        connect = partial(Connection, config=self.config, server_state=self.server_state, app_state=self.lifespan.state)
        self.servers.extend(Acceptor(listener, connect) for listener in sockets or [])  # type: ignore[misc]

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stops; a request that still waits after `shutdown_s` is told to come again."""
        log.info("stopping", in_hand=self._pending.in_hand)
        stopping = UnavailableError("the program stops")
        asyncio.get_running_loop().call_later(self._shutdown_s, self._pending.close, stopping)
        await super().shutdown(sockets)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Unlike uvicorn's own, does not raise the signal once more at the end: a clean stop is status 0."""
        previous = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)


class Acceptor:
    """Takes connections a few at a time, so that a burst of them does not keep the event loop from all others.

    Has what uvicorn uses of `asyncio.Server`: `close`, then `wait_closed`. For the event loop only.
    """

    def __init__(self, listener: socket.socket, make_protocol: Callable[[], asyncio.Protocol]) -> None:
        self._listener = listener
        self._make_protocol = make_protocol
        self._loop = asyncio.get_running_loop()
        self._connecting: set[asyncio.Task[object]] = set()
        self._closed = False
        listener.setblocking(False)
        self._listen()

    def close(self) -> None:
        """Takes no further connection; those that it took live on."""
        self._closed = True
        self._loop.remove_reader(self._listener)

    async def wait_closed(self) -> None:
        """Returns when each connection that it took has its protocol."""
        if self._connecting:
            await asyncio.wait(self._connecting)

    def _listen(self) -> None:
        if not self._closed:
            self._loop.add_reader(self._listener, self._accept)

    def _accept(self) -> None:
        for _ in range(ACCEPTS_PER_TURN):
            try:
                connection, _ = self._listener.accept()
            except BlockingIOError:
                return
            except ConnectionAbortedError:
                continue
            except OSError as error:
                if error.errno not in _NO_FILES:
                    raise
                log.error("no_file_for_connection", reason=error.strerror, pause_s=ACCEPT_PAUSE_S)
                self._loop.remove_reader(self._listener)
                self._loop.call_later(ACCEPT_PAUSE_S, self._listen)
                return
            # The event loop keeps weak references to its tasks only.
            task = self._loop.create_task(self._connect(connection))
            self._connecting.add(task)
            task.add_done_callback(self._connecting.discard)

    async def _connect(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        try:
            await self._loop.connect_accepted_socket(self._make_protocol, connection)
        except OSError as error:
            # It was closed, by its client or by us, before it was served.
            connection.close()
            log.info("connection_lost", reason=str(error))


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
        self._timer = self.loop.call_later(HEAD_TIMEOUT_S, self._close_if_idle)

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
        """Answers what is not HTTP in the form of the app's answers, unless half a response is sent already."""
        if self.cycle is None or self.cycle.response_complete or not self.cycle.response_started:
            head = (
                "HTTP/1.1 400 Bad Request",
                "content-type: text/plain; charset=utf-8",
                f"content-length: {len(_BAD_REQUEST)}",
                f"x-request-id: {uuid.uuid4()}",
                "connection: close",
            )
            self.transport.write("\r\n".join(head).encode() + b"\r\n\r\n" + _BAD_REQUEST)
        self.transport.close()

    def _close_if_idle(self) -> None:
        idle = self.cycle is None or self.cycle.response_complete
        if idle and self._was_idle:
            self.transport.close()
            return
        self._was_idle = idle
        self._timer = self.loop.call_later(HEAD_TIMEOUT_S, self._close_if_idle)


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; raises OSError where the address cannot be listened on."""
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listener = socket.socket(family, kind, protocol)
    try:
        # Else a restarted program waits for a minute until the connections of the former one are forgotten.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except BaseException:
        listener.close()
        raise
    return listener


def allow_open_files(count: int) -> None:
    """Raises this process's soft limit on open files to `count`, as far as its hard limit lets it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count if hard == resource.RLIM_INFINITY else min(count, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
