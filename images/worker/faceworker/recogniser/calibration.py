"""Faces that int8 networks are calibrated on: a few photographs with the project, each in several variations."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files

import numpy as np
from facecore.errors import WeightsError
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageOps

from faceworker.recogniser.exported import FP32, ExportedNetworks
from faceworker.recogniser.extraction import Face
from faceworker.recogniser.models import DLIB, Crop, spec
from faceworker.recogniser.onnx_engine import OnnxDetector, OnnxDlib, cut_out
from faceworker.recogniser.picture import MAX_SIDE_PX, decode

_BRIGHTNESS = (0.45, 1.0, 1.5)
_SMALL_PX = 96
"""Longer side of the small variations: what a face far away looks like once it is enlarged to the crop."""


def crops(model: str, exported: ExportedNetworks) -> list[NDArray[np.float32]]:
    """The crops of all variations, float32 [side, side, 3] of 0 to 255, as the network of `model` takes them.

    MTCNN, and for dlib its fp32 network, must be exported already; raises WeightsError.
    """
    detector = OnnxDetector(exported, threads=1)
    aligner = OnnxDlib(exported, FP32, threads=1) if model == DLIB else None
    found = []
    for picture in _pictures():
        faces = detector.detect(picture)
        if not faces:
            raise WeightsError("a photograph for the calibration shows no face")
        for variation, face in _variations(picture, faces[0]):
            found.append(
                cut_out(variation, face, Crop(spec(model).crop_px))
                if aligner is None
                else aligner.turned_upright(variation, face)
            )
    return found


def _pictures() -> Iterator[Image.Image]:
    folder = files("faceworker.recogniser") / "calibration_faces"
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if entry.name.endswith(".jpg"):
            yield decode(entry.read_bytes(), max_pixels=MAX_SIDE_PX**2)


def _variations(picture: Image.Image, face: Face) -> Iterator[tuple[Image.Image, Face]]:
    mirrored = Face(picture.width - face.right, face.top, picture.width - face.left, face.bottom, face.probability)
    for upright, box in ((picture, face), (ImageOps.mirror(picture), mirrored)):
        for brightness in _BRIGHTNESS:
            yield ImageEnhance.Brightness(upright).enhance(brightness), box
        factor = _SMALL_PX / max(upright.size)
        small = upright.resize((round(upright.width * factor), round(upright.height * factor)))
        left, top, right, bottom = (factor * side for side in (box.left, box.top, box.right, box.bottom))
        yield small, Face(left, top, right, bottom, box.probability)
