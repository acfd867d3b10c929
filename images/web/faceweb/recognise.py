"""Serves a posted photograph: admission, upload, exchange with the workers, answer."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from facecore.errors import AwsError, UploadTimeoutError
from facecore.logs import get_logger
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive

from faceweb import answers, upload
from faceweb.answers import Answer
from faceweb.metrics import Metrics
from faceweb.pending import Waiters
from faceweb.responses import plain
from faceweb.settings import WebSettings
from faceweb.spool import MemoryBudget
from faceweb.upload import Upload
from faceweb.workers import ClientGoneError, Exchange

log = get_logger(__name__)


class Intake:
    """Answers `POST /`. Whatever happens, the client gets one of the answers of `faceweb.answers`."""

    def __init__(self, settings: WebSettings, waiters: Waiters, exchange: Exchange, metrics: Metrics) -> None:
        self._settings = settings
        self._waiters = waiters
        self._exchange = exchange
        self._metrics = metrics
        self._budget = MemoryBudget()

    async def serve(self, request: Request) -> Response:
        """The response to one photograph."""
        started_s = time.perf_counter()
        request_id: str = request.state.request_id
        answer = await self._answer(request, request_id)
        seconds = time.perf_counter() - started_s
        self._metrics.request_ended(answer.outcome, seconds)
        log.info("request_answered", request_id=request_id, outcome=answer.outcome, seconds=round(seconds, 4))
        return plain(answer)

    async def _answer(self, request: Request, request_id: str) -> Answer:
        try:
            with self._waiters.place():
                return await self._recognise(request, request_id)
        except (ClientDisconnect, ClientGoneError):
            return answers.GONE
        except AwsError as error:
            log.error("aws_failed", request_id=request_id, reason=str(error), aws_code=error.aws_code)
            return answers.of_error(error, request_id)
        except answers.TOLD as error:
            return answers.of_error(error, request_id)
        except Exception:
            log.exception("request_fault", request_id=request_id)
            return answers.internal(request_id)

    async def _recognise(self, request: Request, request_id: str) -> Answer:
        photograph = await self._read(request)
        self._metrics.upload_taken(photograph.spool.size_bytes)
        async with _departure(request.receive) as gone:
            reply = await self._exchange.ask(request_id, photograph, gone)
        return answers.of_reply(photograph.filename, reply)

    async def _read(self, request: Request) -> Upload:
        limit_s = self._settings.upload_timeout_s
        try:
            async with asyncio.timeout(limit_s):
                return await upload.read(
                    request.headers.get("content-type"),
                    request.headers.get("content-length"),
                    request.stream(),
                    max_upload_bytes=self._settings.max_upload_bytes,
                    budget=self._budget,
                )
        except TimeoutError as error:
            raise UploadTimeoutError(f"the upload took over {limit_s:g} s; send a smaller photograph") from error


@asynccontextmanager
async def _departure(receive: Receive) -> AsyncIterator["asyncio.Task[None]"]:
    """A task that ends when the client, whose body was read whole, closes its connection."""
    task = asyncio.create_task(_until_gone(receive))
    try:
        yield task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue
