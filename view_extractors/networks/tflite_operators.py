"""Operators of TensorFlow Lite in torch, on tensors (B, H, W, C)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

Run = Callable[..., Any]
Pair = tuple[int, int]
#: numbers of the format
_SAME = 0
_FLOAT32 = 0
_ACTIVATIONS: dict[int, Run] = {0: lambda x: x, 1: F.relu, 3: F.relu6}


@dataclass(frozen=True)
class Operator:
    """An operator as the file describes it.

    Attributes:
        name: of what it does.
        options: of the kind that belongs to the name.
        custom: options of an operator that is not one of the format's own.
        inputs: tensors by number; -1: none.
        output: the tensor that it makes.
        output_type: of its elements.
        constants: those of the inputs that are.
    """

    name: str
    options: Any
    custom: bytes
    inputs: tuple[int, ...]
    output: int
    output_type: int
    constants: dict[int, np.ndarray]


def check(condition: bool, otherwise: str) -> None:
    """Reject an unsupported variant.

    Raises:
        NotImplementedError: the message names the variant of the operator, as the end of a sentence.
    """
    if not condition:
        raise NotImplementedError(f" with {otherwise}" if otherwise else "")


def _activation(operator: Operator) -> Run:
    number = operator.options.fusedActivationFunction
    check(number in _ACTIVATIONS, f"the activation {number}")
    return _ACTIVATIONS[number]


def _convolution(operator: Operator) -> Run:
    """CONV_2D and DEPTHWISE_CONV_2D; weights are (out, h, w, in) and (1, h, w, out)."""
    options = operator.options
    depthwise = operator.name == "DEPTHWISE_CONV_2D"
    stride, dilation = (options.strideH, options.strideW), (options.dilationHFactor, options.dilationWFactor)
    activation = _activation(operator)

    def run(x_BHWC: torch.Tensor, weights: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
        weights_OIHW = weights.permute((3, 0, 1, 2) if depthwise else (0, 3, 1, 2))
        x_BCHW, padding = _channels_first(x_BHWC), (0, 0)
        if options.padding == _SAME:
            x_BCHW, padding = _padded(x_BCHW, weights.shape[1:3], stride, dilation)
        groups = x_BCHW.shape[1] // weights_OIHW.shape[1]
        return _channels_last(
            activation(F.conv2d(x_BCHW, weights_OIHW, bias, stride, padding, dilation, groups))
        )

    return run


def _average_pooling(operator: Operator) -> Run:
    options = operator.options
    check(options.padding != _SAME, "padding")
    kernel, stride = (options.filterHeight, options.filterWidth), (options.strideH, options.strideW)
    activation = _activation(operator)
    return lambda x: activation(_channels_last(F.avg_pool2d(_channels_first(x), kernel, stride)))


def _transposed_convolution(operator: Operator) -> Run:
    """MediaPipe's own operator; its options are padding and the strides along x and y."""
    padding, stride_x, stride_y = np.frombuffer(operator.custom, np.int32, 3).tolist()
    check(padding == 1, "padding VALID")
    stride = (stride_y, stride_x)

    def run(x_BHWC: torch.Tensor, weights_OHWI: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        kernel = weights_OHWI.shape[1:3]
        more = [max(s - k, 0) for k, s in zip(kernel, stride, strict=True)]
        weights_IOHW = weights_OHWI.permute(3, 0, 1, 2)
        y_BCHW = F.conv_transpose2d(_channels_first(x_BHWC), weights_IOHW, bias, stride, output_padding=more)
        # What SAME cuts off before; the size of the output determines how much comes after.
        top, left = (max(k - s, 0) // 2 for k, s in zip(kernel, stride, strict=True))
        height, width = x_BHWC.shape[1] * stride_y, x_BHWC.shape[2] * stride_x
        return _channels_last(y_BCHW[:, :, top : top + height, left : left + width])

    return run


def _padded(
    x_BCHW: torch.Tensor, kernel: Sequence[int], stride: Pair, dilation: Pair
) -> tuple[torch.Tensor, Pair]:
    """With the padding SAME, whose odd pixel comes after; or, where both sides get as much, that number."""
    total_y, total_x = (
        max((-(-size // s) - 1) * s + (k - 1) * d + 1 - size, 0)
        for size, k, s, d in zip(x_BCHW.shape[2:], kernel, stride, dilation, strict=True)
    )
    top, left = total_y // 2, total_x // 2
    if total_y % 2 == total_x % 2 == 0:
        return x_BCHW, (top, left)
    return F.pad(x_BCHW, (left, total_x - left, top, total_y - top)), (0, 0)


def _resize_bilinear(operator: Operator) -> Run:
    corners = bool(operator.options.alignCorners)
    check(corners != bool(operator.options.halfPixelCenters), "pixels that lie on their upper left corner")

    def run(x_BHWC: torch.Tensor, size: np.ndarray) -> torch.Tensor:
        y_BCHW = F.interpolate(
            _channels_first(x_BHWC), tuple(size.tolist()), mode="bilinear", align_corners=corners
        )
        return _channels_last(y_BCHW)

    return run


def _arithmetic(function: Run) -> Callable[[Operator], Run]:
    """On numbers of the network or on sizes."""

    def make(operator: Operator) -> Run:
        activation = _activation(operator)
        return lambda x, y: activation(function(x, y))

    return make


def _strided_slice(operator: Operator) -> Run:
    """A part of a shape."""
    options = operator.options
    masks = ("beginMask", "endMask", "ellipsisMask", "newAxisMask", "shrinkAxisMask")
    check(not any(getattr(options, mask) for mask in masks), "masks")

    def run(sizes: np.ndarray, begin: np.ndarray, end: np.ndarray, step: np.ndarray) -> np.ndarray:
        return sizes[begin[0] : end[0] : step[0]]

    return run


def _cast(operator: Operator) -> Run:
    check(operator.output_type == _FLOAT32, f"the type {operator.output_type}")
    return lambda x: x.float()


def _channels_first(x_BHWC: torch.Tensor) -> torch.Tensor:
    """Another view of the same memory: what torch calls channels_last."""
    return x_BHWC.permute(0, 3, 1, 2)


def _channels_last(x_BCHW: torch.Tensor) -> torch.Tensor:
    return x_BCHW.permute(0, 2, 3, 1)


OPERATORS: dict[str, Callable[[Operator], Run]] = {
    "ADD": _arithmetic(lambda x, y: x + y),
    "AVERAGE_POOL_2D": _average_pooling,
    "CAST": _cast,
    "CONV_2D": _convolution,
    "Convolution2DTransposeBias": _transposed_convolution,
    "DEPTHWISE_CONV_2D": _convolution,
    "HARD_SWISH": lambda operator: F.hardswish,
    "LOGISTIC": lambda operator: torch.sigmoid,
    "MUL": _arithmetic(lambda x, y: x * y),
    "RELU": lambda operator: F.relu,
    "RESIZE_BILINEAR": _resize_bilinear,
    "SHAPE": lambda operator: lambda x: np.array(x.shape),
    "STRIDED_SLICE": _strided_slice,
    "SUB": _arithmetic(lambda x, y: x - y),
}
"""Name of an operator -> factory of the function of its inputs."""
