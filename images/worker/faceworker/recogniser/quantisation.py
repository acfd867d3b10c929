"""Makes an int8 network of an exported one: static quantisation, calibrated on faces."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from faceworker.recogniser import private_onnxruntime  # noqa: F401  before any other part of it

# isort: split
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

_KINDS = ["Conv", "Relu", "Add", "Concat", "MaxPool", "AveragePool"]
"""Nodes that compute in int8. The last layers stay in fp32: they take no time, and the embedding is theirs."""


def quantised(network: Path, faces: Sequence[NDArray[np.float32]], target: Path) -> None:
    """Writes the int8 form of `network` to `target`; `faces` are crops as the network takes them, [side, side, 3].

    Weights get a scale for each channel, activations one for each tensor, by the range that the faces show
    (Jacob et al. 2018, arXiv:1712.05877).
    """
    with tempfile.TemporaryDirectory() as folder:
        prepared = Path(folder) / "prepared.onnx"
        quant_pre_process(network, prepared, skip_symbolic_shape=True)
        quantize_static(
            prepared,
            target,
            _Faces(faces),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=_KINDS,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
        )


class _Faces(CalibrationDataReader):  # type: ignore[misc]
    """Hands the crops on, one at a time."""

    def __init__(self, faces: Sequence[NDArray[np.float32]]) -> None:
        self._faces: Iterator[NDArray[np.float32]] = iter(faces)

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        """The next crop as the network's input, or None after the last."""
        face = next(self._faces, None)
        return None if face is None else {"pixels": face[None]}
