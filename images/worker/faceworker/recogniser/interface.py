"""What the worker knows of recognition: bytes in, a subject or an error out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from faceworker.recogniser.gallery import Gallery


@dataclass(frozen=True, slots=True)
class Recognition:
    """Who is on an image: the largest face's nearest subject, or nobody (`subject` is None)."""

    subject: str | None
    distance: float | None
    """Euclidean distance of the L2-normalised embeddings to the nearest of the gallery, 0 to 2; None without one."""
    timings: dict[str, float] = field(default_factory=dict)
    """Seconds by phase: decode, detect, embed, match."""


class Recogniser(Protocol):
    """Detector, embedder and gallery behind one call."""

    @property
    def model(self) -> str:
        """Id of the embedder, as galleries name it."""

    def recognise(self, image: bytes) -> Recognition:
        """Who is on `image`. Raises BadImageError or NoFaceError, and nothing else for any input."""

    def with_gallery(self, gallery: Gallery) -> Recogniser:
        """The same networks over another gallery; raises GalleryError where it does not fit the model."""
