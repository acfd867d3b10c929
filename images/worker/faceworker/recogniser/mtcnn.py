"""The face detector: MTCNN's cascade in numpy, its three networks in ONNX Runtime.

The cascade follows `facenet_pytorch.models.utils.detect_face` of facenet-pytorch 2.5.3 step for step: Zhang et al. 2016
(arXiv:1604.02878), with area resampling and the upstream code's own rounding, which the names below keep apart.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from faceworker.recogniser import RecogniserOptions, networks
from faceworker.recogniser.networks import Run
from faceworker.recogniser.pipeline import Face
from faceworker.recogniser.resampling import AreaSampler

# The networks, by the names of their files without the suffix. Each takes pixels, float32 [n, height, width, 3] of 0 to
# 255, and gives:
# - proposal: offsets [n, 4, rows, columns] and scores [n, 1, rows, columns], a cell for each 2 px
# - refinement, of crops of 24 px: offsets [n, 4] and scores [n, 1]
# - output, of crops of 48 px: offsets [n, 4], landmarks [n, 10] in parts of the box, x before y, and scores [n, 1]
PROPOSAL, REFINEMENT, OUTPUT = "mtcnn-proposal", "mtcnn-refinement", "mtcnn-output"

# Smallest side of a face that is looked for; facenet-pytorch's default.
MIN_FACE_PX = 20
# Step of the pyramid: half the area; facenet-pytorch's default.
SCALE_FACTOR = 0.709
# Least score to pass each of the three networks; facenet-pytorch's defaults.
PROPOSAL_SCORE, REFINED_SCORE, FACE_SCORE = 0.6, 0.7, 0.7
_CELL_PX, _STRIDE_PX = 12, 2
_REFINE_PX, _OUTPUT_PX = 24, 48
# Crops that a network takes at once: more of them fall out of the processor's cache and take memory.
_BATCH = 64
# Boxes that are compared with all others at once.
_ROWS = 128
_LANDMARKS = 5

Floats = NDArray[np.float32]


class Detector:
    """MTCNN over one picture at a time."""

    def __init__(self, options: RecogniserOptions) -> None:
        """Loads the three networks; raises WeightsError."""
        self._proposal, self._refinement, self._output = (
            networks.load(options.cache_dir / f"{name}.onnx", options.threads)
            for name in (PROPOSAL, REFINEMENT, OUTPUT)
        )

    def detect(self, picture: Image.Image) -> list[Face]:
        """The faces on an RGB picture, largest first; empty if there is none."""
        # The pyramid of scales is empty below that, on which upstream fails.
        if min(picture.size) < MIN_FACE_PX:
            return []
        sampler = AreaSampler(np.asarray(picture))
        boxes = self._proposed(sampler)
        if len(boxes):
            boxes = self._refined(sampler, boxes)
        faces = self._located(sampler, boxes) if len(boxes) else []
        return [face for face in faces if face.shows_in(picture.size)]

    def _proposed(self, sampler: AreaSampler) -> Floats:
        """The first stage: squares [n, 4] in which a face may be."""
        height, width = sampler.shape
        proposals = []
        for scale in scales(height, width):
            resized = sampler.resized(int(height * scale + 1), int(width * scale + 1))
            offsets, scores = self._proposal(resized[None])
            rows, columns = np.nonzero(scores[0, 0] >= np.float32(PROPOSAL_SCORE))
            corner = np.stack([columns, rows], axis=1).astype(np.float32) * np.float32(_STRIDE_PX)
            start = np.floor((corner + np.float32(1)) / np.float32(scale))
            end = np.floor((corner + np.float32(_CELL_PX)) / np.float32(scale))
            # A row for each cell: its box in the picture [4], its score, its offsets [4].
            cells = [start, end, scores[0, 0][rows, columns, None], offsets[0][:, rows, columns].T]
            found = np.concatenate(cells, axis=1)
            proposals.append(found[suppress(found[:, :4], found[:, 4], 0.5)])
        found = np.concatenate(proposals)
        found = found[suppress(found[:, :4], found[:, 4], 0.7)]
        sides = found[:, 2:4] - found[:, :2]
        return _square(found[:, :4] + found[:, 5:] * np.tile(sides, 2))

    def _refined(self, sampler: AreaSampler, boxes: Floats) -> Floats:
        """The second stage: squares [n, 4] that still look like a face."""
        offsets, scores = _batched(self._refinement, sampler, boxes, _REFINE_PX)
        passed = scores[:, 0] > np.float32(REFINED_SCORE)
        boxes, score, offsets = boxes[passed], scores[passed, 0], offsets[passed]
        kept = suppress(boxes, score, 0.7)
        return _square(_moved(boxes[kept], offsets[kept]))

    def _located(self, sampler: AreaSampler, boxes: Floats) -> list[Face]:
        """The third stage: the faces with their landmarks, largest first."""
        offsets, marks, scores = _batched(self._output, sampler, boxes, _OUTPUT_PX)
        passed = scores[:, 0] > np.float32(FACE_SCORE)
        boxes, score, offsets, marks = boxes[passed], scores[passed, 0], offsets[passed], marks[passed]
        sides = boxes[:, 2:] - boxes[:, :2] + 1
        landmarks = marks.reshape(-1, 2, _LANDMARKS) * sides[:, :, None] + boxes[:, :2, None] - 1
        boxes = _moved(boxes, offsets)
        kept = suppress_contained(boxes, score, 0.7)
        boxes, score, landmarks = boxes[kept], score[kept], landmarks.transpose(0, 2, 1)[kept]
        sides = boxes[:, 2:] - boxes[:, :2]
        order = np.argsort(sides[:, 0] * sides[:, 1])[::-1]
        rows = zip(boxes[order].tolist(), score[order].tolist(), landmarks[order].tolist(), strict=True)
        return [
            Face(left, top, right, bottom, probability, tuple((x, y) for x, y in points))
            for (left, top, right, bottom), probability, points in rows
        ]


def scales(height: int, width: int) -> list[float]:
    """By how much the picture is scaled for each step of the pyramid; empty below `MIN_FACE_PX`."""
    scale = _CELL_PX / MIN_FACE_PX
    side, found = min(height, width) * scale, []
    while side >= _CELL_PX:
        found.append(scale)
        scale *= SCALE_FACTOR
        side *= SCALE_FACTOR
    return found


def suppress(boxes: Floats, scores: Floats, limit: float) -> NDArray[np.intp]:
    """Indices of the boxes [n, 4] that stay, by falling score; as `torchvision.ops.nms` defines it.

    A box is dropped if its intersection over union with a box of a higher score is over `limit`.
    """
    order = np.argsort(-scores, kind="stable")
    left, top, right, bottom = boxes[order].T
    areas = (right - left) * (bottom - top)

    def over(first: int, last: int) -> NDArray[np.bool_]:
        width = np.minimum(right[first:last, None], right) - np.maximum(left[first:last, None], left)
        height = np.minimum(bottom[first:last, None], bottom) - np.maximum(top[first:last, None], top)
        shared = np.maximum(width, 0) * np.maximum(height, 0)
        overlap: NDArray[np.bool_] = shared > limit * (areas[first:last, None] + areas - shared)
        return overlap

    return order[_best(len(order), over)]


def suppress_contained(boxes: Floats, scores: Floats, limit: float) -> NDArray[np.intp]:
    """As `suppress`, by intersection over the smaller area, with upstream's count of both border pixels."""
    order = np.argsort(scores)[::-1]
    left, top, right, bottom = boxes[order].T
    areas = (right - left + 1) * (bottom - top + 1)

    def over(first: int, last: int) -> NDArray[np.bool_]:
        width = np.minimum(right[first:last, None], right) - np.maximum(left[first:last, None], left) + 1
        height = np.minimum(bottom[first:last, None], bottom) - np.maximum(top[first:last, None], top) + 1
        shared = np.maximum(width, 0) * np.maximum(height, 0)
        overlap: NDArray[np.bool_] = shared / np.minimum(areas[first:last, None], areas) > limit
        return overlap

    return order[_best(len(order), over)]


