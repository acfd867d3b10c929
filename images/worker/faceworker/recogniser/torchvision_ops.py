"""Stands in for torchvision's compiled operators where they cannot be loaded.

facenet-pytorch imports torchvision and takes one operator from it: non-maximum suppression. A torchvision wheel that
was built for CUDA does not find its libraries beside a CPU build of torch, and then even `import torchvision` fails.
Where the compiled operators load, nothing here does anything.
"""

from __future__ import annotations

import functools
import importlib
from importlib.machinery import EXTENSION_SUFFIXES, ExtensionFileLoader, FileFinder
from importlib.util import find_spec
from pathlib import Path

import torch

_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)


@functools.cache
def ensure() -> torch.library.Library | None:
    """Makes torchvision importable; to be called before facenet-pytorch is imported.

    Returns the library of stand-ins, which lives as long as the process since the cache holds it, or None where
    torchvision's own operators load.
    """
    if _compiled_operators_load():
        return None
    library = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
    for schema in _SCHEMAS:
        library.define(schema)  # type: ignore[no-untyped-call]
    library.impl("nms", nms, "CPU")  # type: ignore[no-untyped-call]
    # The operators must be defined before torchvision is imported, and its own check replaced after.
    extension = importlib.import_module("torchvision.extension")
    extension._has_ops = lambda: True  # type: ignore[attr-defined]
    return library


def nms(boxes: torch.Tensor, scores: torch.Tensor, iou_threshold: float) -> torch.Tensor:
    """Indices (int64) of the boxes that stay, by falling score, as `torchvision.ops.nms` defines it.

    `boxes` is [n, 4] of (left, top, right, bottom), `scores` [n]. A box goes where its intersection over union
    with a box of a higher score is over `iou_threshold`.
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
        raise ModuleNotFoundError("torchvision is not installed; install the extra named worker")
    finder = FileFinder(str(Path(package.origin).parent), (ExtensionFileLoader, EXTENSION_SUFFIXES))
    compiled = finder.find_spec("_C")
    if compiled is None or compiled.origin is None:
        return False
    try:
        torch.ops.load_library(compiled.origin)  # type: ignore[no-untyped-call]
    except OSError:
        return False
    return True
