"""Where the exported networks are: the files that `python -m faceworker.export` makes and the ONNX engine runs."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from faceworker.recogniser.models import DLIB, FACENET

WEIGHTS_KEY = "weights_sha256"
"""Metadata of an exported network: SHA-256 of the weights it was made of, in hexadecimal."""
FORMAT_KEY = "export_format"
"""Metadata of an exported network: the version of the export that made it."""
EXPORT_FORMAT = "3"
"""Changes with anything that makes other networks of the same weights."""
FP32, INT8 = "fp32", "int8"
PRECISIONS = (FP32, INT8)
PROPOSAL, REFINEMENT, OUTPUT = "mtcnn-proposal", "mtcnn-refinement", "mtcnn-output"


@dataclass(frozen=True, slots=True)
class ExportedNetworks:
    """The exported networks of one cache folder, there or not."""

    cache_dir: Path
    weights_url: str
    """Where FaceNet's weights come from: another URL gets another network."""

    def detector(self, stage: str) -> Path:
        """One of MTCNN's networks: `PROPOSAL`, `REFINEMENT` or `OUTPUT`."""
        return self.cache_dir / f"{stage}.onnx"

    def embedder(self, model: str, precision: str) -> Path:
        """The network of `model`, `fp32` or `int8`."""
        name = {FACENET: weights_name(self.weights_url), DLIB: DLIB}[model]
        return self.cache_dir / f"{name}-{precision}.onnx"

    @property
    def landmarks(self) -> Path:
        """dlib's five landmarks, copied from their package: dlib-resnet-v1 turns faces upright by them."""
        return self.cache_dir / "dlib-landmarks.dat"


def weights_name(url: str) -> str:
    """The name, without a suffix, of what is kept of FaceNet's weights from `url`."""
    return f"{FACENET}-{hashlib.sha256(url.encode()).hexdigest()[:12]}"
