"""What the worker knows of recognition: image bytes in, a subject or an error out."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from facecore.settings import Model

from faceworker.recogniser.models import Engine, Precision, spec

# numpy takes a tenth of a second, which a worker that does no work need not wait for.
if TYPE_CHECKING:
    from faceworker.recogniser.gallery import Gallery


@dataclass(frozen=True, slots=True)
class RecogniserOptions:
    """What a recogniser is built with, whatever its model."""

    threads: int
    """Threads that one inference uses."""
    max_pixels: int
    """Largest image that is decoded, in pixels."""
    weights_url: str
    """Where FaceNet's weights come from."""
    weights_sha256: str | None
    """SHA-256 that those weights must have, in hexadecimal; None compares nothing."""
    cache_dir: Path
    """Folder that keeps downloaded weights and exported networks."""
    engine: Engine = Engine.ONNX
    precision: Precision = Precision.FP32
    """The torch engine has fp32 alone."""

    def cached(self, model: str, suffix: str) -> Path:
        """The file of `model` with this suffix in the cache folder; weights of another URL get another file."""
        name = str(model)
        if spec(model).weights is None:
            name += f"-{hashlib.sha256(self.weights_url.encode()).hexdigest()[:12]}"
        return self.cache_dir / f"{name}{suffix}"

    def network(self, model: str) -> Path:
        """The exported network of `model`, in the precision of these options."""
        return self.cached(model, f"-{self.precision}.onnx")


@dataclass(frozen=True, slots=True)
class Recognition:
    """Who is on an image: the subject that is nearest to the largest face, or None if none is near enough."""

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
        """The same networks over another gallery; raises GalleryError if it does not fit the model."""


class NoopRecogniser:
    """Answers `unknown` to any bytes at once: it measures the tiers around it."""

    model = Model.NOOP

    def recognise(self, _image: bytes) -> Recognition:
        """See Recogniser."""
        return Recognition(subject=None, distance=None)

    def with_gallery(self, _gallery: Gallery) -> NoopRecogniser:
        """See Recogniser."""
        return self
