"""The face detector: facenet-pytorch's MTCNN, whose weights are in its package."""

from __future__ import annotations

import torch
from PIL import Image

from faceworker.recogniser import memory, torchvision_ops
from faceworker.recogniser.extraction import Face

MIN_FACE_PX = 20
"""Smallest side of a face that MTCNN looks for; its own default."""


class MtcnnDetector:
    """MTCNN on the CPU."""

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
        boxes, probabilities = self._mtcnn.detect(picture)
        if boxes is None:
            return []
        faces = [
            Face(left, top, right, bottom, float(probability))
            for (left, top, right, bottom), probability in zip(boxes.tolist(), probabilities, strict=True)
        ]
        return [face for face in faces if _shows_in(face, picture.size)]


def _shows_in(face: Face, size: tuple[int, int]) -> bool:
    """Whether at least one whole pixel of the box lies in the picture; boxes may reach beyond it."""
    width = int(min(face.right, size[0])) - int(max(face.left, 0))
    height = int(min(face.bottom, size[1])) - int(max(face.top, 0))
    return width >= 1 and height >= 1
