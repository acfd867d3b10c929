"""Exports facenet-pytorch's networks to ONNX, rewritten where ONNX Runtime has a faster way to the same numbers."""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import nn

from faceworker.recogniser import RecogniserOptions
from faceworker.recogniser.mtcnn import OUTPUT, PROPOSAL, REFINEMENT
from faceworker.reference.facenet import facenet_pytorch, inception
from faceworker.reference.weights import WeightsSource

OPSET = 17
_SIDES_PX = {PROPOSAL: 40, REFINEMENT: 24, OUTPUT: 48}
_INPUT = "pixels"
# Channels that ONNX Runtime keeps side by side with AVX-512, half of it with AVX2: on whole blocks its pooling is
# several times as fast.
_BLOCK = 16


def network(options: RecogniserOptions) -> bytes:
    """InceptionResnetV1 as an ONNX file: pixels [1, side, side, 3] to [1, 512]; raises WeightsError."""
    original: Any = inception(WeightsSource(options).state())
    with torch.no_grad():
        # The numbers of facenet-pytorch's `fixed_image_standardization`.
        original.conv2d_1a.conv = _from_pixels(original.conv2d_1a.conv, 127.5, 1 / 128)
        return _file(_ChannelsLast(original), torch.zeros(1, 160, 160, 3), {1: "height", 2: "width"})


def detector(stage: str) -> bytes:
    """One of MTCNN's networks, with the weights in facenet-pytorch's package, as an ONNX file.

    It takes pixels [n, height, width, 3], and its outputs are those that `recogniser.mtcnn` describes.
    """
    networks = facenet_pytorch.models.mtcnn
    original = {PROPOSAL: networks.PNet, REFINEMENT: networks.RNet, OUTPUT: networks.ONet}[stage]().eval()
    side = _SIDES_PX[stage]
    sizes = {1: "height", 2: "width"} if stage == PROPOSAL else {}
    with torch.no_grad():
        # The numbers of facenet-pytorch's `detect_face`.
        original.conv1 = _from_pixels(original.conv1, 127.5, 1 / 128)
        _merge_activations(original)
        for name in [name for name, _layer in original.named_children() if name.startswith("softmax")]:
            setattr(original, name, _FaceScore())
        return _file(_ChannelsLast(original), torch.zeros(2, side, side, 3), {0: "n"} | sizes)


def _file(network: nn.Module, pixels: torch.Tensor, sizes: dict[int, str]) -> bytes:
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        # The exporter by tracing is deprecated for training's sake; the new one needs another package for this.
        warnings.simplefilter("ignore", DeprecationWarning)
        target = Path(folder) / "network.onnx"
        axes = {_INPUT: sizes}
        torch.onnx.export(
            network, (pixels,), target, dynamo=False, opset_version=OPSET, input_names=[_INPUT], dynamic_axes=axes
        )
        return target.read_bytes()


class _ChannelsLast(nn.Module):
    """The network for pixels as pictures have them, [n, height, width, 3]."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixels: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, ...]:
        result: torch.Tensor | tuple[torch.Tensor, ...] = self.network(pixels.permute(0, 3, 1, 2))
        return result


def _from_pixels(convolution: nn.Conv2d, mean: float, factor: float) -> nn.Conv2d:
    """The first convolution for pixels of 0 to 255: it has (pixel - mean) * factor in its weights."""
    if convolution.padding != (0, 0):
        raise ValueError("a padded convolution cannot take raw pixels: its zeros would be another colour")
    weight = convolution.weight * factor
    bias = -mean * weight.sum(dim=(1, 2, 3))
    return _convolution(weight, bias if convolution.bias is None else bias + convolution.bias, convolution.stride)


def _convolution(weight: torch.Tensor, bias: torch.Tensor, stride: tuple[int, ...]) -> nn.Conv2d:
    outputs, inputs, height, width = weight.shape
    made = nn.Conv2d(inputs, outputs, (height, width), (stride[0], stride[1]))
    made.weight, made.bias = nn.Parameter(weight), nn.Parameter(bias)
    return made.eval()


class _LeakyMaximum(nn.Module):
    """PReLU with slopes of at most 1, as max(x, slope·x)."""

    # ONNX Runtime's own PReLU takes five times as long.

    def __init__(self, prelu: nn.PReLU, dimensions: int) -> None:
        super().__init__()
        if float(prelu.weight.max()) > 1:
            raise ValueError("a PReLU with a slope over 1 is a minimum, not a maximum")
        self.slopes = prelu.weight.detach().reshape(-1, *[1] * dimensions)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.maximum(x, x * self.slopes)


class _PooledPrelu(nn.Module):
    """PReLU and then max pooling, computed in the other order, on a quarter of the numbers."""

    # With a slope of 0 or more PReLU is monotonic, so that it and the maximum change places. With a slope s below 0 it
    # is max(x, s·x), whose maximum over a window is max(pool(x), |s|·pool(-x)): the convolution gives -x for those too.

    def __init__(self, convolution: nn.Conv2d, prelu: nn.PReLU, pool: nn.MaxPool2d) -> None:
        super().__init__()
        slopes, weight, bias = prelu.weight.detach(), convolution.weight, convolution.bias
        if bias is None:
            raise ValueError("a convolution of MTCNN has no bias")
        falling = torch.nonzero(slopes < 0).flatten()
        # More outputs: the negated ones of the falling channels, and zeros up to a whole block.
        zeros = -(len(weight) + len(falling)) % _BLOCK
        weight = torch.cat([weight, -weight[falling], torch.zeros(zeros, *weight.shape[1:])])
        bias = torch.cat([bias, -bias[falling], torch.zeros(zeros)])
        self.convolution = _convolution(weight, bias, convolution.stride)
        self.pool = pool
        self.outputs = len(slopes)
        self.others = torch.arange(self.outputs)
        self.others[falling] = self.outputs + torch.arange(len(falling))
        # Over a slope of 1 it is a minimum, which is the maximum of the negated, negated.
        signs = torch.where(slopes > 1, -1.0, 1.0)
        self.signs = signs.reshape(-1, 1, 1) if (slopes > 1).any() else None
        self.factors = (signs * slopes.abs()).reshape(-1, 1, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        pooled = self.pool(self.convolution(x))
        own, other = pooled[:, : self.outputs], pooled[:, self.others] * self.factors
        if self.signs is None:
            return torch.maximum(own, other)
        return torch.maximum(own * self.signs, other) * self.signs


def _merge_activations(network: nn.Module) -> None:
    """Replaces each PReLU of a network of MTCNN, and with it the pooling that follows."""
    layers = dict(network.named_children())
    for name in [name for name in layers if name.startswith("prelu")]:
        number = name.removeprefix("prelu")
        convolution, pool = layers.get(f"conv{number}"), layers.get(f"pool{number}")
        if pool is not None:
            setattr(network, f"conv{number}", _PooledPrelu(convolution, layers[name], pool))  # type: ignore[arg-type]
            setattr(network, name, nn.Identity())
            setattr(network, f"pool{number}", nn.Identity())
        else:
            setattr(network, name, _LeakyMaximum(layers[name], 2 if convolution is not None else 0))  # type: ignore[arg-type]


class _FaceScore(nn.Module):
    """The second number of a softmax over `no face` and `face`."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        # As softmax computes it if a face is likelier: scores that are nearly 1 decide by their last bits which box
        # stays. ONNX Runtime's softmax over few numbers takes ten times as long, and its sigmoid rounds differently.
        return 1 / (1 + torch.exp(x[:, :1] - x[:, 1:]))
