"""The torch engine's embedder facenet-vggface2: facenet-pytorch's InceptionResnetV1, 512 numbers a face."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from faceworker.recogniser import torchvision_ops
from faceworker.recogniser.extraction import Face
from faceworker.recogniser.models import FACENET, Crop


class TorchFacenet:
    """InceptionResnetV1 on the CPU."""

    model = FACENET

    def __init__(self, state: Mapping[str, torch.Tensor]) -> None:
        """Takes the network's checked tensors over, as `WeightsSource.state` gives them."""
        torchvision_ops.ensure()
        import facenet_pytorch

        # On the meta device no time goes into random weights that are replaced at once.
        with torch.device("meta"):
            network = facenet_pytorch.InceptionResnetV1()
        network.load_state_dict(state, assign=True)
        self._network = network.eval()
        self._cut_out = facenet_pytorch.extract_face
        self._standardise = facenet_pytorch.fixed_image_standardization

    def embed(self, picture: Image.Image, face: Face, crop: Crop) -> NDArray[np.float32]:
        """The L2-normalised embedding of one face of an RGB picture: float32 [512]."""
        box = [face.left, face.top, face.right, face.bottom]
        pixels = self._cut_out(picture, box, crop.side_px, crop.margin_px)
        with torch.inference_mode():
            batch = self._network(self._standardise(pixels).unsqueeze(0))
        embedding: NDArray[np.float32] = batch[0].numpy()
        return embedding
