"""The port, how connections are taken from it, and limits below the app."""

import asyncio
import copy
import errno
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import uvicorn
from faceweb import server
from faceweb.server import ACCEPTS_PER_TURN, Acceptor, Connection, listen
from support.fakes.web import soon
from uvicorn.server import ServerState

HOST = "127.0.0.1"


def test_a_free_port_is_found_and_can_be_connected_to() -> None:
    with listen(HOST, 0) as listener, socket.create_connection(listener.getsockname(), timeout=5):
        assert listener.getsockname()[1] > 0


def test_a_taken_port_and_a_strange_host_are_refused() -> None:
    with listen(HOST, 0) as listener, pytest.raises(OSError, match="in use"):
        listen(HOST, listener.getsockname()[1])
    with pytest.raises(OSError, match=r".+"):
        listen("no.such.host.invalid", 0)


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
    monkeypatch.setattr(server, "ACCEPT_PAUSE_S", 0.05)
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


class Transport(asyncio.Transport):
    """Notes what was written, and whether it was closed."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closed = False

    def write(self, data: Any) -> None:
        self.written += bytes(data)

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        return

    def resume_reading(self) -> None:
        return


async def app(_scope: Any, receive: Callable[[], Any], send: Callable[[Any], Any]) -> None:
    """Answers once the body was read."""
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def sending(*pieces: bytes, wait_s: float = 0.01) -> Transport:
    """The transport of a connection on which a client sent `pieces`, as it is `wait_s` later."""

    async def scenario() -> Transport:
        config = uvicorn.Config(app, log_config=None, lifespan="off")
        connection, transport = Connection(config, ServerState(), {}), Transport()
        connection.connection_made(transport)
        for piece in pieces:
            if not transport.closed:
                connection.data_received(piece)
        await asyncio.sleep(wait_s)
        seen = copy.copy(transport)
        connection.connection_lost(None)
        return seen

    return soon(scenario())


def test_a_request_passes() -> None:
    assert sending(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").written.startswith(b"HTTP/1.1 204")


def test_a_large_body_is_no_large_head() -> None:
    head = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunk = b"2710\r\n" + b"x" * 10_000 + b"\r\n"
    assert sending(head, *[chunk] * 10, b"0\r\n\r\n").written.startswith(b"HTTP/1.1 204")


@pytest.mark.parametrize(
    "start",
    [
        b"GET /",
        b"GET / HTTP/1.1\r\nX: ",
        b"\r\n" * 10,
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nTrailer: ",
    ],
)
def test_a_head_without_end_is_refused(start: bytes) -> None:
    more = b"\r\n" if start.endswith(b"\n") else b"x"
    transport = sending(start, *[more * (1000 // len(more))] * 50)
    assert transport.closed
    assert transport.written.startswith(b"HTTP/1.1 400")


@pytest.mark.parametrize(
    "garbage", [b"\0\1\2\r\n\r\n", b"GET\r\n\r\n", b"\x16\x03\x01\x02\x00", b"GET / HTTP/9.9\r\n\r\n"]
)
def test_what_is_not_http_is_answered_in_our_form(garbage: bytes) -> None:
    transport = sending(garbage)
    assert transport.closed
    assert b"\r\nx-request-id: " in transport.written
    assert b"\r\n\r\nbad_request: " in transport.written


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"])
def test_a_connection_without_a_request_is_closed_in_the_end(sent: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "HEAD_TIMEOUT_S", 0.02)
    assert sending(*[sent] if sent else [], wait_s=0.2).closed


def test_a_connection_with_a_request_under_way_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "HEAD_TIMEOUT_S", 0.02)
    assert not sending(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n", wait_s=0.2).closed
