"""What stands around the routes: a request's id, headers of every response, faults, fairness, bodies left unread."""

import asyncio
import uuid
from collections import deque
from contextlib import suppress
from http import HTTPMethod

from facecore.logs import get_logger
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from faceweb import answers
from faceweb.answers import Answer

log = get_logger(__name__)

REQUEST_ID = "X-Request-Id"
# nginx's lingering_time and lingering_timeout.
LINGER_S = 30.0
LINGER_IDLE_S = 5.0
# Each start takes about half a millisecond of the event loop.
STARTS_PER_TURN = 4
METHOD_NOT_ALLOWED = 405

_EVERYWHERE = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
}


class RequestMiddleware:
    """The ASGI app around all others.

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
        # HEAD is answered as GET is; the server leaves the body out.
        scope = {**scope, "method": "GET"} if scope["method"] == "HEAD" else scope
        request_id = str(uuid.uuid4())
        # The client's own id is not taken over: this one is also the id of the message and of the log lines.
        scope.setdefault("state", {})["request_id"] = request_id
        call = _Call(scope, receive, send, self._linger_s, self._linger_idle_s)
        try:
            # Uploads wait for their turn; probes and pages pass between them.
            if call.body_left:
                await self._turns.wait()
            await self._app(scope, call.receive, call.send)
        except asyncio.CancelledError:
            # Only the server cancels a request: at the very end of its shutdown.
            log.warning("request_cut_off", request_id=request_id)
            await call.answer(answers.unavailable(request_id))
        except Exception:
            log.exception("request_fault", request_id=request_id)
            # Half a response cannot be mended; the server cuts the connection.
            if call.started and not call.ended:
                raise
            await call.answer(answers.internal(request_id))


class _Call:
    """One request and its response, as they pass."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, linger_s: float, linger_idle_s: float) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._linger_s = linger_s
        self._linger_idle_s = linger_idle_s
        self._lingers = False
        headers = Headers(scope=scope)
        self.body_left = "transfer-encoding" in headers or headers.get("content-length", "0") != "0"
        self.started = False
        self.ended = False

    async def receive(self) -> Message:
        """Passes on what the client sent, and notes when that was all."""
        message = await self._receive()
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            self.body_left = False
        return message

    async def send(self, message: Message) -> None:
        """Passes on what the app sends, with the headers that every response carries."""
        if message["type"] == "http.response.start":
            self.started = True
            self._lingers = self.body_left
            headers = MutableHeaders(scope=message)
            headers[REQUEST_ID] = self._scope["state"]["request_id"]
            # The pages bring a policy of their own.
            for name, value in _EVERYWHERE.items():
                headers.setdefault(name, value)
            if self._lingers:
                headers["Connection"] = "close"
            await self._send(message)
        elif self._lingers and not message.get("more_body", False):
            # The server keeps the connection until the last message, which waits for the rest of the body.
            await self._send({**message, "more_body": True})
            await self._drain()
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})
            self.ended = True
        else:
            await self._send(message)
            self.ended = self.started and not message.get("more_body", False)

    async def answer(self, answer: Answer) -> None:
        """Sends an answer of the middleware's own, unless a response has started."""
        if not self.started:
            await answer.as_text()(self._scope, self.receive, self.send)

    async def _drain(self) -> None:
        loop = asyncio.get_running_loop()
        until_s = loop.time() + self._linger_s
        with suppress(TimeoutError):
            while self.body_left and loop.time() < until_s:
                async with asyncio.timeout(self._linger_idle_s):
                    await self.receive()


class Turns:
    """Lets a burst of requests start a few at a time, in order, so that others pass in between.

    For the event loop only.
    """

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
            # A client that left while it waited has cancelled its turn.
            if not (turn := self._queue.popleft()).done():
                turn.set_result(None)
        if self._queue:
            asyncio.get_running_loop().call_soon(self._start_some)


async def unrouted(request: Request, error: Exception) -> Response:
    """Exception handler of HTTPException: 404, 405 and the like, in the form of all other answers."""
    assert isinstance(error, HTTPException)  # noqa: S101 - it is registered for nothing else
    if error.status_code != METHOD_NOT_ALLOWED:
        return answers.of_status(error.status_code).as_text()
    # Starlette names the methods of the first route of the address only.
    allowed = [
        method
        for method in HTTPMethod
        if any(
            route.matches({**request.scope, "method": "GET" if method == "HEAD" else method})[0] is Match.FULL
            for route in request.app.routes
        )
    ]
    return answers.of_status(METHOD_NOT_ALLOWED).as_text({"Allow": ", ".join(allowed)})


async def fault(request: Request, _error: Exception) -> Response:
    """Exception handler of all other errors: 500. Starlette raises the error on to RequestMiddleware, which logs it."""
    return answers.internal(request.state.request_id).as_text()
