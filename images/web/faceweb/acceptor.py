"""Takes connections a few at a time, so that a burst of them does not keep the event loop from all others."""

import asyncio
import errno
import socket
from collections.abc import Callable

from facecore.logs import get_logger

log = get_logger(__name__)

ACCEPTS_PER_TURN = 8
"""Connections taken in one turn of the event loop. uvloop itself takes all that wait: 500 of them take 0.1 s."""
PAUSE_S = 0.5
"""How long to leave connections to the kernel's queue when the process or the machine has no file left."""
_NO_FILES = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}


class Acceptor:
    """Listens in the way of `asyncio.Server`: `close`, then `wait_closed`. For the event loop only."""

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
                log.error("no_file_for_connection", reason=error.strerror, pause_s=PAUSE_S)
                self._loop.remove_reader(self._listener)
                self._loop.call_later(PAUSE_S, self._listen)
                return
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
