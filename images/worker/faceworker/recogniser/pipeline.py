"""From image bytes to a subject: decode, detect, embed, match."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter
from typing import Protocol

import numpy as np
from facecore.errors import NoFaceError
from numpy.typing import NDArray
from PIL import Image

from faceworker.recogniser import Recognition
from faceworker.recogniser.gallery import Gallery
from faceworker.recogniser.heap import Growth
from faceworker.recogniser.models import Crop
from faceworker.recogniser.picture import decode


@dataclass(frozen=True, slots=True)
class Face:
    """Where a face is, in pixels of the picture; parts of the box may lie outside of it."""

    left: float
    top: float
    right: float
    bottom: float
    probability: float
    """What the detector gives for this being a face, 0 to 1."""
    landmarks: tuple[tuple[float, float], ...] = ()
    """x, y of the left and right eye as the picture shows them, the nose, the left and right corner of the mouth;
    empty if the detector gives none."""

    @property
    def area(self) -> float:
        """Pixels of the box."""
        return (self.right - self.left) * (self.bottom - self.top)

    def shows_in(self, size: tuple[int, int]) -> bool:
        """Whether at least one whole pixel of the box lies in a picture of this width and height."""
        width = int(min(self.right, size[0])) - int(max(self.left, 0))
        height = int(min(self.bottom, size[1])) - int(max(self.top, 0))
        return width >= 1 and height >= 1


class Detector(Protocol):
    """Finds faces."""

    def detect(self, picture: Image.Image) -> list[Face]:
        """The faces on an RGB picture, largest first; empty if there is none."""


class Embedder(Protocol):
    """A network that turns a face into a vector."""

    @property
    def model(self) -> str:
        """Id, as galleries name it."""

    def embed(self, picture: Image.Image, face: Face, crop: Crop) -> NDArray[np.float32]:
        """The L2-normalised embedding of one face of an RGB picture: float32 [dimensions]."""


class Extractor:
    """The networks of one model, without a gallery."""

    def __init__(self, detector: Detector, embedder: Embedder, max_pixels: int) -> None:
        self._detector = detector
        self._embedder = embedder
        self._max_pixels = max_pixels

    @property
    def model(self) -> str:
        """Id of the embedder."""
        return self._embedder.model

    def decode(self, content: bytes) -> Image.Image:
        """The upright RGB picture that `content` holds, scaled down; raises BadImageError."""
        return decode(content, max_pixels=self._max_pixels)

    def faces(self, picture: Image.Image) -> list[Face]:
        """The faces of a picture, largest first, at least one; raises NoFaceError."""
        if not (faces := self._detector.detect(picture)):
            raise NoFaceError("no face was found on the image")
        return faces

    def embed(self, picture: Image.Image, face: Face, crop: Crop) -> NDArray[np.float32]:
        """The L2-normalised embedding of `face`: float32 [dimensions]."""
        return self._embedder.embed(picture, face, crop)


class MatchingRecogniser:
    """Networks that are loaded once, over a gallery that may be replaced."""

    def __init__(self, extractor: Extractor, gallery: Gallery) -> None:
        gallery.must_be_of(extractor.model)
        self._extractor = extractor
        self._gallery = gallery
        self._growth = Growth()

    @property
    def model(self) -> str:
        """Id of the embedder."""
        return self._extractor.model

    def recognise(self, image: bytes) -> Recognition:
        """Who the largest face on `image` is. Raises BadImageError or NoFaceError."""
        try:
            start = perf_counter()
            picture = self._extractor.decode(image)
            decoded = perf_counter()
            face = self._extractor.faces(picture)[0]
            detected = perf_counter()
            embedding = self._extractor.embed(picture, face, self._gallery.crop)
            embedded = perf_counter()
            subject, distance = self._gallery.match(embedding)
            timings = {
                "decode": decoded - start,
                "detect": detected - decoded,
                "embed": embedded - detected,
                "match": perf_counter() - embedded,
            }
            return Recognition(subject, distance, timings)
        finally:
            self._growth.check()

    def with_gallery(self, gallery: Gallery) -> MatchingRecogniser:
        """The same networks over another gallery; raises GalleryError if it does not fit the model."""
        return MatchingRecogniser(self._extractor, gallery)
