"""The outermost layer of the app: a request's id, headers of every response, faults, and bodies left unread."""

import asyncio
import uuid
from contextlib import suppress

from facecore.logs import get_logger
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from faceweb import answers
from faceweb.answers import Answer
from faceweb.responses import plain
from faceweb.turns import Turns

log = get_logger(__name__)

REQUEST_ID = "X-Request-Id"
# nginx's lingering_time and lingering_timeout.
LINGER_S = 30.0
LINGER_IDLE_S = 5.0

_EVERYWHERE = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
}


class Edge:
    """The ASGI app around everything else.

    A response that is sent before the request's body was read (a refusal of an upload that is too large) goes out
    at once, and the rest of the body is read and dropped for a while before the connection closes. Closing it with
    unread bytes would reset it, and most clients would then lose the response.
    """

    def __init__(self, app: ASGIApp, linger_s: float = LINGER_S, linger_idle_s: float = LINGER_IDLE_S) -> None:
        self._app = app
        self._linger_s = linger_s
        self._linger_idle_s = linger_idle_s
        self._turns = Turns()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = str(uuid.uuid4())
        scope.setdefault("state", {})["request_id"] = request_id
        call = _Call(scope, receive, send, self._linger_s, self._linger_idle_s)
        try:
            if call.has_body:
                await self._turns.wait()
            await self._app(_routed(scope), call.receive, call.send)
        except asyncio.CancelledError:
            # Only the server cancels a request: at the very end of its shutdown.
            log.warning("request_cut_off", request_id=request_id)
            await call.answer(answers.unavailable(request_id))
        except Exception:
            log.exception("request_fault", request_id=request_id)
            if call.started and not call.ended:
                raise
            await call.answer(answers.internal(request_id))


class _Call:
    """One request and its response, seen from outside."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, linger_s: float, linger_idle_s: float) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._linger_s = linger_s
        self._linger_idle_s = linger_idle_s
        self.has_body = self._body_left = _has_body(Headers(scope=scope))
        self._lingers = False
        self.started = False
        self.ended = False

    async def receive(self) -> Message:
        """Passes on what the client sent, and notes when that was all."""
        message = await self._receive()
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            self._body_left = False
        return message

    async def send(self, message: Message) -> None:
        """Passes on what the app sends, with the headers that every response carries."""
        if message["type"] == "http.response.start":
            self.started = True
            self._lingers = self._body_left
            self._complete(MutableHeaders(scope=message))
            await self._send(message)
        elif self._lingers and not message.get("more_body", False):
            await self._send({**message, "more_body": True})
            await self._drain()
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})
            self.ended = True
        else:
            await self._send(message)
            self.ended = self.started and not message.get("more_body", False)

    async def answer(self, answer: Answer) -> None:
        """Sends an answer of its own, unless a response is on its way."""
        if not self.started:
            await plain(answer)(self._scope, self.receive, self.send)

    def _complete(self, headers: MutableHeaders) -> None:
        headers[REQUEST_ID] = self._scope["state"]["request_id"]
        for name, value in _EVERYWHERE.items():
            headers.setdefault(name, value)
        if self._lingers:
            headers["Connection"] = "close"

    async def _drain(self) -> None:
        loop = asyncio.get_running_loop()
        until_s = loop.time() + self._linger_s
        with suppress(TimeoutError):
            while self._body_left and loop.time() < until_s:
                async with asyncio.timeout(self._linger_idle_s):
                    await self.receive()


def _routed(scope: Scope) -> Scope:
    """HEAD is answered as GET is; the server leaves the body out."""
    return {**scope, "method": "GET"} if scope["method"] == "HEAD" else scope


def _has_body(headers: Headers) -> bool:
    return "transfer-encoding" in headers or headers.get("content-length", "0") != "0"
