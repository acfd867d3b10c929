"""Limits below the app."""

import asyncio
import copy
from collections.abc import Callable
from typing import Any

import pytest
import uvicorn
from faceweb import connections
from faceweb.connections import Connection
from support.fakes.web import soon
from uvicorn.server import ServerState


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
    monkeypatch.setattr(connections, "HEAD_TIMEOUT_S", 0.02)
    assert sending(*[sent] if sent else [], wait_s=0.2).closed


def test_a_connection_with_a_request_under_way_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEAD_TIMEOUT_S", 0.02)
    assert not sending(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n", wait_s=0.2).closed