def _best(count: int, over: Callable[[int, int], NDArray[np.bool_]]) -> NDArray[np.bool_]:
    """Which of `count` boxes, best first, no better one that stays overlaps too much: bool [count].

    `over(first, last)` says whom each of the boxes from first to last overlaps too much, bool [last - first, count].
    """
    stays = np.ones(count, dtype=np.bool_)
    for first in range(0, count, _ROWS):
        for i, overlapped in enumerate(over(first, first + _ROWS), first):
            if stays[i]:
                stays[i + 1 :] &= ~overlapped[i + 1 :]
    return stays


def _batched(network: Run, sampler: AreaSampler, boxes: Floats, side_px: int) -> tuple[Floats, ...]:
    """The network's outputs for the crops of `boxes`, a row each, in batches that bound the memory."""
    height, width = sampler.shape
    # Upstream counts pixels from 1 and clips like this.
    whole = np.trunc(boxes).astype(np.int64)
    left, top = np.maximum(whole[:, 0], 1) - 1, np.maximum(whole[:, 1], 1) - 1
    windows = np.stack([left, top, np.minimum(whole[:, 2], width), np.minimum(whole[:, 3], height)], axis=1)
    parts = [network(sampler.crops(windows[i : i + _BATCH], side_px)) for i in range(0, len(windows), _BATCH)]
    return tuple(np.concatenate(rows) for rows in zip(*parts, strict=True))


def _moved(boxes: Floats, offsets: Floats) -> Floats:
    return boxes + offsets * np.tile(boxes[:, 2:] - boxes[:, :2] + 1, 2)


def _square(boxes: Floats) -> Floats:
    """Squares around the centres of `boxes`, of their longer sides."""
    sides = boxes[:, 2:] - boxes[:, :2]
    longer = sides.max(axis=1, keepdims=True)
    corner = boxes[:, :2] + sides * np.float32(0.5) - longer * np.float32(0.5)
    return np.concatenate([corner, corner + longer], axis=1)
