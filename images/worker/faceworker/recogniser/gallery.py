"""The gallery: reference embeddings with their subjects, the match against them, and the file that keeps them.

The file is an uncompressed `.npz` of numbers and text, and never a pickle.
"""

from __future__ import annotations

import io
import math
import mmap
import struct
import unicodedata
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import IO, Any

import numpy as np
from facecore.errors import GalleryError
from facecore.messages import UNKNOWN
from numpy.lib import format as npy
from numpy.typing import NDArray

from faceworker.recogniser.models import Crop, spec

MAX_EMBEDDINGS = 1_000_000
MAX_NAME_BYTES = 255
# Over what 1,000,000 embeddings of 512 numbers with names of 255 letters take.
MAX_GALLERY_BYTES = 4 * 1024**3
FORMAT_VERSION = 1
_MEMBERS = frozenset("format_version embeddings names model crop_px margin_px threshold created_at".split())
_MAX_HEADER_BYTES = 1024
_MAX_DISTANCE = 2.0
# Embeddings that are checked at a time.
_ROWS = 65_536
# PKWARE's APPNOTE, 4.3.7: a member's signature, and the lengths of its name and of its extra field.
_LOCAL_HEADER = struct.Struct("<4s22xHH")
_NORM_TOLERANCE = 1e-3
# Control characters, lone surrogates, line and paragraph separators: the answer is one line of text.
_FORBIDDEN_CATEGORIES = frozenset({"Cc", "Cs", "Zl", "Zp"})


@dataclass(frozen=True, slots=True, eq=False)
class Gallery:
    """Reference embeddings of one model. Making one checks all of it and raises GalleryError."""

    embeddings: NDArray[np.float32]
    """float32 [n, dimensions], each of L2 norm 1, n from 1 to 1,000,000."""
    names: tuple[str, ...]
    """Subject of each embedding; a subject may have several."""
    model: str
    """Id of the embedder that made the embeddings."""
    crop_px: int
    """Side of the square face crops they were made of."""
    margin_px: int
    """Margin around the face in those crops, in pixels of the crop."""
    threshold: float | None
    """Distance above which a face is unknown; None takes the nearest subject however far."""
    created_at: datetime
    """When it was made; has a time zone."""

    def __post_init__(self) -> None:
        found, row = self.embeddings, spec(self.model)
        if found.dtype != np.float32 or found.ndim != 2 or found.shape[1] != row.dimensions:  # noqa: PLR2004
            wanted = f"{self.model} makes float32 [n, {row.dimensions}]"
            raise GalleryError(f"the embeddings are {found.dtype} {list(found.shape)}, {wanted}")
        if not 1 <= len(found) <= MAX_EMBEDDINGS:
            raise GalleryError(f"a gallery has 1 to {MAX_EMBEDDINGS} embeddings, this one {len(found)}")
        # In blocks: the squares of all embeddings would take as much memory again.
        for start in range(0, len(found), _ROWS):
            norms = np.linalg.norm(found[start : start + _ROWS], axis=1)
            if not np.all(np.abs(norms - 1) <= _NORM_TOLERANCE):
                raise GalleryError("an embedding is not L2-normalised")
        if len(self.names) != len(found):
            raise GalleryError(f"{len(found)} embeddings have {len(self.names)} names")
        for name in set(self.names):
            check_name(name)
        if not row.min_crop_px <= self.crop_px <= row.max_crop_px:
            limits = f"{row.min_crop_px} to {row.max_crop_px}"
            raise GalleryError(f"the crop is {self.crop_px} px, {self.model} takes {limits}")
        if not 0 <= self.margin_px < self.crop_px:
            raise GalleryError(f"the margin is {self.margin_px} px in a crop of {self.crop_px}")
        if self.threshold is not None and not 0 < self.threshold <= _MAX_DISTANCE:
            raise GalleryError(f"the threshold is {self.threshold}; it must be over 0 and at most 2")
        if self.created_at.tzinfo is None:
            raise GalleryError("the time of creation has no time zone")

    @property
    def crop(self) -> Crop:
        """How faces are cut out to be compared with this gallery."""
        return Crop(self.crop_px, self.margin_px)

    @property
    def subjects(self) -> int:
        """Number of different people."""
        return len(set(self.names))

    def must_be_of(self, model: str) -> None:
        """Raises GalleryError unless `model` made the embeddings: two models' vectors never mix."""
        if self.model != model:
            raise GalleryError(f"the gallery was made with {self.model}, the recogniser is {model}: enrol it again")

    def match(self, embedding: NDArray[np.float32]) -> tuple[str | None, float]:
        """The nearest subject to an L2-normalised embedding [dimensions], and its Euclidean distance, 0 to 2.

        The subject is None where the distance is over the threshold.
        """
        # Of unit vectors the nearest has the largest dot product; its distance is then computed exactly.
        nearest = int(np.argmax(self.embeddings @ embedding))
        distance = float(np.linalg.norm(self.embeddings[nearest] - embedding))
        is_match = self.threshold is None or distance <= self.threshold
        return (self.names[nearest] if is_match else None), distance


