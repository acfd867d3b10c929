"""facenet-pytorch itself: its MTCNN, and its InceptionResnetV1, which is the embedder facenet-vggface2.

Import the package facenet-pytorch from here: torchvision, which it needs, may be importable only after this module.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping
from importlib.machinery import EXTENSION_SUFFIXES, ExtensionFileLoader, FileFinder
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from facecore.settings import Model
from numpy.typing import NDArray
from PIL import Image

from faceworker.recogniser import RecogniserOptions
from faceworker.recogniser.models import Crop
from faceworker.recogniser.mtcnn import MIN_FACE_PX
from faceworker.recogniser.pipeline import Face
from faceworker.reference.weights import WeightsSource

__all__ = ["Detector", "Embedder", "facenet_pytorch", "inception", "nms"]

_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
# Over 480 pictures of random shapes, a process with torch grew by 160 MiB and on; with this bound instead of oneDNN's
# own 1,024 shapes, and that of the heap, it stops.
KERNEL_CACHE_VARIABLE = "ONEDNN_PRIMITIVE_CACHE_CAPACITY"
# Shapes whose kernels oneDNN keeps; more of them save no time that can be measured.
_KERNEL_CACHE_SHAPES = "64"


def nms(boxes: torch.Tensor, scores: torch.Tensor, iou_threshold: float) -> torch.Tensor:
    """Indices (int64) of the boxes that stay, by falling score, as `torchvision.ops.nms` defines it.

    `boxes` is [n, 4] of (left, top, right, bottom), `scores` [n]. A box is dropped if its intersection over
    union with a box of a higher score is over `iou_threshold`.
    """
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    order = scores.argsort(descending=True, stable=True)
    kept = []
    while order.numel():
        best, rest = order[0], order[1:]
        kept.append(best)
        corners = torch.maximum(boxes[best, :2], boxes[rest, :2]), torch.minimum(boxes[best, 2:], boxes[rest, 2:])
        shared = (corners[1] - corners[0]).clamp(min=0).prod(dim=1)
        order = rest[shared <= iou_threshold * (areas[best] + areas[rest] - shared)]
    return torch.stack(kept) if kept else torch.empty(0, dtype=torch.int64)


def _compiled_operators_load() -> bool:
    package = find_spec("torchvision")
    if package is None or package.origin is None:
        raise ModuleNotFoundError("torchvision is not installed; install the extra named worker-torch")
    finder = FileFinder(str(Path(package.origin).parent), (ExtensionFileLoader, EXTENSION_SUFFIXES))
    compiled = finder.find_spec("_C")
    if compiled is None or compiled.origin is None:
        return False
    try:
        torch.ops.load_library(compiled.origin)  # type: ignore[no-untyped-call]
    except OSError:
        return False
    return True


# facenet-pytorch imports torchvision and uses one operator of it: non-maximum suppression. A torchvision wheel that was
# built for CUDA does not find its libraries beside a CPU build of torch, and then even `import torchvision` fails: here
# `nms` takes the operator's place.
if not _compiled_operators_load():
    # A name of the module: the operators go when their library is collected.
    _STAND_INS = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
    for _schema in _SCHEMAS:
        _STAND_INS.define(_schema)  # type: ignore[no-untyped-call]
    _STAND_INS.impl("nms", nms, "CPU")  # type: ignore[no-untyped-call]
    # The operators must be defined before torchvision is imported, and its own check replaced after.
    importlib.import_module("torchvision.extension")._has_ops = lambda: True  # type: ignore[attr-defined]

import facenet_pytorch  # noqa: E402


class Detector:
    """facenet-pytorch's own MTCNN on the CPU; its weights are in its package."""

    def __init__(self, options: RecogniserOptions) -> None:
        """Loads the networks, and sets the threads of all of torch in this process."""
        torch.set_num_threads(options.threads)
        # Before the first inference, and through the environment: torch does not export oneDNN's function for this.
        os.environ.setdefault(KERNEL_CACHE_VARIABLE, _KERNEL_CACHE_SHAPES)
        self._mtcnn = facenet_pytorch.MTCNN(keep_all=True, min_face_size=MIN_FACE_PX)

    def detect(self, picture: Image.Image) -> list[Face]:
        """The faces on an RGB picture, largest first; empty if there is none."""
        # The pyramid of scales is empty below that, on which MTCNN fails.
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


class Embedder:
    """facenet-pytorch's own crop and InceptionResnetV1 on the CPU."""

    model = Model.FACENET

    def __init__(self, options: RecogniserOptions) -> None:
        """Loads the network, whose weights are fetched if they are not in the cache; raises WeightsError."""
        self._network = inception(WeightsSource(options).state())

    def embed(self, picture: Image.Image, face: Face, crop: Crop) -> NDArray[np.float32]:
        """The L2-normalised embedding of one face of an RGB picture: float32 [512]."""
        box = [face.left, face.top, face.right, face.bottom]
        pixels = facenet_pytorch.extract_face(picture, box, crop.side_px, crop.margin_px)
        with torch.inference_mode():
            batch = self._network(facenet_pytorch.fixed_image_standardization(pixels).unsqueeze(0))
        embedding: NDArray[np.float32] = batch[0].numpy()
        return embedding


def inception(state: Mapping[str, torch.Tensor]) -> torch.nn.Module:
    """InceptionResnetV1 for inference with the checked tensors of `state`, which it takes over."""
    # On the meta device no time goes into random weights that are replaced at once.
    with torch.device("meta"):
        network: torch.nn.Module = facenet_pytorch.InceptionResnetV1()
    network.load_state_dict(state, assign=True)
    return network.eval()
