"""Reads one image out of a multipart form while it arrives, within limits."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self
from urllib.parse import unquote_to_bytes

from facecore.errors import BadFilenameError, MissingFileError, TooLargeError, UploadTimeoutError
from facecore.messages import MAX_KEY_BYTES
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from faceweb.spool import MemoryBudget, Spool

FIELD = "inputFile"
# Beside the image a form holds boundaries, headers and other fields.
ENVELOPE_BYTES = 64 * 1024
# Without limits a form of empty parts, or of endless headers, costs processor time and memory within its bytes.
MAX_PARTS = 16
MAX_PART_HEADERS = 8
MAX_PART_HEADER_BYTES = 4096

_HOW = "send the photograph as multipart/form-data in the field inputFile"
# RFC 5987. RFC 7578 forbids it in forms, but older HTTP libraries send it for names that are not ASCII.
_EXTENDED_NAME = re.compile(rb";\s*filename\*\s*=\s*(utf-8|iso-8859-1)'[^']*'([^;\s]+)", re.IGNORECASE)
# C0, DEL and C1; lone surrogates, which are not text; U+FFFE and U+FFFF, which XML and therefore S3 and SQS refuse.
# https://www.w3.org/TR/xml/#charsets
_FORBIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_SEPARATOR = re.compile(r"[/\\]")


@dataclass(frozen=True, slots=True)
class Upload:
    """An image as it was sent: a context manager, since its spool must be closed."""

    filename: str
    """Already cut and checked."""
    spool: Spool

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.spool.close()


async def read(
    headers: Mapping[str, str],
    body: AsyncIterator[bytes],
    *,
    max_upload_bytes: int,
    timeout_s: float,
    budget: MemoryBudget,
) -> Upload:
    """The one file in the field `inputFile` of a form; `headers` are the request's, their names in lower case.

    Raises TooLargeError as soon as the announced length, the body or the file passes its limit, MissingFileError for
    anything that is not a form with one named, non-empty file, BadFilenameError, and UploadTimeoutError.
    """
    max_body_bytes = max_upload_bytes + ENVELOPE_BYTES
    # A body may be announced: then it is refused before a byte of it is read. A chunked one is not.
    announced = headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > max_body_bytes:
        raise _too_large(max_upload_bytes)
    form = _Form(headers.get("content-type"), max_upload_bytes)
    spool = Spool(budget)
    try:
        body_bytes = 0
        async with asyncio.timeout(timeout_s):
            async for chunk in body:
                body_bytes += len(chunk)
                if body_bytes > max_body_bytes:
                    raise _too_large(max_upload_bytes)
                for data in form.feed(chunk):
                    await spool.write(data)
        return Upload(filename=form.filename(), spool=spool)
    except BaseException as error:
        spool.close()
        if isinstance(error, TimeoutError):
            raise UploadTimeoutError(f"the upload took over {timeout_s:g} s; send a smaller photograph") from error
        raise


def clean_filename(raw: str) -> str:
    """The name under which an upload is stored and answered: the last part of the path that a client sent.

    The result is 1 to 255 bytes of UTF-8. Raises MissingFileError for an empty name, BadFilenameError for one that
    holds control characters, names a folder or is too long.
    """
    name = _SEPARATOR.split(raw)[-1]
    if not name:
        raise MissingFileError("the file has no name; send one, as in inputFile=@face.jpg")
    if name in {".", ".."}:
        raise BadFilenameError("the name is that of a folder; send the file's own name")
    if _FORBIDDEN.search(name):
        raise BadFilenameError("the name holds control characters; rename the file")
    if (size_bytes := len(name.encode())) > MAX_KEY_BYTES:
        raise BadFilenameError(f"the name takes {size_bytes} bytes, over {MAX_KEY_BYTES}; shorten it")
    return name


def _too_large(max_upload_bytes: int) -> TooLargeError:
    return TooLargeError(f"the file is over {max_upload_bytes} bytes; send a smaller one")


class _Form:
    """Follows a form's parts: keeps the image's bytes, drops and counts the rest. The parser calls its `on_…`."""

    def __init__(self, content_type: str | None, max_upload_bytes: int) -> None:
        self._max_upload_bytes = max_upload_bytes
        self._header_name = b""
        self._header_value = b""
        self._disposition = b""
        self._parts = 0
        self._files: list[bytes | None] = []
        """Names of the files in the field `inputFile`, None for a part that has no file name."""
        self._wanted = False
        self._size_bytes = 0
        self._unread: list[bytes] = []
        self._complete = False
        kind, options = parse_options_header(content_type)
        if kind != b"multipart/form-data":
            raise MissingFileError(f"the request is not a form; {_HOW}")
        if not (boundary := options.get(b"boundary")):
            raise MissingFileError(f"the form's Content-Type names no boundary; {_HOW}")
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self.on_part_begin,
                    "on_header_field": self.on_header_field,
                    "on_header_value": self.on_header_value,
                    "on_header_end": self.on_header_end,
                    "on_headers_finished": self.on_headers_finished,
                    "on_part_data": self.on_part_data,
                    "on_end": self.on_end,
                },
                max_header_count=MAX_PART_HEADERS,
                max_header_size=MAX_PART_HEADER_BYTES,
            )
        except FormParserError as error:
            raise MissingFileError(f"the form's boundary is too long; {_HOW}") from error

    def feed(self, chunk: bytes) -> Iterable[bytes]:
        """Parses a piece of the body and gives the pieces of the image in it."""
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise MissingFileError(f"the form is malformed; {_HOW}") from error
        unread, self._unread = self._unread, []
        return unread

    def filename(self) -> str:
        """The image's name, once the whole body was fed."""
        if not self._complete:
            raise MissingFileError(f"the form is cut off before its end; {_HOW}")
        if not self._files:
            raise MissingFileError(f"the form has no field inputFile; {_HOW}")
        if len(self._files) > 1:
            raise MissingFileError(f"the form has {len(self._files)} fields inputFile; send one photograph at a time")
        if (raw := self._files[0]) is None:
            raise MissingFileError("the field inputFile is not a file with a name; send inputFile=@face.jpg")
        try:
            name = clean_filename(raw.decode())
        except UnicodeDecodeError:
            # Browsers and curl send UTF-8. In Latin-1, which older clients send, each byte is a character.
            name = clean_filename(raw.decode("latin-1"))
        # After the name's own errors: they say more.
        if self._size_bytes == 0:
            raise MissingFileError("the file is empty; send a photograph")
        return name

    def on_part_begin(self) -> None:
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise MissingFileError(f"the form has over {MAX_PARTS} parts; {_HOW}")
        self._disposition = b""
        self._wanted = False

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def on_header_end(self) -> None:
        if self._header_name.lower() == b"content-disposition":
            self._disposition = self._header_value
        self._header_name = self._header_value = b""

    def on_headers_finished(self) -> None:
        _, options = parse_options_header(self._disposition)
        self._wanted = options.get(b"name") == FIELD.encode()
        if self._wanted:
            self._files.append(options.get(b"filename", _extended_name(self._disposition)))

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        if not self._wanted:
            return
        self._size_bytes += end - start
        if self._size_bytes > self._max_upload_bytes:
            raise _too_large(self._max_upload_bytes)
        # A second file is refused once the form is complete; until then only its size counts.
        if len(self._files) == 1:
            self._unread.append(data[start:end])

    def on_end(self) -> None:
        self._complete = True


def _extended_name(disposition: bytes) -> bytes | None:
    if not (match := _EXTENDED_NAME.search(disposition)):
        return None
    charset, quoted = match.groups()
    name = unquote_to_bytes(quoted)
    return name if charset.lower() == b"utf-8" else name.decode("latin-1").encode()