def encode(gallery: Gallery) -> bytes:
    """The file's bytes; `decode` gives the same gallery back."""
    target = io.BytesIO()
    np.savez(
        target,
        allow_pickle=False,
        # The first member's numbers begin at a multiple of 64, as a matrix product of the mapped file wants it.
        embeddings=gallery.embeddings,
        format_version=np.int64(FORMAT_VERSION),
        names=np.array(gallery.names, dtype=np.str_),
        model=np.str_(gallery.model),
        crop_px=np.int64(gallery.crop_px),
        margin_px=np.int64(gallery.margin_px),
        threshold=np.float64(math.nan if gallery.threshold is None else gallery.threshold),
        created_at=np.str_(gallery.created_at.astimezone(UTC).isoformat()),
    )
    return target.getvalue()


def decode(content: bytes) -> Gallery:
    """The gallery that `content` holds; raises GalleryError whatever is wrong with it."""
    return _decoded(memoryview(content), io.BytesIO(content))


def read(file: IO[bytes]) -> Gallery:
    """The gallery in an open file, as `decode`; its embeddings stay in the file, which is mapped and may be closed.

    So they take memory that the system can take back, and processes that map the same file share it.
    """
    try:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError) as error:
        raise GalleryError(f"the gallery cannot be mapped: {error}") from error
    return _decoded(memoryview(mapped), file)


def _decoded(content: memoryview, file: IO[bytes]) -> Gallery:
    if len(content) > MAX_GALLERY_BYTES:
        raise GalleryError(f"the gallery is over {MAX_GALLERY_BYTES} bytes")
    arrays = _arrays(content, file)
    version = _number(arrays, "format_version")
    if version != FORMAT_VERSION:
        raise GalleryError(f"the gallery has format version {version}, expected {FORMAT_VERSION}")
    threshold = _scalar(arrays, "threshold", "f")
    names = arrays["names"]
    # numpy's text takes four bytes a character, and a character takes at least one byte of UTF-8.
    if names.ndim != 1 or names.dtype.kind != "U" or names.dtype.itemsize > 4 * MAX_NAME_BYTES:
        raise GalleryError(f"the gallery's names are {names.dtype} {list(names.shape)}")
    made = str(_scalar(arrays, "created_at", "U"))
    try:
        created_at = datetime.fromisoformat(made)
    except ValueError as error:
        raise GalleryError(f"the gallery's time of creation is {made[:40]!r}") from error
    return Gallery(
        # One that lies at an odd address would be copied at each match.
        embeddings=np.require(arrays["embeddings"], requirements="A"),
        names=tuple(names.tolist()),
        model=str(_scalar(arrays, "model", "U")),
        crop_px=_number(arrays, "crop_px"),
        margin_px=_number(arrays, "margin_px"),
        threshold=None if math.isnan(threshold) else float(threshold),
        created_at=created_at,
    )


