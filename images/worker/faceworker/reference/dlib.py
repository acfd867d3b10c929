"""The embedder dlib-resnet-v1 by dlib itself: 128 numbers a face."""

from __future__ import annotations

import dlib
import numpy as np
from facecore.errors import WeightsError
from facecore.settings import Model
from numpy.typing import NDArray
from PIL import Image

from faceworker.recogniser import RecogniserOptions
from faceworker.recogniser.gallery import normalised
from faceworker.recogniser.models import DLIB_LANDMARKS, Crop, spec
from faceworker.recogniser.pipeline import Face
from faceworker.reference import weights


class Embedder:
    """dlib's 5 landmarks turn the face upright, its ResNet embeds it."""

    model = Model.DLIB

    def __init__(self, options: RecogniserOptions) -> None:
        """Loads both networks from their package; raises WeightsError if it is missing or damaged."""
        landmarks = weights.packaged(spec(self.model).companions[DLIB_LANDMARKS])
        try:
            self._landmarks = dlib.shape_predictor(str(landmarks))
            self._network = dlib.face_recognition_model_v1(str(weights.located(self.model, options)))
        except RuntimeError as error:
            raise WeightsError(f"dlib's networks cannot be loaded: {error}") from error

    def embed(self, picture: Image.Image, face: Face, _crop: Crop) -> NDArray[np.float32]:
        """The L2-normalised embedding of one face of an RGB picture: float32 [128]. The crop is dlib's own."""
        pixels = np.asarray(picture)
        box = dlib.rectangle(round(face.left), round(face.top), round(face.right), round(face.bottom))
        landmarks = self._landmarks(pixels, box)
        return normalised(np.array(self._network.compute_face_descriptor(pixels, landmarks), dtype=np.float32))
