"""The face detector of the torch engine: facenet-pytorch's MTCNN, whose weights are in its package."""

from __future__ import annotations

import torch
from PIL import Image

from faceworker.recogniser import memory, torchvision_ops
from faceworker.recogniser.extraction import Face
from faceworker.recogniser.mtcnn import MIN_FACE_PX


class TorchDetector:
    """facenet-pytorch's own MTCNN on the CPU."""

    def __init__(self, threads: int) -> None:
        """Loads the networks; `threads` is for all of torch in this process, whose setting is global."""
        torchvision_ops.ensure()
        from facenet_pytorch import MTCNN

        torch.set_num_threads(threads)
        memory.bound_kernel_cache()
        self._mtcnn = MTCNN(keep_all=True, min_face_size=MIN_FACE_PX)

    def detect(self, picture: Image.Image) -> list[Face]:
        """The faces on an RGB picture, largest first; empty where there is none."""
        # MTCNN's pyramid of scales is empty below the smallest face, and it fails on that.
        if min(picture.size) < MIN_FACE_PX:
            return []
        boxes, probabilities, landmarks = self._mtcnn.detect(picture, landmarks=True)
        if boxes is None:
            return []
        rows = zip(boxes.tolist(), probabilities, landmarks.tolist(), strict=True)
        faces = [
            Face(left, top, right, bottom, float(probability), tuple((x, y) for x, y in points))
            for (left, top, right, bottom), probability, points in rows
        ]
        return [face for face in faces if face.shows_in(picture.size)]
