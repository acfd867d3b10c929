"""Exports dlib's face recognition network to ONNX from its own file, `dlib_face_recognition_resnet_model_v1.dat`.

The network is `anet_type` of dlib's examples/dnn_face_recognition_ex.cpp, without the layers that only train it. The
file holds its layers from the input on; a layer with parameters is its name, a tensor (version, four sizes, float32
numbers) and settings that the architecture fixes.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from facecore.errors import WeightsError
from facecore.settings import Model
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from faceworker.recogniser import RecogniserOptions
from faceworker.recogniser.models import spec
from faceworker.reference.weights import located

OPSET = 17
SIDE_PX = spec(Model.DLIB).crop_px
# What dlib's layer input_rgb_image_sized takes off each colour, and what it multiplies by.
_MEAN_RGB, _SCALE = (122.782, 117.001, 104.298), 1 / 256
# Channels, number of residual blocks, and whether the first one halves the size; from the input on.
_LEVELS = ((32, 3, False), (64, 4, True), (128, 3, True), (256, 3, True), (256, 1, True))
_TENSOR_VERSION = 2
_MAX_SIZE = 10_000_000
Floats = NDArray[np.float32]


def network(options: RecogniserOptions) -> bytes:
    """dlib's network as an ONNX file, of the weights in its package; raises WeightsError."""
    content: bytes = rebuilt(located(Model.DLIB, options).read_bytes()).SerializeToString()
    return content