def check_name(name: str) -> None:
    """Raises GalleryError unless `name` can be a subject.

    A subject is 1 to 255 bytes of UTF-8 on one line, without a colon, and not "unknown".
    """
    if any(unicodedata.category(character) in _FORBIDDEN_CATEGORIES for character in name):
        raise GalleryError(f"the name {name!a} holds control characters or is not Unicode")
    # An answer is `<file>:<subject>`, and a file's name may hold colons: the subject follows the last one.
    if ":" in name:
        raise GalleryError(f"the name {name!r} holds a colon, after which clients look for the subject: rename it")
    if not name.strip():
        raise GalleryError("a name is empty")
    if len(name.encode()) > MAX_NAME_BYTES:
        raise GalleryError(f"the name {name[:40]!r}… is over {MAX_NAME_BYTES} bytes")
    if name.strip().casefold() == UNKNOWN:
        raise GalleryError(f"the name {name!r} is the answer for a face that is in no gallery")


def normalised(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """`vectors` [..., d] divided by their L2 norms; raises GalleryError for a vector without a direction."""
    wide = vectors.astype(np.float64)
    norms = np.linalg.norm(wide, axis=-1, keepdims=True)
    if not np.all(np.isfinite(norms) & (norms > 0)):
        raise GalleryError("an embedding is zero or not finite")
    unit: NDArray[np.float32] = (wide / norms).astype(np.float32)
    return unit


def _arrays(content: memoryview, file: IO[bytes]) -> Mapping[str, NDArray[Any]]:
    try:
        with zipfile.ZipFile(file) as archive:
            members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
            if len(members) != len(archive.infolist()) or members.keys() != _MEMBERS:
                raise GalleryError(f"the gallery holds {sorted(members)[:20]}, expected {sorted(_MEMBERS)}")
            # Without compression a member cannot grow beyond the file that holds it.
            if any(info.compress_type != zipfile.ZIP_STORED for info in members.values()):
                raise GalleryError("the gallery is compressed; it must be stored as it is")
            return {name: _array(content, info) for name, info in members.items()}
    except GalleryError:
        raise
    # zipfile and numpy's reader of headers raise nearly every built-in error for hostile bytes.
    except Exception as error:
        raise GalleryError(f"the gallery cannot be read: {error}") from error


def _array(content: memoryview, info: zipfile.ZipInfo) -> NDArray[Any]:
    """A member's array over its bytes in the file, without a copy of them."""
    signature, name_bytes, extra_bytes = _LOCAL_HEADER.unpack_from(content, info.header_offset)
    start = info.header_offset + _LOCAL_HEADER.size + name_bytes + extra_bytes
    member = content[start : start + info.file_size]
    if signature != b"PK\3\4" or len(member) != info.file_size or zlib.crc32(member) != info.CRC:
        raise GalleryError(f"the gallery is damaged: {info.filename} is not what was stored")
    source = io.BytesIO(member[:_MAX_HEADER_BYTES])
    if npy.read_magic(source) != (1, 0):
        raise GalleryError("the gallery has an array of an unknown format")
    shape, is_fortran, dtype = npy.read_array_header_1_0(source, max_header_size=_MAX_HEADER_BYTES)
    if dtype.hasobject or is_fortran or dtype.kind not in "fiU":
        raise GalleryError(f"the gallery has an array of {dtype}")
    data = member[source.tell() :]
    # The announced size must be the size that is there, before anything is made of it.
    if math.prod(shape) * dtype.itemsize != len(data) or not len(data):
        raise GalleryError(f"the gallery has an array of {dtype} {list(shape)} in {len(data)} bytes")
    return np.frombuffer(data, dtype=dtype).reshape(shape)


def _scalar(arrays: Mapping[str, NDArray[Any]], name: str, kind: str) -> Any:
    array = arrays[name]
    if array.shape != () or array.dtype.kind != kind:
        raise GalleryError(f"the gallery's {name} is {array.dtype} {list(array.shape)}")
    return array[()]


def _number(arrays: Mapping[str, NDArray[Any]], name: str) -> int:
    return int(_scalar(arrays, name, "i"))
