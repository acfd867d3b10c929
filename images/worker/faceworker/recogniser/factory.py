"""Builds recognisers by model id, and imports the engine of no other model than the one that is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from facecore.errors import GalleryError

from faceworker.recogniser import processors
from faceworker.recogniser.exported import FP32, ExportedNetworks
from faceworker.recogniser.interface import Recogniser
from faceworker.recogniser.models import AUTO, FACENET, NOOP, spec
from faceworker.recogniser.noop import NoopRecogniser

# torch takes seconds and hundreds of megabytes: what needs it is imported where it is used.
if TYPE_CHECKING:
    from faceworker.recogniser.extraction import Detector, Embedder, Extractor
    from faceworker.recogniser.gallery import Gallery


ONNX, TORCH = "onnx", "torch"


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
    engine: str = ONNX
    """What runs the networks: `onnx`, or the reference, `torch`."""
    precision: str = FP32
    """Numbers that the embedder computes with, `fp32` or `int8`; the torch engine has fp32 alone."""


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
    processors.limit_numpy(options.threads)
    build_networks = _torch_networks if options.engine == TORCH else _onnx_networks
    detector, embedder = build_networks(model, options)
    return Extractor(detector, embedder, options.max_pixels)


def _onnx_networks(model: str, options: RecogniserOptions) -> tuple[Detector, Embedder]:
    from faceworker.recogniser import onnx_engine

    exported = ExportedNetworks(options.cache_dir, options.weights_url)
    detector = onnx_engine.OnnxDetector(exported, options.threads)
    if model == FACENET:
        embedder = onnx_engine.OnnxFacenet(exported, options.precision, options.threads, options.weights_sha256)
        return detector, embedder
    return detector, onnx_engine.OnnxDlib(exported, options.precision, options.threads)


def _torch_networks(model: str, options: RecogniserOptions) -> tuple[Detector, Embedder]:
    from faceworker.recogniser.torch_detector import TorchDetector

    return TorchDetector(options.threads), _torch_facenet(options) if model == FACENET else _dlib()


def _torch_facenet(options: RecogniserOptions) -> Embedder:
    from faceworker.recogniser.torch_facenet import TorchFacenet
    from faceworker.recogniser.weights import WeightsSource

    source = WeightsSource(options.weights_url, options.weights_sha256, options.cache_dir)
    return TorchFacenet(source.state())


def _dlib() -> Embedder:
    from faceworker.recogniser.dlib_resnet import DlibEmbedder

    return DlibEmbedder()
