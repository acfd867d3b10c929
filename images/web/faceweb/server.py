"""uvicorn as the web tier runs it: its limits, its port, and how it stops."""

import asyncio
import resource
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from facecore.errors import UnavailableError
from facecore.logs import get_logger
from starlette.types import ASGIApp

from faceweb.acceptor import Acceptor
from faceweb.connections import KEEP_ALIVE_S, Connection
from faceweb.pending import Waiters

log = get_logger(__name__)

CANCEL_AFTER_S = 5
"""Seconds after `shutdown_s` within which whoever still waits is told so; then connections are cut."""
BACKLOG = 2048


class Server(uvicorn.Server):
    """uvicorn, told how to stop: no more connections, then `shutdown_s` for the requests in hand, then an answer."""

    def __init__(self, app: ASGIApp, waiters: Waiters, shutdown_s: float, log_level: str) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                loop="uvloop",
                http=Connection,
                ws="none",
                timeout_keep_alive=KEEP_ALIVE_S,
                timeout_graceful_shutdown=int(shutdown_s) + CANCEL_AFTER_S,
                proxy_headers=False,
                server_header=False,
                access_log=False,
                log_config=None,
                log_level=log_level,
            )
        )
        self._waiters = waiters
        self._shutdown_s = shutdown_s

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Starts the app and listens on `sockets`."""
        await super().startup(sockets=[])
        self.servers.extend(Acceptor(listener, self._connection) for listener in sockets or [])  # type: ignore[misc]

    def _connection(self) -> Connection:
        return Connection(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stops; whoever still waits after `shutdown_s` is told to come again."""
        log.info("stopping", in_hand=self._waiters.in_hand)
        stopping = UnavailableError("the program stops")
        asyncio.get_running_loop().call_later(self._shutdown_s, self._waiters.close, stopping)
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


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; raises OSError where the address cannot be had."""
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listener = socket.socket(family, kind, protocol)
    try:
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
