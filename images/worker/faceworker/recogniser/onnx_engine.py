"""The default engine: MTCNN and both embedders as exported networks; it imports no torch."""

from __future__ import annotations

import dlib
import numpy as np
from facecore.errors import WeightsError
from numpy.typing import NDArray
from PIL import Image

from faceworker.recogniser import mtcnn, onnx_session
from faceworker.recogniser.exported import OUTPUT, PROPOSAL, REFINEMENT, ExportedNetworks
from faceworker.recogniser.extraction import Face
from faceworker.recogniser.gallery import normalised
from faceworker.recogniser.models import DLIB, FACENET, Crop


class OnnxDetector:
    """MTCNN, its cascade in numpy and its networks in ONNX Runtime."""

    def __init__(self, exported: ExportedNetworks, threads: int) -> None:
        """Loads the three networks; raises WeightsError."""
        stages = (exported.detector(stage) for stage in (PROPOSAL, REFINEMENT, OUTPUT))
        self._networks = mtcnn.Networks(*(onnx_session.load(file, threads) for file in stages))

    def detect(self, picture: Image.Image) -> list[Face]:
        """The faces on an RGB picture, largest first; empty where there is none."""
        found = mtcnn.detect(np.asarray(picture), self._networks)
        rows = zip(found.boxes.tolist(), found.scores.tolist(), found.landmarks.tolist(), strict=True)
        faces = [
            Face(left, top, right, bottom, score, tuple((x, y) for x, y in points))
            for (left, top, right, bottom), score, points in rows
        ]
        return [face for face in faces if face.shows_in(picture.size)]


class OnnxFacenet:
    """facenet-vggface2: 512 numbers a face."""

    model = FACENET

    def __init__(self, exported: ExportedNetworks, precision: str, threads: int, weights_sha256: str | None) -> None:
        """Loads the network; raises WeightsError, also where it was made of other weights than `weights_sha256`."""
        self._network = onnx_session.load(exported.embedder(FACENET, precision), threads, weights_sha256)

    def embed(self, picture: Image.Image, face: Face, crop: Crop) -> NDArray[np.float32]:
        """The L2-normalised embedding of one face of an RGB picture: float32 [512]."""
        # The network's last step is the norm.
        embedding: NDArray[np.float32] = self._network(cut_out(picture, face, crop)[None])[0][0]
        return embedding


class OnnxDlib:
    """dlib-resnet-v1: dlib turns the face upright by 5 landmarks, its ResNet runs as an exported network."""

    model = DLIB

    def __init__(self, exported: ExportedNetworks, precision: str, threads: int) -> None:
        """Loads the landmarks and the network; raises WeightsError."""
        self._network = onnx_session.load(exported.embedder(DLIB, precision), threads)
        try:
            self._landmarks = dlib.shape_predictor(str(exported.landmarks))
        except RuntimeError as error:
            raise WeightsError(f"dlib's landmarks cannot be loaded: {error}") from error

    def embed(self, picture: Image.Image, face: Face, _crop: Crop) -> NDArray[np.float32]:
        """The L2-normalised embedding of one face of an RGB picture: float32 [128]. The crop is dlib's own."""
        return normalised(self._network(self.turned_upright(picture, face)[None])[0][0])

    def turned_upright(self, picture: Image.Image, face: Face) -> NDArray[np.float32]:
        """The face as dlib cuts it out for its network: float32 [150, 150, 3] of 0 to 255."""
        pixels = np.asarray(picture)
        box = dlib.rectangle(round(face.left), round(face.top), round(face.right), round(face.bottom))
        chip: NDArray[np.uint8] = dlib.get_face_chip(pixels, self._landmarks(pixels, box))
        return chip.astype(np.float32)


def cut_out(picture: Image.Image, face: Face, crop: Crop) -> NDArray[np.float32]:
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
