"""Builds recognisers by model id, and imports the engine of no other model than the one that is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from facecore.errors import GalleryError

from faceworker.recogniser.interface import Recogniser
from faceworker.recogniser.models import AUTO, FACENET, NOOP, spec
from faceworker.recogniser.noop import NoopRecogniser

# torch takes seconds and hundreds of megabytes: what needs it is imported where it is used.
if TYPE_CHECKING:
    from faceworker.recogniser.extraction import Detector, Embedder, Extractor
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
    """Folder that keeps downloaded weights."""


def build(model: str, gallery: Gallery | None, options: RecogniserOptions) -> Recogniser:
    """The recogniser of `model` over `gallery`; without a gallery it knows nobody.

    `auto` is the gallery's own model. Raises GalleryError where the gallery does not fit the model or `auto`
    has none to go by, and WeightsError where the model's weights cannot be had.
    """
    if model == NOOP:
        return NoopRecogniser()
    if model == AUTO:
        if gallery is None:
            raise GalleryError("the model is to be the gallery's, and there is no gallery: enrol one first")
        model = gallery.model
    if gallery is not None:
        gallery.must_be_of(model)
    from faceworker.recogniser.matching import MatchingRecogniser

    return MatchingRecogniser(build_extractor(model, options), gallery)


def build_extractor(model: str, options: RecogniserOptions) -> Extractor:
    """Decoder, detector and embedder of `model`; raises GalleryError for an unknown model, and WeightsError."""
    from faceworker.recogniser.extraction import Extractor

    spec(model)
    embedder = _facenet(options) if model == FACENET else _dlib()
    return Extractor(_detector(options), embedder, options.max_pixels)


def _detector(options: RecogniserOptions) -> Detector:
    from faceworker.recogniser.detector import MtcnnDetector

    return MtcnnDetector(options.threads)


def _facenet(options: RecogniserOptions) -> Embedder:
    from faceworker.recogniser.facenet import FacenetEmbedder
    from faceworker.recogniser.weights import WeightsSource

    source = WeightsSource(options.weights_url, options.weights_sha256, options.cache_dir)
    return FacenetEmbedder(source.state())


def _dlib() -> Embedder:
    from faceworker.recogniser.dlib_resnet import DlibEmbedder

    return DlibEmbedder()
