"""What a client is told: an `Answer` for each way that a request can end, its form on the wire, its description."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from facecore.errors import (
    AwsError,
    BadFilenameError,
    BadImageError,
    FaceError,
    InputError,
    MissingFileError,
    NoFaceError,
    OverloadedError,
    ResultTimeoutError,
    TooLargeError,
    UploadTimeoutError,
)
from facecore.messages import Reply
from starlette.responses import PlainTextResponse, Response

RETRY_AFTER_S = 5

STATUSES = {
    MissingFileError.code: 400,
    BadFilenameError.code: 400,
    UploadTimeoutError.code: 408,
    TooLargeError.code: 413,
    BadImageError.code: 415,
    NoFaceError.code: 422,
    OverloadedError.code: 503,
    ResultTimeoutError.code: 504,
}
TOLD = (InputError, OverloadedError, UploadTimeoutError, ResultTimeoutError)
"""Errors whose own words are for the client."""

_UNROUTED = {
    404: ("not_found", "there is nothing at this address; POST a photograph to / or read /docs"),
    405: ("method_not_allowed", "this address does not take that method; POST a photograph to / or read /docs"),
}


@dataclass(frozen=True, slots=True)
class Answer:
    """How a request ended."""

    status: int
    code: str
    """The kind of a reply (`recognised`, `unknown`), or the stable word of an error. Metrics count by it."""
    detail: str = ""
    """Of an error: a sentence for the client."""
    retry_after_s: int | None = None
    filename: str = ""
    reply: Reply | None = None
    """Of a success: the workers' reply."""

    def as_text(self, headers: Mapping[str, str] | None = None) -> Response:
        """`<filename>:<prediction>` or `<code>: <detail>`, in UTF-8, without a newline at the end.

        A file's name may hold colons and a subject holds none, so the prediction follows the last colon.
        """
        text = f"{self.filename}:{self.reply.text}" if self.reply else f"{self.code}: {self.detail}"
        retry = {} if self.retry_after_s is None else {"Retry-After": str(self.retry_after_s)}
        return PlainTextResponse(text, status_code=self.status, headers={**(headers or {}), **retry})


# nginx's status for it. It is counted and never sent: the connection is closed.
GONE = Answer(status=499, code="disconnected")


def of_reply(filename: str, reply: Reply) -> Answer:
    """The answer to a request that the workers replied to."""
    if reply.error:
        return Answer(status=STATUSES[reply.error.code], code=reply.kind, detail=reply.error.text)
    return Answer(status=200, code=reply.kind, filename=filename, reply=reply)


def of_error(error: FaceError, request_id: str) -> Answer:
    """The answer to a request that failed."""
    if isinstance(error, AwsError):
        return unavailable(request_id)
    if not isinstance(error, TOLD):
        return internal(request_id)
    named = f" (request {request_id})" if isinstance(error, ResultTimeoutError) else ""
    return Answer(
        status=STATUSES[error.code],
        code=error.code,
        detail=f"{error}{named}",
        retry_after_s=RETRY_AFTER_S if isinstance(error, OverloadedError) else None,
    )


def of_status(status: int) -> Answer:
    """The answer to a request that no route takes."""
    unknown = ("bad_request", "the request is not understood; POST a photograph to / or read /docs")
    code, detail = _UNROUTED.get(status, unknown)
    return Answer(status=status, code=code, detail=detail)


def internal(request_id: str) -> Answer:
    """The answer to a fault of this program."""
    detail = f"something went wrong on our side; report the request {request_id} to the operator"
    return Answer(status=500, code="internal", detail=detail)


def unavailable(request_id: str) -> Answer:
    """The answer while AWS cannot be used, or while this program stops."""
    # What AWS said is logged and not told: it names buckets and queues.
    detail = f"the service behind this one cannot be used now; try again later (request {request_id})"
    return Answer(status=503, code="unavailable", detail=detail, retry_after_s=RETRY_AFTER_S)


def not_ready(parts: Iterable[str]) -> Answer:
    """The answer to a probe while `parts` do not answer."""
    detail = f"{', '.join(parts)} not answering; try again in a few seconds"
    return Answer(status=503, code="not_ready", detail=detail, retry_after_s=RETRY_AFTER_S)


def described(description: str, *examples: str, retry: bool = False) -> dict[str, Any]:
    """OpenAPI's description of a text answer; `retry` for one with a Retry-After."""
    headers = {"X-Request-Id": {"description": "Id of the request, to find it in logs", "schema": {"type": "string"}}}
    if retry:
        headers["Retry-After"] = {"description": "Seconds to wait", "schema": {"type": "integer"}}
    shown = {example.split(":")[0] + f" {n}": {"value": example} for n, example in enumerate(examples, 1)}
    return {
        "description": description,
        "headers": headers,
        "content": {"text/plain": {"schema": {"type": "string"}, "examples": shown}},
    }
