"""What a worker answers: the reply message, the prediction that is stored, and how an error is told."""

from dataclasses import replace

from facecore.errors import EncodeError, InputError
from facecore.messages import MAX_ERROR_TEXT_CHARS, Reply, ResultError

UNKNOWN = "unknown"
MAX_ERROR_TEXT_BYTES = 400
"""UTF-8 bytes of an error's text; with every character escaped it still fits a reply beside all other fields."""


def result_error(error: InputError) -> ResultError:
    """The error as a client is told it: its code, and its text on one line within a reply's limits."""
    text = "".join(char if char.isprintable() else "?" for char in str(error)[:MAX_ERROR_TEXT_CHARS])
    short = text.encode()[:MAX_ERROR_TEXT_BYTES].decode(errors="ignore")
    return ResultError(code=error.code, text=short or error.code)


def prediction(reply: Reply) -> str:
    """The text that the out-bucket keeps: the subject, `unknown`, or `<code>: <text>`."""
    if reply.error is not None:
        return f"{reply.error.code}: {reply.error.text}"
    return UNKNOWN if reply.subject is None else reply.subject


def kind(reply: Reply) -> str:
    """What may be logged of an answer: `subject`, `unknown` or the error's code, and never who it is."""
    if reply.error is not None:
        return reply.error.code
    return UNKNOWN if reply.subject is None else "subject"


def message(reply: Reply) -> str:
    """The reply as a message, without its timings where they do not fit; raises EncodeError."""
    try:
        return reply.encode()
    except EncodeError:
        return replace(reply, timings={}).encode()
