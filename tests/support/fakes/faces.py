"""Stand-ins for the recogniser's networks, galleries to match against, and the photographs in tests/faces."""

from datetime import UTC, datetime
from io import BytesIO

import numpy as np
from facecore.settings import Model
from faceworker.recogniser.gallery import Gallery, normalised
from faceworker.recogniser.models import Crop, spec
from faceworker.recogniser.pipeline import Extractor, Face
from numpy.typing import NDArray
from PIL import Image

from support.ground import TESTS

FACES = TESTS / "faces"
CREATED_AT = datetime(2025, 1, 2, 3, 4, 5, tzinfo=UTC)
MAX_PIXELS = 40_000_000


class ColourDetector:
    """Finds the faces that a picture's upper left pixel stands for: none on black, two on white, else one."""

    def detect(self, picture: Image.Image) -> list[Face]:
        colour = picture.getpixel((0, 0))
        face = Face(0, 0, picture.width, picture.height, 0.99)
        second = Face(0, 0, picture.width / 2, picture.height / 2, 0.99)
        return {(0, 0, 0): [], (255, 255, 255): [face, second]}.get(colour, [face])


class ColourEmbedder:
    """Embeds a face as the colour in its picture's upper left pixel."""

    def __init__(self, model: str = Model.DLIB) -> None:
        self.model = model
        self.crops: list[Crop] = []

    def embed(self, picture: Image.Image, _face: Face, crop: Crop) -> NDArray[np.float32]:
        self.crops.append(crop)
        vector = np.zeros(spec(self.model).dimensions, dtype=np.float32)
        vector[:3] = picture.getpixel((0, 0))
        return normalised(vector)


def colour_extractor(model: str = Model.DLIB) -> Extractor:
    """An extractor that knows people by the colour of their picture."""
    return Extractor(ColourDetector(), ColourEmbedder(model), MAX_PIXELS)


def picture(colour: str, size: tuple[int, int] = (32, 32), file_format: str = "PNG") -> bytes:
    """An image file of one colour."""
    return image_file(Image.new("RGB", size, colour), file_format)


def image_file(image: Image.Image, file_format: str, **options: object) -> bytes:
    """`image` as a file's bytes."""
    target = BytesIO()
    image.save(target, file_format, **options)
    return target.getvalue()


def gallery(model: str = Model.DLIB, names: tuple[str, ...] = ("Anna", "Béla"), **changes: object) -> Gallery:
    """A gallery in which the n-th name's embedding points along the n-th axis."""
    limits = spec(model)
    fields = {
        "embeddings": np.eye(len(names), limits.dimensions, dtype=np.float32),
        "names": names,
        "model": model,
        "crop_px": limits.crop_px,
        "margin_px": 0,
        "threshold": limits.threshold,
        "created_at": CREATED_AT,
    }
    return Gallery(**(fields | changes))
