"""The embedder dlib-resnet-v1 as an exported network: 128 numbers a face."""

from __future__ import annotations

import dlib
import numpy as np
from facecore.errors import WeightsError
from facecore.settings import Model
from numpy.typing import NDArray
from PIL import Image

from faceworker.recogniser import RecogniserOptions, networks
from faceworker.recogniser.gallery import normalised
from faceworker.recogniser.models import DLIB_LANDMARKS, Crop
from faceworker.recogniser.pipeline import Face


class Embedder:
    """dlib turns the face upright by 5 landmarks, its ResNet runs in ONNX Runtime."""

    model = Model.DLIB

    def __init__(self, options: RecogniserOptions) -> None:
        """Loads the landmarks and the network; raises WeightsError."""
        self._network = networks.load(options.network(self.model), options.threads)
        try:
            self._landmarks = dlib.shape_predictor(str(options.cache_dir / DLIB_LANDMARKS))
        except RuntimeError as error:
            raise WeightsError(f"dlib's landmarks cannot be loaded: {error}; export them again") from error

    def embed(self, picture: Image.Image, face: Face, crop: Crop) -> NDArray[np.float32]:
        """The L2-normalised embedding of one face of an RGB picture: float32 [128]."""
        return normalised(self._network(self.cut_out(picture, face, crop)[None])[0][0])

    def cut_out(self, picture: Image.Image, face: Face, _crop: Crop) -> NDArray[np.float32]:
        """The face, upright, as dlib cuts it out: float32 [150, 150, 3] of 0 to 255. The crop is dlib's own."""
        pixels = np.asarray(picture)
        box = dlib.rectangle(round(face.left), round(face.top), round(face.right), round(face.bottom))
        chip: NDArray[np.uint8] = dlib.get_face_chip(pixels, self._landmarks(pixels, box))
        return chip.astype(np.float32)
