"""What a client is told: status, body and the outcome that is counted, for every way that a request can end."""

from dataclasses import dataclass

from facecore.errors import (
    RESULT_ERRORS,
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

RETRY_AFTER_S = 5
"""What a client that is turned away is asked to wait."""

STATUSES: dict[type[FaceError], int] = {
    MissingFileError: 400,
    BadFilenameError: 400,
    UploadTimeoutError: 408,
    TooLargeError: 413,
    BadImageError: 415,
    NoFaceError: 422,
    OverloadedError: 503,
    ResultTimeoutError: 504,
}
TOLD = (InputError, OverloadedError, UploadTimeoutError, ResultTimeoutError)
"""Errors whose own words are for the client."""
ToldError = InputError | OverloadedError | UploadTimeoutError | ResultTimeoutError
UNAVAILABLE_STATUS = 503
INTERNAL_STATUS = 500
GONE_STATUS = 499
"""Never sent, since nobody is there to read it."""

_CODES = {404: "not_found", 405: "method_not_allowed"}
_SENTENCES = {
    404: "there is nothing at this address; POST a photograph to / or read /docs",
    405: "this address does not take that method; POST a photograph to / or read /docs",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """One response, as plain text."""

    status: int
    body: str
    outcome: str
    """The word under which it is counted; bounded in number."""
    retry_after_s: int | None = None


GONE = Answer(status=GONE_STATUS, body="", outcome="disconnected")


def of_reply(filename: str, reply: Reply) -> Answer:
    """The answer to a recognised photograph, to one of a stranger, and to one that cannot be recognised."""
    if reply.error:
        status = STATUSES[RESULT_ERRORS[reply.error.code]]
        return Answer(status=status, body=f"{reply.error.code}: {reply.error.text}", outcome=reply.error.code)
    if reply.subject is None:
        return Answer(status=200, body=f"{filename}:unknown", outcome="unknown")
    return Answer(status=200, body=f"{filename}:{reply.subject}", outcome="recognised")


def of_error(error: AwsError | ToldError, request_id: str) -> Answer:
    """The answer to a request that failed. What AWS said is not for the client: it names buckets and queues."""
    if isinstance(error, AwsError):
        return unavailable(request_id)
    named = f" (request {request_id})" if isinstance(error, ResultTimeoutError) else ""
    return Answer(
        status=STATUSES[type(error)],
        body=f"{error.code}: {error}{named}",
        outcome=error.code,
        retry_after_s=RETRY_AFTER_S if isinstance(error, OverloadedError) else None,
    )


def internal(request_id: str) -> Answer:
    """The answer to a fault of our own."""
    return Answer(
        status=INTERNAL_STATUS,
        body=f"internal: something went wrong on our side; report the request {request_id} to the operator",
        outcome="internal",
    )


def of_status(status: int) -> Answer:
    """The answer to a request that no route takes."""
    code = _CODES.get(status, "bad_request")
    sentence = _SENTENCES.get(status, "the request is not understood; POST a photograph to / or read /docs")
    return Answer(status=status, body=f"{code}: {sentence}", outcome=code)


def unavailable(request_id: str) -> Answer:
    """The answer while AWS does not answer, or while this program stops."""
    return Answer(
        status=UNAVAILABLE_STATUS,
        body=f"unavailable: the service behind this one cannot be used now; try again later (request {request_id})",
        outcome="unavailable",
        retry_after_s=RETRY_AFTER_S,
    )
