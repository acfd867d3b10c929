"""The embedder dlib-resnet-v1: dlib's face recognition network, 128 numbers a face."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import dlib
import numpy as np
from facecore.errors import WeightsError
from numpy.typing import NDArray
from PIL import Image

from faceworker.recogniser.extraction import Face
from faceworker.recogniser.gallery import normalised
from faceworker.recogniser.models import DLIB, Crop

_DATA_PACKAGE = "face_recognition_models"
_LANDMARKS_FILE = "shape_predictor_5_face_landmarks.dat"
_NETWORK_FILE = "dlib_face_recognition_resnet_model_v1.dat"


class DlibEmbedder:
    """dlib's 5 landmarks turn the face upright, its ResNet embeds it."""

    model = DLIB

    def __init__(self) -> None:
        """Loads both networks from the data package; raises WeightsError where it is missing or damaged."""
        folder = _data_folder()
        try:
            self._landmarks = dlib.shape_predictor(str(folder / _LANDMARKS_FILE))
            self._network = dlib.face_recognition_model_v1(str(folder / _NETWORK_FILE))
        except RuntimeError as error:
            raise WeightsError(f"dlib's networks cannot be loaded: {error}") from error

    def embed(self, picture: Image.Image, face: Face, _crop: Crop) -> NDArray[np.float32]:
        """The L2-normalised embedding of one face of an RGB picture: float32 [128]. The crop is dlib's own."""
        pixels = np.asarray(picture)
        box = dlib.rectangle(round(face.left), round(face.top), round(face.right), round(face.bottom))
        landmarks = self._landmarks(pixels, box)
        return normalised(np.array(self._network.compute_face_descriptor(pixels, landmarks), dtype=np.float32))


def _data_folder() -> Path:
    # The package is only looked up: importing it takes pkg_resources, which current setuptools no longer has.
    package = find_spec(_DATA_PACKAGE)
    if package is None or not package.submodule_search_locations:
        raise WeightsError(f"the package {_DATA_PACKAGE} is not installed; it holds dlib's networks")
    return Path(package.submodule_search_locations[0]) / "models"
