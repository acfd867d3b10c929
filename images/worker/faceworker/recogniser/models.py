"""The embedders by id: their dimensions, their crops and the distances at which they tell people apart."""

from dataclasses import dataclass

from facecore.errors import GalleryError

FACENET = "facenet-vggface2"
DLIB = "dlib-resnet-v1"
AUTO = "auto"
"""The model that the gallery was made with; for enrolment, FaceNet where its weights can be had, else dlib."""
NOOP = "noop"
"""Does no work and knows nobody: for measuring the tiers themselves."""


@dataclass(frozen=True, slots=True)
class EmbedderSpec:
    """What is fixed about one embedder."""

    dimensions: int
    """Length of its embeddings."""
    crop_px: int
    """Side of the square face crop it is made for."""
    min_crop_px: int
    max_crop_px: int
    threshold: float
    """Euclidean distance of L2-normalised embeddings above which two faces are two people."""


@dataclass(frozen=True, slots=True)
class Crop:
    """How a face is cut out for the embedder."""

    side_px: int
    """Side of the square crop."""
    margin_px: int = 0
    """What the crop shows around the detected box, in pixels of the crop, both sides together."""


SPECS = {
    # Crop: the size facenet-pytorch trained and evaluated with; below 75 px the last layers have nothing left.
    # Threshold: 1.1 % of 4,005 pairs of different people are nearer; docs/recognition.md says whose they are. At the
    # 1.05 that the FaceNet paper separates people by (Schroff et al. 2015, arXiv:1503.03832, figure 1) it is 4.5 %.
    FACENET: EmbedderSpec(dimensions=512, crop_px=160, min_crop_px=80, max_crop_px=512, threshold=0.92),
    # Crop: fixed inside dlib. Threshold: dlib gives 0.6 for its unnormalised vectors, whose norm is about 1.42, which
    # makes 0.42. On 14 photographs the same person measured 0.19 to 0.31, two people 0.45 and more.
    DLIB: EmbedderSpec(dimensions=128, crop_px=150, min_crop_px=150, max_crop_px=150, threshold=0.42),
}


def spec(model: str) -> EmbedderSpec:
    """The embedder that a gallery or a setting names; raises GalleryError for one that does not exist."""
    try:
        return SPECS[model]
    except KeyError:
        raise GalleryError(f"no such model: {model!r}; there are {', '.join(SPECS)}") from None
