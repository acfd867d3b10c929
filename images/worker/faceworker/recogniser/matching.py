"""The recogniser over a gallery: whose face is the largest one on an image."""

from __future__ import annotations

from time import perf_counter

from faceworker.recogniser.extraction import Extractor
from faceworker.recogniser.gallery import Gallery
from faceworker.recogniser.interface import Recognition
from faceworker.recogniser.memory import Growth
from faceworker.recogniser.models import Crop, spec


class MatchingRecogniser:
    """Networks that are loaded once, over a gallery that may be replaced."""

    def __init__(self, extractor: Extractor, gallery: Gallery | None) -> None:
        if gallery is not None:
            gallery.must_be_of(extractor.model)
        self._extractor = extractor
        self._gallery = gallery
        self._growth = Growth()
        self._crop = Crop(spec(extractor.model).crop_px) if gallery is None else gallery.crop

    @property
    def model(self) -> str:
        """Id of the embedder."""
        return self._extractor.model

    def recognise(self, image: bytes) -> Recognition:
        """Who the largest face on `image` is. Raises BadImageError or NoFaceError."""
        try:
            return self._recognise(image)
        finally:
            self._growth.check()

    def _recognise(self, image: bytes) -> Recognition:
        start = perf_counter()
        picture = self._extractor.decode(image)
        decoded = perf_counter()
        face = self._extractor.faces(picture)[0]
        detected = perf_counter()
        embedding = self._extractor.embed(picture, face, self._crop)
        embedded = perf_counter()
        subject, distance = (None, None) if self._gallery is None else self._gallery.match(embedding)
        timings = {
            "decode": decoded - start,
            "detect": detected - decoded,
            "embed": embedded - detected,
            "match": perf_counter() - embedded,
        }
        return Recognition(subject, distance, timings)

    def with_gallery(self, gallery: Gallery) -> MatchingRecogniser:
        """The same networks over another gallery; raises GalleryError where it does not fit the model."""
        return MatchingRecogniser(self._extractor, gallery)
