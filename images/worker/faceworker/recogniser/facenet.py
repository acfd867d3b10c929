"""The embedder facenet-vggface2 as an exported network: 512 numbers a face."""

from __future__ import annotations

import numpy as np
from facecore.settings import Model
from numpy.typing import NDArray
from PIL import Image

from faceworker.recogniser import RecogniserOptions, networks
from faceworker.recogniser.models import Crop
from faceworker.recogniser.pipeline import Face


class Embedder:
    """InceptionResnetV1 in ONNX Runtime."""

    model = Model.FACENET

    def __init__(self, options: RecogniserOptions) -> None:
        """Loads the network; raises WeightsError, also if it was made of other weights than the options name."""
        self._network = networks.load(options.network(self.model), options.threads, options.weights_sha256)

    def embed(self, picture: Image.Image, face: Face, crop: Crop) -> NDArray[np.float32]:
        """The L2-normalised embedding of one face of an RGB picture: float32 [512]."""
        # The network's last step is the norm.
        embedding: NDArray[np.float32] = self._network(self.cut_out(picture, face, crop)[None])[0][0]
        return embedding

    def cut_out(self, picture: Image.Image, face: Face, crop: Crop) -> NDArray[np.float32]:
        """The face as facenet-pytorch's `extract_face` cuts it out: float32 [side, side, 3] of 0 to 255."""
        part = crop.margin_px / (crop.side_px - crop.margin_px) / 2
        across, down = part * (face.right - face.left), part * (face.bottom - face.top)
        box = (
            int(max(face.left - across, 0)),
            int(max(face.top - down, 0)),
            int(min(face.right + across, picture.width)),
            int(min(face.bottom + down, picture.height)),
        )
        side = (crop.side_px, crop.side_px)
        return np.asarray(picture.crop(box).resize(side, Image.Resampling.BILINEAR), dtype=np.float32)
