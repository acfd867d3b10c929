"""How far the ONNX engine's answers are from the reference's, on the same pictures.

`python tools/parity.py [COUNT]` compares all photographs and COUNT variations (200) and prints the worst of each.
"""

import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from facecore.settings import Model
from faceworker import build
from faceworker.recogniser import RecogniserOptions
from faceworker.recogniser.models import SPECS, Crop, Engine, spec
from faceworker.recogniser.pipeline import Face
from PIL import Image

CROPS_PX = (160, 240)


@dataclass
class Difference:
    """The worst over a number of pictures."""

    pictures: int = 0
    faces: int = 0
    miscounted: int = 0
    """Pictures on which the engines find different numbers of faces."""
    box_px: float = 0.0
    landmark_px: float = 0.0
    cosine: float = 1.0
    """The least of the embeddings' cosines."""


def compare(
    pictures: Iterable[tuple[str, Image.Image]], models: Iterable[str], options: RecogniserOptions
) -> Difference:
    """Compares detector and embedders on each picture; each engine embeds the largest face that it found itself."""
    torch = {model: build.extractor(model, replace(options, engine=Engine.TORCH)) for model in models}
    onnx = {model: build.extractor(model, options) for model in models}
    worst = Difference()
    for _name, picture in pictures:
        expected, found = (next(iter(engine.values()))._detector.detect(picture) for engine in (torch, onnx))
        worst.pictures += 1
        worst.faces += len(expected)
        if len(expected) != len(found):
            worst.miscounted += 1
            continue
        for one, other in zip(expected, found, strict=True):
            worst.box_px = max(worst.box_px, float(np.abs(_box(one) - _box(other)).max()))
            marks = np.subtract(one.landmarks, other.landmarks)
            worst.landmark_px = max(worst.landmark_px, float(np.abs(marks).max()))
        if expected:
            for model, reference in torch.items():
                for side_px in CROPS_PX if model == Model.FACENET else [spec(model).crop_px]:
                    crop = Crop(side_px)
                    left = reference.embed(picture, expected[0], crop)
                    right = onnx[model].embed(picture, found[0], crop)
                    worst.cosine = min(worst.cosine, float(left @ right))
    return worst


def _box(face: Face) -> np.ndarray:
    return np.array([face.left, face.top, face.right, face.bottom])


def main(count: int) -> None:
    """Prints the worst differences over the photographs and `count` variations."""
    from faceworker.export.__main__ import main as export
    from support.fakes.facenet_weights import served
    from support.photographs import photographs, variations

    with tempfile.TemporaryDirectory() as folder, served() as url:
        environment = {"EFACE_MODEL": "auto", "EFACE_CACHE_DIR": folder, "EFACE_WEIGHTS_URL": url}
        assert export(environment) == 0
        options = RecogniserOptions(2, 40_000_000, url, None, Path(folder))
        pictures = photographs()
        for what, some in (
            ("photographs", pictures.items()),
            ("variations", variations(pictures, count, seed=4)),
        ):
            print(what, compare(some, SPECS, options))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
