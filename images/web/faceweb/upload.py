"""Reads one photograph out of a multipart form while it arrives, within limits."""

import re
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Self
from urllib.parse import unquote_to_bytes

from facecore.errors import MissingFileError, TooLargeError
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from faceweb import filenames
from faceweb.spool import MemoryBudget, Spool

FIELD = "inputFile"
"""Name of the form's field that holds the photograph."""
ENVELOPE_BYTES = 64 * 1024
"""What a form may take beside the photograph: boundaries, headers and other fields."""
MAX_PARTS = 16
MAX_PART_HEADERS = 8
MAX_PART_HEADER_BYTES = 4096

_HOW = "send the photograph as multipart/form-data in the field inputFile"
# RFC 5987. RFC 7578 forbids it in forms, but older HTTP libraries send it for names that are not ASCII.
_EXTENDED_NAME = re.compile(rb";\s*filename\*\s*=\s*(utf-8|iso-8859-1)'[^']*'([^;\s]+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Upload:
    """A photograph as it was sent: a context manager, since its spool must be closed."""

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
    content_type: str | None,
    content_length: str | None,
    body: AsyncIterator[bytes],
    *,
    max_upload_bytes: int,
    budget: MemoryBudget,
) -> Upload:
    """The one file in the field `inputFile` of a form.

    Raises TooLargeError as soon as the announced length, the body or the file passes its limit, MissingFileError for
    anything that is not a form with one named, non-empty file, and BadFilenameError.
    """
    max_body_bytes = max_upload_bytes + ENVELOPE_BYTES
    if content_length and content_length.isdecimal() and int(content_length) > max_body_bytes:
        raise _too_large(max_upload_bytes)
    form = _Form(_boundary(content_type), max_upload_bytes)
    spool = Spool(budget)
    try:
        await _feed(form, spool, body, max_body_bytes)
        return Upload(filename=form.filename(), spool=spool)
    except BaseException:
        spool.close()
        raise


async def _feed(form: "_Form", spool: Spool, body: AsyncIterator[bytes], max_body_bytes: int) -> None:
    body_bytes = 0
    async for chunk in body:
        body_bytes += len(chunk)
        if body_bytes > max_body_bytes:
            raise _too_large(form.max_upload_bytes)
        for data in form.feed(chunk):
            await spool.write(data)


def _boundary(content_type: str | None) -> bytes:
    kind, options = parse_options_header(content_type)
    if kind != b"multipart/form-data":
        raise MissingFileError(f"the request is not a form; {_HOW}")
    if not (boundary := options.get(b"boundary")):
        raise MissingFileError(f"the form's Content-Type names no boundary; {_HOW}")
    return boundary


def _too_large(max_upload_bytes: int) -> TooLargeError:
    return TooLargeError(f"the file is over {max_upload_bytes} bytes; send a smaller one")


class _Form:
    """Follows a form's parts: keeps what belongs to the photograph, drops and counts the rest."""

    def __init__(self, boundary: bytes, max_upload_bytes: int) -> None:
        self.max_upload_bytes = max_upload_bytes
        self._header_name = b""
        self._header_value = b""
        self._disposition = b""
        self._parts = 0
        self._files: list[bytes | None] = []
        """Names of the files in the field `inputFile`, None for a part that has no file name."""
        self._wanted = False
        self._size_bytes = 0
        self._pending: list[bytes] = []
        self._complete = False
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._on_part_begin,
                    "on_header_field": self._on_header_field,
                    "on_header_value": self._on_header_value,
                    "on_header_end": self._on_header_end,
                    "on_headers_finished": self._on_headers_finished,
                    "on_part_data": self._on_part_data,
                    "on_end": self._on_end,
                },
                max_header_count=MAX_PART_HEADERS,
                max_header_size=MAX_PART_HEADER_BYTES,
            )
        except FormParserError as error:
            raise MissingFileError(f"the form's boundary is too long; {_HOW}") from error

    def feed(self, chunk: bytes) -> Iterable[bytes]:
        """Parses a piece of the body and gives the pieces of the photograph in it."""
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise MissingFileError(f"the form is malformed; {_HOW}") from error
        pending, self._pending = self._pending, []
        return pending

    def filename(self) -> str:
        """The photograph's name, once the whole body was fed."""
        if not self._complete:
            raise MissingFileError(f"the form is cut off before its end; {_HOW}")
        if not self._files:
            raise MissingFileError(f"the form has no field inputFile; {_HOW}")
        if len(self._files) > 1:
            raise MissingFileError(f"the form has {len(self._files)} fields inputFile; send one photograph at a time")
        if (raw := self._files[0]) is None:
            raise MissingFileError("the field inputFile is not a file with a name; send inputFile=@face.jpg")
        name = filenames.clean(_decoded(raw))
        if self._size_bytes == 0:
            raise MissingFileError("the file is empty; send a photograph")
        return name

    def _on_part_begin(self) -> None:
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise MissingFileError(f"the form has over {MAX_PARTS} parts; {_HOW}")
        self._disposition = b""
        self._wanted = False

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _on_header_end(self) -> None:
        if self._header_name.lower() == b"content-disposition":
            self._disposition = self._header_value
        self._header_name = self._header_value = b""

    def _on_headers_finished(self) -> None:
        _, options = parse_options_header(self._disposition)
        self._wanted = options.get(b"name") == FIELD.encode()
        if self._wanted:
            self._files.append(options.get(b"filename", _extended_name(self._disposition)))

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        if not self._wanted:
            return
        self._size_bytes += end - start
        if self._size_bytes > self.max_upload_bytes:
            raise _too_large(self.max_upload_bytes)
        if len(self._files) == 1:
            self._pending.append(data[start:end])

    def _on_end(self) -> None:
        self._complete = True


def _extended_name(disposition: bytes) -> bytes | None:
    if not (match := _EXTENDED_NAME.search(disposition)):
        return None
    charset, quoted = match.groups()
    return (
        unquote_to_bytes(quoted) if charset.lower() == b"utf-8" else unquote_to_bytes(quoted).decode("latin-1").encode()
    )


def _decoded(raw: bytes) -> str:
    """Browsers and curl send UTF-8; what is not UTF-8 is taken for Latin-1, in which every byte is a character."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")
