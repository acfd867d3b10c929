"""The two messages that travel through SQS: a request and its reply, as JSON of at most 1,024 bytes."""

import json
import math
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from facecore.errors import RESULT_ERRORS, DecodeError, EncodeError

VERSION = 1
# The queues' MaximumMessageSize in deploy/resources.yaml.
MAX_MESSAGE_BYTES = 1024
MAX_KEY_BYTES = 255
MAX_SUBJECT_BYTES = 255
MAX_ERROR_TEXT_CHARS = 200
MAX_TIMINGS = 12
UNKNOWN = "unknown"
"""The text of a face that is close enough to no subject, and the kind of that reply."""
RECOGNISED = "recognised"
"""The kind of a reply that names a subject."""


@dataclass(frozen=True, slots=True)
class Request:
    """One uploaded image and the wish to know who is on it."""

    id: str
    """UUID, from the moment the request was accepted."""
    key: str
    """Object key in the in-bucket: the uploaded file's name."""
    version: str
    """S3 version id of the image; keeps two uploads of one name apart."""
    reply_to: str
    """Name of the queue that the reply goes to."""
    sent_at: float
    """Unix time in seconds at which the web tier sent the message."""

    def encode(self) -> str:
        """JSON text of at most 1,024 bytes that `decode` takes; raises EncodeError."""
        return _encode(asdict(self), Request.decode)

    @classmethod
    def decode(cls, text: str) -> Self:
        """The request that `text` holds; raises DecodeError whatever is wrong with it."""
        fields = _decode(text)
        return cls(
            id=_request_id(fields),
            key=_text(fields, "key", MAX_KEY_BYTES),
            version=_text(fields, "version", MAX_MESSAGE_BYTES),
            reply_to=_text(fields, "reply_to", MAX_MESSAGE_BYTES),
            sent_at=_number(fields, "sent_at"),
        )


@dataclass(frozen=True, slots=True)
class ResultError:
    """Why a request has no subject: a stable code and a sentence for the person who asked."""

    code: str
    text: str


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to a request: a subject, `unknown` where `subject` and `error` are None, or an error."""

    id: str
    subject: str | None
    error: ResultError | None
    distance: float | None
    """Euclidean distance of the L2-normalised embeddings to the nearest of the gallery, 0 to 2."""
    instance: str
    """EC2 instance id of the worker that answered."""
    timings: dict[str, float] = field(default_factory=dict)
    """Seconds by phase."""

    @property
    def text(self) -> str:
        """The prediction as people and the out-bucket get it: the subject, `unknown`, or `<code>: <sentence>`."""
        if self.error is not None:
            return f"{self.error.code}: {self.error.text}"
        return UNKNOWN if self.subject is None else self.subject

    @property
    def kind(self) -> str:
        """What may be counted and logged of it: `recognised`, `unknown` or the error's code. Never who it is."""
        if self.error is not None:
            return self.error.code
        return UNKNOWN if self.subject is None else RECOGNISED

    def encode(self) -> str:
        """JSON text of at most 1,024 bytes that `decode` takes; raises EncodeError."""
        return _encode(asdict(self), Reply.decode)

    @classmethod
    def decode(cls, text: str) -> Self:
        """The reply that `text` holds; raises DecodeError whatever is wrong with it."""
        fields = _decode(text)
        subject = fields.get("subject")
        distance = fields.get("distance")
        return cls(
            id=_request_id(fields),
            subject=None if subject is None else _text(fields, "subject", MAX_SUBJECT_BYTES),
            error=_result_error(fields.get("error")),
            distance=None if distance is None else _number(fields, "distance"),
            instance=_text(fields, "instance", MAX_MESSAGE_BYTES),
            timings=_timings(fields.get("timings")),
        )


def _encode(fields: dict[str, Any], decode: Callable[[str], object]) -> str:
    # As UTF-8: an escaped name would take up to three times the bytes.
    text = json.dumps({"v": VERSION, **fields}, ensure_ascii=False, separators=(",", ":"))
    try:
        # The sender finds its own mistake here; at the other end it would be a request that is never answered.
        decode(text)
    except DecodeError as error:
        raise EncodeError(f"the receiver could not decode this message: {error}") from error
    size_bytes = len(text.encode())
    if size_bytes > MAX_MESSAGE_BYTES:
        raise EncodeError(f"a message takes {size_bytes} bytes, over the limit of {MAX_MESSAGE_BYTES}")
    return text


def _decode(text: str) -> dict[str, Any]:
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DecodeError(f"a message is not JSON: {error}") from error
    if not isinstance(fields, dict):
        raise DecodeError("a message is not a JSON object")
    if fields.get("v") != VERSION:
        raise DecodeError(f"a message has version {fields.get('v')!r}, expected {VERSION}")
    return fields


def _text(fields: dict[str, Any], name: str, limit_bytes: int) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not value:
        raise DecodeError(f"field {name!r} of a message is not a text: {value!r}")
    try:
        size_bytes = len(value.encode())
    except UnicodeEncodeError as error:
        raise DecodeError(f"field {name!r} of a message is not Unicode: {error}") from error
    if size_bytes > limit_bytes:
        raise DecodeError(f"field {name!r} of a message is over {limit_bytes} bytes")
    return value


def _number(fields: dict[str, Any], name: str) -> float:
    value = fields.get(name)
    # To Python a bool is an int.
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise DecodeError(f"field {name!r} of a message is not a number: {value!r}")
    try:
        number = float(value)
    except OverflowError as error:
        raise DecodeError(f"field {name!r} of a message is not a number of a sane size") from error
    # Python's JSON knows NaN and Infinity.
    if not math.isfinite(number):
        raise DecodeError(f"field {name!r} of a message is not a finite number")
    return number


def _request_id(fields: dict[str, Any]) -> str:
    value = _text(fields, "id", MAX_MESSAGE_BYTES)
    try:
        return str(uuid.UUID(value))
    except ValueError as error:
        raise DecodeError(f"field 'id' of a message is not a UUID: {value!r}") from error


def _result_error(value: object) -> ResultError | None:
    if value is None:
        return None
    code = value.get("code") if isinstance(value, dict) else None
    if not isinstance(value, dict) or not isinstance(code, str) or code not in RESULT_ERRORS:
        raise DecodeError(f"field 'error' of a message has no known code: {value!r}")
    return ResultError(code=code, text=_text(value, "text", MAX_MESSAGE_BYTES))


def _timings(value: object) -> dict[str, float]:
    if not isinstance(value, dict) or len(value) > MAX_TIMINGS:
        raise DecodeError(f"field 'timings' of a message is not a table of at most {MAX_TIMINGS} numbers")
    if not all(name.isascii() for name in value):
        raise DecodeError("field 'timings' of a message has a name that is not ASCII")
    return {name: _number(value, name) for name in value}
