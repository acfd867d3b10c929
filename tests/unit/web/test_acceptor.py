"""Connections are taken a few per turn of the event loop, and none is lost."""

import asyncio
import errno
import socket
from collections.abc import Iterator

import pytest
from faceweb import acceptor
from faceweb.acceptor import ACCEPTS_PER_TURN, Acceptor
from faceweb.server import listen

HOST = "127.0.0.1"


class Greeting(asyncio.Protocol):
    """Says hello and closes."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.write(b"hello")
        transport.close()


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with listen(HOST, 0) as listening:
        yield listening


def _connected(listener: socket.socket, count: int) -> list[socket.socket]:
    return [socket.create_connection(listener.getsockname()) for _ in range(count)]


def _greeting(client: socket.socket) -> bytes:
    with client:
        client.settimeout(5)
        return client.recv(16)


def test_takes_a_burst_a_few_connections_per_turn(listener: socket.socket) -> None:
    clients = _connected(listener, 100)
    made: list[Greeting] = []

    def make() -> Greeting:
        made.append(Greeting())
        return made[-1]

    async def serve() -> list[int]:
        accepting, per_turn = Acceptor(listener, make), []
        while len(made) < len(clients):
            before = len(made)
            await asyncio.sleep(0)
            per_turn.append(len(made) - before)
        await asyncio.sleep(0.1)
        accepting.close()
        await accepting.wait_closed()
        return per_turn

    assert max(asyncio.run(serve())) <= ACCEPTS_PER_TURN
    assert {_greeting(client) for client in clients} == {b"hello"}


class _OutOfFiles:
    """A listener whose first connection finds no file left in the process."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self.refusals = 1

    def accept(self) -> tuple[socket.socket, object]:
        if self.refusals:
            self.refusals -= 1
            raise OSError(errno.EMFILE, "Too many open files")
        return self._listener.accept()

    def __getattr__(self, name: str) -> object:
        return getattr(self._listener, name)


def test_waits_and_goes_on_when_no_file_is_left(listener: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acceptor, "PAUSE_S", 0.05)
    (client,) = _connected(listener, 1)

    async def serve() -> None:
        accepting = Acceptor(_OutOfFiles(listener), Greeting)  # type: ignore[arg-type]
        await asyncio.sleep(0.3)
        accepting.close()
        await accepting.wait_closed()

    asyncio.run(serve())
    assert _greeting(client) == b"hello"


def test_takes_nothing_after_it_was_closed(listener: socket.socket) -> None:
    async def serve() -> bool:
        accepting = Acceptor(listener, Greeting)
        accepting.close()
        await accepting.wait_closed()
        (client,) = _connected(listener, 1)
        client.setblocking(False)
        with client:
            try:
                return bool(await asyncio.wait_for(asyncio.get_running_loop().sock_recv(client, 16), 0.2))
            except TimeoutError:
                return False

    assert not asyncio.run(serve())
