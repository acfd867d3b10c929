"""The way to the workers and back: store the image, send the request, wait for the reply."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TypeVar

from facecore.errors import ResultTimeoutError
from facecore.logs import get_logger
from facecore.messages import Reply, Request
from facecore.objects import Bucket
from facecore.queues import Queue

from faceweb.pending import Pending
from faceweb.upload import Upload

log = get_logger(__name__)
T = TypeVar("T")


class ClientGoneError(Exception):
    """The client closed its connection before it was answered. Control flow: it never leaves this program."""


class Workers:
    """The workers, as a request sees them."""

    def __init__(
        self,
        *,
        images: Bucket,
        requests: Queue,
        reply_to: str,
        pending: Pending,
        threads: Executor,
        result_timeout_s: float,
    ) -> None:
        self._images = images
        self._requests = requests
        self._reply_to = reply_to
        self._pending = pending
        self._threads = threads
        self._result_timeout_s = result_timeout_s

    async def ask(self, request_id: str, upload: Upload, gone: "asyncio.Future[None]") -> Reply:
        """The reply to an upload, whose spool is closed once it is stored.

        `gone` ends when the client closes its connection; then ClientGoneError is raised and a later reply is
        dropped. Raises the AWS errors of `facecore.errors`, ResultTimeoutError when no reply came in time, and the
        error that `Pending.close` was given.
        """
        with upload:
            version = await self._run(
                # The content is taken in the thread too: a spool on disk is flushed by it.
                lambda: self._images.put(upload.filename, upload.spool.content, metadata={"request-id": request_id})
            )
        # A worker's time is saved: the client left while the image was stored.
        if gone.done():
            raise ClientGoneError
        request = Request(
            id=request_id, key=upload.filename, version=version, reply_to=self._reply_to, sent_at=time.time()
        )
        # Before the message is sent: a worker may reply before `send` returns.
        with self._pending.expect(request_id) as reply:
            await self._run(lambda: self._requests.send(request.encode()))
            log.info("request_sent", request_id=request_id, size_bytes=upload.spool.size_bytes)
            await asyncio.wait((reply, gone), timeout=self._result_timeout_s, return_when=asyncio.FIRST_COMPLETED)
            if reply.done():
                return reply.result()
        if gone.done():
            raise ClientGoneError
        raise ResultTimeoutError(f"no result came within {self._result_timeout_s:g} s; send the photograph again later")

    async def _run(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)
