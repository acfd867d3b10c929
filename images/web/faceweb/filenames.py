"""The rule for the names of uploaded files."""

import re

from facecore.errors import BadFilenameError, MissingFileError
from facecore.messages import MAX_KEY_BYTES

# C0, DEL and C1; lone surrogates, which are not text; U+FFFE and U+FFFF, which XML and therefore S3 and SQS refuse.
# https://www.w3.org/TR/xml/#charsets
_FORBIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_SEPARATOR = re.compile(r"[/\\]")
_FOLDERS = frozenset({".", ".."})


def clean(raw: str) -> str:
    """The name under which an upload is stored and answered: the last part of the path that a client sent.

    The result is 1 to 255 bytes of UTF-8. Raises MissingFileError for an empty name, BadFilenameError for one that
    holds control characters, names a folder or is too long.
    """
    name = _SEPARATOR.split(raw)[-1]
    if not name:
        raise MissingFileError("the file has no name; send one, as in inputFile=@face.jpg")
    if name in _FOLDERS:
        raise BadFilenameError("the name is that of a folder; send the file's own name")
    if _FORBIDDEN.search(name):
        raise BadFilenameError("the name holds control characters; rename the file")
    if (size_bytes := len(name.encode())) > MAX_KEY_BYTES:
        raise BadFilenameError(f"the name takes {size_bytes} bytes, over {MAX_KEY_BYTES}; shorten it")
    return name
