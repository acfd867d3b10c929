"""Builds recognisers, and imports the modules of one engine and one model only."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from facecore.errors import GalleryError, SettingsError
from facecore.settings import Model

from faceworker.recogniser import NoopRecogniser, Recogniser, RecogniserOptions, processors
from faceworker.recogniser.models import Engine, spec

# Modules of an engine are imported by name when a recogniser is built: torch takes seconds and hundreds of megabytes.
if TYPE_CHECKING:
    from faceworker.recogniser.gallery import Gallery
    from faceworker.recogniser.pipeline import Detector, Embedder, Extractor

# Where the embedders' modules are.
_PACKAGES = {Engine.ONNX: "faceworker.recogniser", Engine.TORCH: "faceworker.reference"}
_DETECTORS = {Engine.ONNX: "faceworker.recogniser.mtcnn", Engine.TORCH: "faceworker.reference.facenet"}


def recogniser(model: Model, gallery: Gallery | None, options: RecogniserOptions) -> Recogniser:
    """The recogniser of `model` over `gallery`, which all models but `noop` need; `auto` is the gallery's own model.

    Raises GalleryError if there is no gallery or it is of another model, and what `extractor` raises.
    """
    if model is Model.NOOP:
        return NoopRecogniser()
    if gallery is None:
        raise GalleryError(f"{model} needs a gallery, and there is none: enrol one first")
    if model is not Model.AUTO:
        gallery.must_be_of(model)
    from faceworker.recogniser.pipeline import MatchingRecogniser

    return MatchingRecogniser(extractor(gallery.model, options), gallery)


def extractor(model: str, options: RecogniserOptions) -> Extractor:
    """Decoder, detector and embedder of `model`.

    Raises GalleryError for an unknown model, WeightsError if its networks or weights are missing or not what they
    should be, and SettingsError if the engine is not installed.
    """
    row = spec(model)
    from faceworker.recogniser.pipeline import Extractor

    # Only a library that is loaded can be limited, and the pipeline loads numpy.
    processors.limit_numpy(options.threads)
    try:
        detector_module = import_module(_DETECTORS[options.engine])
        embedder_module = import_module(f"{_PACKAGES[options.engine]}.{row.module}")
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"EFACE_ENGINE={options.engine} is not installed here ({error}): use the image of this engine, "
            "or install its extra"
        ) from error
    detector: Detector = detector_module.Detector(options)
    embedder: Embedder = embedder_module.Embedder(options)
    return Extractor(detector, embedder, options.max_pixels)
