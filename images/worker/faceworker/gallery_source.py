"""Where the worker's recogniser comes from: the gallery in its bucket, loaded again when it changes."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from typing import IO, TYPE_CHECKING

from facecore.errors import GalleryError, NotFoundError, TooLargeError
from facecore.logs import get_logger
from facecore.objects import Bucket

from faceworker.recogniser import Recogniser

if TYPE_CHECKING:
    from faceworker.recogniser.gallery import Gallery

_log = get_logger(__name__)

GALLERY_KEY = "gallery.npz"


class GallerySource:
    """The gallery object of one bucket, read only if its ETag has changed."""

    def __init__(
        self,
        bucket: Bucket,
        read: Callable[[IO[bytes]], Gallery],
        *,
        refresh_s: float,
        max_bytes: int,
        steady_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._bucket = bucket
        self._read = read
        self._refresh_s = refresh_s
        self._max_bytes = max_bytes
        self._steady_s = steady_s
        self._etag = ""
        self._looked_s = 0.0

    def load(self) -> Gallery:
        """The gallery as it is now. Raises GalleryError if there is none that can be read, and AWS errors."""
        looked_s = self._steady_s()
        try:
            # A file without a name: it goes when the last gallery that maps it goes.
            with tempfile.TemporaryFile() as file:
                etag = self._bucket.download(GALLERY_KEY, file, max_bytes=self._max_bytes)
                file.flush()
                size_bytes = file.tell()
                gallery = self._read(file)
        except NotFoundError as error:
            raise self._missing() from error
        except TooLargeError as error:
            raise GalleryError(str(error)) from error
        except OSError as error:
            raise GalleryError(f"the gallery cannot be kept in the folder for temporary files: {error}") from error
        self._etag, self._looked_s = etag, looked_s
        _log.info("gallery_loaded", etag=etag, size_bytes=size_bytes, model=gallery.model)
        return gallery

    def changed(self) -> Gallery | None:
        """The gallery if it is another one than at the last load, else None; asks S3 once every `refresh_s`.

        Raises as `load` does.
        """
        now_s = self._steady_s()
        if now_s - self._looked_s < self._refresh_s:
            return None
        try:
            etag = self._bucket.etag(GALLERY_KEY)
        except NotFoundError as error:
            raise self._missing() from error
        if etag != self._etag:
            return self.load()
        self._looked_s = now_s
        return None

    def _missing(self) -> GalleryError:
        return GalleryError(f"there is no {GALLERY_KEY} in the bucket {self._bucket.name}; enrol a folder to make one")


class FixedRecogniser:
    """A recogniser without a gallery, which never changes."""

    def __init__(self, recogniser: Recogniser) -> None:
        self._recogniser = recogniser

    def current(self) -> Recogniser:
        """See RecogniserSource."""
        return self._recogniser


class GalleryRecogniser:
    """A recogniser that follows its gallery; `build` makes it once, and again only for another model.

    `build` raises GalleryError if the gallery is not of the model that the worker was told to use.
    """

    def __init__(self, source: GallerySource, build: Callable[[Gallery], Recogniser]) -> None:
        self._source = source
        self._build = build
        self._recogniser = build(source.load())

    def current(self) -> Recogniser:
        """The recogniser with the gallery as it is now. Raises GalleryError, WeightsError and AWS errors."""
        if (gallery := self._source.changed()) is not None:
            # Loading the networks takes seconds; a gallery of the same model goes without it.
            same_model = gallery.model == self._recogniser.model
            self._recogniser = self._recogniser.with_gallery(gallery) if same_model else self._build(gallery)
        return self._recogniser
