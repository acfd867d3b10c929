"""What /docs says about `POST /`."""

from typing import Any

from faceweb.upload import FIELD

_PHOTOGRAPH = {
    "type": "object",
    "required": [FIELD],
    "properties": {
        FIELD: {"type": "string", "format": "binary", "description": "A JPEG, PNG, WebP, … with a face on it"}
    },
}
_REQUEST_ID = {"X-Request-Id": {"description": "Id of the request, to find it in logs", "schema": {"type": "string"}}}
_RETRY_AFTER = {"Retry-After": {"description": "Seconds to wait", "schema": {"type": "integer"}}}

RECOGNISE: dict[str, Any] = {
    "requestBody": {"required": True, "content": {"multipart/form-data": {"schema": _PHOTOGRAPH}}}
}


def _text(description: str, *examples: str, headers: dict[str, Any] | None = None) -> dict[str, Any]:
    shown = {example.split(":")[0] + f" {n}": {"value": example} for n, example in enumerate(examples, 1)}
    return {
        "description": description,
        "headers": {**_REQUEST_ID, **(headers or {})},
        "content": {"text/plain": {"schema": {"type": "string"}, "examples": shown}},
    }


RESPONSES: dict[int | str, dict[str, Any]] = {
    200: _text("The file's name, a colon, and the subject or `unknown`", "face.jpg:Anna", "face.jpg:unknown"),
    400: _text(
        "No usable file in the form",
        "missing_file: the file is empty; send a photograph",
        "bad_filename: the name holds control characters; rename the file",
    ),
    408: _text("The upload took too long", "slow_upload: the upload took over 60 s; send a smaller photograph"),
    413: _text("The file is too large", "too_large: the file is over 10485760 bytes; send a smaller one"),
    415: _text("Not an image, or too many pixels", "bad_image: the file is not an image"),
    422: _text("No face was found", "no_face: no face was found on the photograph"),
    500: _text("A fault of the service", "internal: something went wrong on our side; report the request …"),
    503: _text(
        "Too much to do, or AWS does not answer",
        "overloaded: too many photographs are waiting; send it again in a few seconds",
        "unavailable: the service behind this one cannot be used now; try again later (request …)",
        headers=_RETRY_AFTER,
    ),
    504: _text(
        "No result in time", "timeout: no result came within 300 s; send the photograph again later (request …)"
    ),
}
READINESS_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: _text("Everything that a request needs answers", "ready"),
    503: _text("Something does not answer", "not_ready: the request queue does not answer", headers=_RETRY_AFTER),
}
