"""Answers as HTTP responses."""

from starlette.responses import PlainTextResponse

from faceweb.answers import Answer


def plain(answer: Answer, headers: dict[str, str] | None = None) -> PlainTextResponse:
    """A text/plain response; UTF-8, without a newline at its end."""
    retry = {} if answer.retry_after_s is None else {"Retry-After": str(answer.retry_after_s)}
    return PlainTextResponse(
        # A subject that is not text (a lone surrogate in a reply) must not become a fault.
        answer.body.encode("utf-8", "replace"),
        status_code=answer.status,
        headers={**(headers or {}), **retry},
    )
