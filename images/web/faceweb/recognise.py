"""`POST /`: admission, upload, the workers' reply, answer."""

import time
from typing import Any

from facecore.errors import AwsError
from facecore.logs import get_logger
from fastapi import APIRouter
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive

from faceweb import answers, upload
from faceweb.answers import Answer, described
from faceweb.concurrency import background
from faceweb.metrics import Metrics
from faceweb.pending import Pending
from faceweb.settings import WebSettings
from faceweb.spool import MemoryBudget
from faceweb.upload import FIELD
from faceweb.workers import ClientGoneError, Workers

log = get_logger(__name__)

_FORM = {
    "type": "object",
    "required": [FIELD],
    "properties": {
        FIELD: {"type": "string", "format": "binary", "description": "A JPEG, PNG, WebP, … with a face on it"}
    },
}
_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: described(
        "The file's name, a colon, and the subject or `unknown`. A file's name may hold colons and a subject holds "
        "none: the subject follows the last colon",
        "face.jpg:Anna",
        "face.jpg:unknown",
    ),
    400: described(
        "No usable file in the form",
        "missing_file: the file is empty; send a photograph",
        "bad_filename: the name holds control characters; rename the file",
    ),
    408: described("The upload took too long", "slow_upload: the upload took over 60 s; send a smaller photograph"),
    413: described("The file is too large", "too_large: the file is over 10485760 bytes; send a smaller one"),
    415: described("Not an image, or too many pixels", "bad_image: the file is not an image"),
    422: described("No face was found", "no_face: no face was found on the photograph"),
    500: described("A fault of the service", "internal: something went wrong on our side; report the request …"),
    503: described(
        "Too much to do, or AWS does not answer",
        "overloaded: too many photographs are waiting; send it again in a few seconds",
        "unavailable: the service behind this one cannot be used now; try again later (request …)",
        retry=True,
    ),
    504: described(
        "No result in time", "timeout: no result came within 300 s; send the photograph again later (request …)"
    ),
}


class Recognition:
    """Answers each posted image with an `Answer`."""

    def __init__(self, settings: WebSettings, pending: Pending, workers: Workers, metrics: Metrics) -> None:
        self._settings = settings
        self._pending = pending
        self._workers = workers
        self._metrics = metrics
        # One for all uploads of the process.
        self._budget = MemoryBudget()

    def router(self) -> APIRouter:
        """The route."""
        router = APIRouter()
        router.add_api_route(
            "/",
            self.serve,  # without a docstring, which would be told to clients
            methods=["POST"],
            name="recognise",
            summary="Who is on this photograph?",
            response_class=PlainTextResponse,
            responses=_RESPONSES,
            openapi_extra={"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": _FORM}}}},
        )
        return router

    async def serve(self, request: Request) -> Response:
        started_s = time.perf_counter()
        request_id: str = request.state.request_id
        answer = await self._answer(request, request_id)
        seconds = time.perf_counter() - started_s
        self._metrics.request_ended(answer.code, seconds)
        log.info("request_answered", request_id=request_id, outcome=answer.code, seconds=round(seconds, 4))
        return answer.as_text()

    async def _answer(self, request: Request, request_id: str) -> Answer:
        try:
            with self._pending.place():
                form = await upload.read(
                    request.headers,
                    request.stream(),
                    max_upload_bytes=self._settings.max_upload_bytes,
                    timeout_s=self._settings.upload_timeout_s,
                    budget=self._budget,
                )
                self._metrics.upload_taken(form.spool.size_bytes)
                async with background(_until_gone(request.receive)) as gone:
                    reply = await self._workers.ask(request_id, form, gone)
                return answers.of_reply(form.filename, reply)
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


async def _until_gone(receive: Receive) -> None:
    """Ends when the client, whose body was read whole, closes its connection."""
    while (await receive())["type"] != "http.disconnect":
        continue
