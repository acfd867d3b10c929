"""Makes an int8 network of an exported one: static quantisation, calibrated on faces.

The faces are those of a few photographs that come with the project, each in several variations.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from facecore.errors import WeightsError
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageOps

from faceworker.recogniser import RecogniserOptions, mtcnn
from faceworker.recogniser.models import Crop, Precision, spec
from faceworker.recogniser.picture import MAX_SIDE_PX, decode
from faceworker.recogniser.pipeline import Face

# After faceworker.recogniser, which turns ONNX Runtime's telemetry off before it imports any part of it.
# isort: split
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

# Nodes that compute in int8. The last layers stay in fp32: they take no time, and the embedding is theirs.
_KINDS = ["Conv", "Relu", "Add", "Concat", "MaxPool", "AveragePool"]
_BRIGHTNESS = (0.45, 1.0, 1.5)
# Longer side of the small variations: what a face far away looks like once it is enlarged to the crop.
_SMALL_PX = 96


def quantised(network: Path, model: str, options: RecogniserOptions) -> bytes:
    """The int8 form of the fp32 `network` of `model`, as an ONNX file; MTCNN must be exported. Raises WeightsError.

    Weights get a scale for each channel, activations one for each tensor, by the range that the calibration's faces
    show (Jacob et al. 2018, arXiv:1712.05877).
    """
    with tempfile.TemporaryDirectory() as folder:
        prepared, target = Path(folder) / "prepared.onnx", Path(folder) / "int8.onnx"
        quant_pre_process(network, prepared, skip_symbolic_shape=True)
        quantize_static(
            prepared,
            target,
            _Inputs(crops(model, options)),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=_KINDS,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
        )
        return target.read_bytes()


def crops(model: str, options: RecogniserOptions) -> Iterator[NDArray[np.float32]]:
    """The crops of all variations, float32 [side, side, 3] of 0 to 255, as the network of `model` takes them."""
    # One thread: the order of sums, and so the last bits, must not depend on the machine that exports.
    exact = replace(options, threads=1, precision=Precision.FP32)
    detector = mtcnn.Detector(exact)
    row = spec(model)
    embedder: Any = import_module(f"faceworker.recogniser.{row.module}").Embedder(exact)
    for entry in sorted((files(__package__) / "calibration_faces").iterdir(), key=lambda entry: entry.name):
        picture = decode(entry.read_bytes(), max_pixels=MAX_SIDE_PX**2)
        faces = detector.detect(picture)
        if not faces:
            raise WeightsError(f"{entry.name}, a photograph of the calibration, shows no face: the detector is broken")
        for variation, face in _variations(picture, faces[0]):
            yield embedder.cut_out(variation, face, Crop(row.crop_px))


def _variations(picture: Image.Image, face: Face) -> Iterator[tuple[Image.Image, Face]]:
    mirrored = Face(picture.width - face.right, face.top, picture.width - face.left, face.bottom, face.probability)
    for upright, box in ((picture, face), (ImageOps.mirror(picture), mirrored)):
        for brightness in _BRIGHTNESS:
            yield ImageEnhance.Brightness(upright).enhance(brightness), box
        factor = _SMALL_PX / max(upright.size)
        small = upright.resize((round(upright.width * factor), round(upright.height * factor)))
        left, top, right, bottom = (factor * side for side in (box.left, box.top, box.right, box.bottom))
        yield small, Face(left, top, right, bottom, box.probability)


class _Inputs(CalibrationDataReader):  # type: ignore[misc]
    """The crops as the network's inputs, one at a time."""

    def __init__(self, crops: Iterator[NDArray[np.float32]]) -> None:
        self._crops = crops

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        """The next input, or None after the last."""
        crop = next(self._crops, None)
        return None if crop is None else {"pixels": crop[None]}