def rebuilt(content: bytes) -> onnx.ModelProto:
    """The network of a file of dlib's: pixels [n, 150, 150, 3] to embeddings [n, 128], not normalised.

    Raises WeightsError.
    """
    graph = _Graph(_Parameters(content))
    size = SIDE_PX
    flow = graph.convolution(graph.standardised("pixels"), 3, 32, kernel=7, stride=2, padding=0, relu=True)
    flow = graph.node("MaxPool", [flow], kernel_shape=[3, 3], strides=[2, 2])
    size = ((size - 7) // 2 + 1 - 3) // 2 + 1
    channels = 32
    for width, blocks, halves in _LEVELS:
        for block in range(blocks):
            flow, size = graph.residual(flow, channels, width, size, halves=halves and block == 0)
            channels = width
    flow = graph.node("GlobalAveragePool", [flow])
    flow = graph.node("Flatten", [flow])
    graph.node("MatMul", [flow, graph.constant(graph.parameters.matrix(channels, 128))], output="embedding")
    graph.parameters.must_be_used_up()
    return graph.model()


@dataclass(slots=True)
class _Parameters:
    """Reads the tensors of one layer after another."""

    content: bytes
    position: int = 0

    def convolution(self, inputs: int, outputs: int, kernel: int) -> tuple[Floats, Floats]:
        """Weights [outputs, inputs, kernel, kernel] and biases [outputs], the affine layer that follows included."""
        weights_size = outputs * inputs * kernel**2
        numbers = self._tensor(b"con_4", 0, weights_size + outputs)
        affine = self._tensor(b"affine_", 0, 2 * outputs)
        weights, biases = numbers[:weights_size].reshape(outputs, inputs, kernel, kernel), numbers[weights_size:]
        gamma, beta = affine[:outputs], affine[outputs:]
        return weights * gamma[:, None, None, None], biases * gamma + beta

    def matrix(self, inputs: int, outputs: int) -> Floats:
        """The last layer's matrix [inputs, outputs]; its two settings come before the tensor."""
        return self._tensor(b"fc_2", 2, inputs * outputs).reshape(inputs, outputs)

    def must_be_used_up(self) -> None:
        """Raises WeightsError if the file has a layer with parameters that was not read."""
        if any(name in self.content[self.position :] for name in (b"con_", b"affine_", b"fc_")):
            raise WeightsError("dlib's network has more layers than its architecture")

    def _tensor(self, layer: bytes, settings: int, size: int) -> Floats:
        """The numbers of the next layer with this name, float32 [size]."""
        named = bytes([1, len(layer)]) + layer
        start = self.content.find(named, self.position)
        if start < 0:
            raise WeightsError(f"dlib's network has no further layer {layer.decode()}")
        self.position = start + len(named)
        for _ in range(settings):
            self._integer()
        version, *sizes = [self._integer() for _ in range(5)]
        if version != _TENSOR_VERSION or math.prod(sizes) != size:
            raise WeightsError(f"dlib's {layer.decode()} has a tensor {version}, {sizes}, expected {size} numbers")
        end = self.position + 4 * size
        numbers = np.frombuffer(self.content[self.position : end], dtype="<f4")
        if len(numbers) != size or not np.isfinite(numbers).all():
            raise WeightsError(f"dlib's {layer.decode()} is cut off, or holds numbers that are not finite")
        self.position = end
        return numbers.astype(np.float32)

    def _integer(self) -> int:
        """dlib's integers: a byte for the number of bytes, then those, the least significant first."""
        try:
            (length,) = struct.unpack_from("<B", self.content, self.position)
        except struct.error as error:
            raise WeightsError("dlib's network is cut off") from error
        value = int.from_bytes(self.content[self.position + 1 : self.position + 1 + length], "little")
        self.position += 1 + length
        if length > 8 or value > _MAX_SIZE:  # noqa: PLR2004
            raise WeightsError("dlib's network has a size that cannot be")
        return value


class _Graph:
    """An ONNX graph in the making; each method returns the name of what its node gives."""

    def __init__(self, parameters: _Parameters) -> None:
        self.parameters = parameters
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []

    def node(self, kind: str, inputs: list[str], output: str = "", **attributes: Any) -> str:
        output = output or f"{kind.lower()}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def constant(self, value: NDArray[np.float32] | NDArray[np.int64]) -> str:
        name = f"constant_{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(value, name))
        return name

    def standardised(self, pixels: str) -> str:
        centred = self.node("Sub", [pixels, self.constant(np.array(_MEAN_RGB, dtype=np.float32))])
        scaled = self.node("Mul", [centred, self.constant(np.array(_SCALE, dtype=np.float32))])
        return self.node("Transpose", [scaled], perm=[0, 3, 1, 2])

    def convolution(
        self, flow: str, inputs: int, outputs: int, *, kernel: int, stride: int, padding: int, relu: bool
    ) -> str:
        weights, biases = self.parameters.convolution(inputs, outputs, kernel)
        named = [flow, self.constant(weights), self.constant(biases)]
        flow = self.node("Conv", named, kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=[padding] * 4)
        return self.node("Relu", [flow]) if relu else flow

    def residual(self, flow: str, inputs: int, outputs: int, size: int, *, halves: bool) -> tuple[str, int]:
        """Two convolutions beside the block's own input; what is smaller gets zeros, in channels as in size."""
        stride, padding = (2, 0) if halves else (1, 1)
        inner = self.convolution(flow, inputs, outputs, kernel=3, stride=stride, padding=padding, relu=True)
        inner = self.convolution(inner, outputs, outputs, kernel=3, stride=1, padding=1, relu=False)
        if not halves:
            return self.node("Relu", [self.node("Add", [inner, flow])]), size
        inner_size, size = (size - 3) // 2 + 1, size // 2
        beside = self.node("AveragePool", [flow], kernel_shape=[2, 2], strides=[2, 2])
        beside = self._padded(beside, outputs - inputs, 0)
        inner = self._padded(inner, 0, size - inner_size)
        return self.node("Relu", [self.node("Add", [inner, beside])]), size

    def _padded(self, flow: str, channels: int, size: int) -> str:
        if not channels and not size:
            return flow
        pads = np.array([0, 0, 0, 0, 0, channels, size, size], dtype=np.int64)
        return self.node("Pad", [flow, self.constant(pads)])

    def model(self) -> onnx.ModelProto:
        pixels = helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["n", SIDE_PX, SIDE_PX, 3])
        embedding = helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["n", 128])
        graph = helper.make_graph(self._nodes, Model.DLIB, [pixels], [embedding], self._constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
        onnx.checker.check_model(model)
        return model
