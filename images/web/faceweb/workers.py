"""A request's way through AWS: store the photograph, send the message, wait for the reply."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Executor
from typing import IO, Protocol, TypeVar

from facecore.errors import ResultTimeoutError
from facecore.logs import get_logger
from facecore.messages import Reply, Request

from faceweb.pending import Waiters
from faceweb.upload import Upload

log = get_logger(__name__)
T = TypeVar("T")


class ClientGoneError(Exception):
    """The client closed its connection before it was answered. Control flow: it never leaves this program."""


class Store(Protocol):
    """What is asked of the in-bucket; `facecore.objects.Bucket` is one."""

    def put(
        self, key: str, content: bytes | IO[bytes], *, content_type: str = ..., metadata: dict[str, str] | None = ...
    ) -> str:
        """Stores an object and returns its version id."""


class Outbox(Protocol):
    """What is asked of the request queue; `facecore.queues.Queue` is one."""

    def send(self, body: str) -> None:
        """Appends a message."""


class Exchange:
    """Turns an upload into a reply."""

    def __init__(
        self,
        *,
        store: Store,
        outbox: Outbox,
        waiters: Waiters,
        threads: Executor,
        reply_to: str,
        result_timeout_s: float,
    ) -> None:
        self._store = store
        self._outbox = outbox
        self._waiters = waiters
        self._threads = threads
        self._reply_to = reply_to
        self._result_timeout_s = result_timeout_s

    async def ask(self, request_id: str, upload: Upload, gone: "asyncio.Future[None]") -> Reply:
        """The workers' reply to a photograph.

        `gone` ends when the client closes its connection; then ClientGoneError is raised and the reply, if there ever
        is one, is dropped. Raises the AWS errors of `facecore.errors`, ResultTimeoutError when no reply came in time,
        and whatever `Waiters.close` was given.
        """
        with upload:
            version = await self._run(lambda: self._put(request_id, upload))
        if gone.done():
            raise ClientGoneError
        request = Request(
            id=request_id, key=upload.filename, version=version, reply_to=self._reply_to, sent_at=time.time()
        )
        with self._waiters.expect(request_id) as reply:
            await self._run(lambda: self._outbox.send(request.encode()))
            log.info("request_sent", request_id=request_id, size_bytes=upload.spool.size_bytes)
            return await self._first(reply, gone)

    async def _run(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)

    def _put(self, request_id: str, upload: Upload) -> str:
        return self._store.put(
            upload.filename,
            upload.spool.content,
            content_type="application/octet-stream",
            metadata={"request-id": request_id},
        )

    async def _first(self, reply: "asyncio.Future[Reply]", gone: "asyncio.Future[None]") -> Reply:
        await asyncio.wait((reply, gone), timeout=self._result_timeout_s, return_when=asyncio.FIRST_COMPLETED)
        if reply.done():
            return reply.result()
        if gone.done():
            raise ClientGoneError
        raise ResultTimeoutError(f"no result came within {self._result_timeout_s:g} s; send the photograph again later")
