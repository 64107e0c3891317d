"""3D convolutions with a fast and correct weight gradient on a CPU.

The last stages of the encoder see maps of 1 to 7 locations and 2 or 3 time steps. There oneDNN's weight
gradient takes longer than forward and input gradient together (measured on AVX2, 128 channels, 2x2x2:
36 ms against 17 ms). As 27 matrix products, one per tap over the positions where the tap meets the
input, it takes 7 ms.

In bfloat16 oneDNN's weight gradient is moreover wrong for 2 time steps (stride 1, as in stage 4): some of its
taps are uninitialised memory (torch 2.13, AVX-512 with bf16; a test shows it where it happens).
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.grad import conv3d_input

Sizes = tuple[int, int, int]


class TapwiseConv(nn.Conv3d):
    """Convolution of odd size k, padding k // 2, without bias: ``nn.Conv3d`` with another backward on a CPU.

    Args:
        inputs: channels of the input.
        outputs: channels of the output.
        size: of the kernel along time, height and width.
        stride: along time, height and width.
    """

    def __init__(self, inputs: int, outputs: int, size: Sizes, stride: Sizes) -> None:
        padding = (size[0] // 2, size[1] // 2, size[2] // 2)
        super().__init__(inputs, outputs, size, stride=stride, padding=padding, bias=False)

    def forward(self, x_FCKHW: Tensor) -> Tensor:
        """(F, inputs, K, H, W) to (F, outputs, ...), the other sizes divided by stride, rounded up."""
        if x_FCKHW.device.type != "cpu" or torch.compiler.is_compiling() or not torch.is_grad_enabled():
            return super().forward(x_FCKHW)
        weight = self.weight
        if torch.is_autocast_enabled("cpu"):
            precision = torch.get_autocast_dtype("cpu")
            x_FCKHW, weight = x_FCKHW.to(precision), weight.to(precision)
        arguments = x_FCKHW, weight, self.stride, self.padding
        y_FCKHW: Tensor = _Tapwise.apply(*arguments)  # type: ignore[no-untyped-call]
        return y_FCKHW


class Conv3x3x3(TapwiseConv):
    """3x3x3 convolution, padding 1, without bias, with the same stride along time, height and width."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__(inputs, outputs, (3, 3, 3), (stride, stride, stride))


class _Tapwise(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x_FCKHW: Tensor, weight: Tensor, stride: Sizes, padding: Sizes) -> Tensor:
        ctx.save_for_backward(x_FCKHW, weight)
        ctx.stride, ctx.padding = stride, padding
        return F.conv3d(x_FCKHW, weight, stride=stride, padding=padding)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        x, weight = ctx.saved_tensors
        grad_x = grad_weight = None
        if ctx.needs_input_grad[0]:
            grad_x = conv3d_input(x.shape, weight, grad, stride=ctx.stride, padding=ctx.padding)
        if ctx.needs_input_grad[1]:
            grad_weight = _weight_gradient(x, grad, tuple(weight.shape[2:]), ctx.stride)
        return grad_x, grad_weight, None, None


def _weight_gradient(x_FCKHW: Tensor, grad_FOKHW: Tensor, size: Sizes, stride: Sizes) -> Tensor:
    x = x_FCKHW.permute(0, 2, 3, 4, 1)
    grad = grad_FOKHW.permute(0, 2, 3, 4, 1)
    meets = [
        [
            _meeting(tap - size[axis] // 2, x.shape[axis + 1], grad.shape[axis + 1], stride[axis])
            for tap in range(size[axis])
        ]
        for axis in range(3)
    ]
    # The channels of the input come last in memory: this makes the optimiser's copies cheapest.
    total = x.new_zeros(grad.shape[4], *size, x.shape[4])
    for k, (x_k, grad_k) in enumerate(meets[0]):
        for i, (x_i, grad_i) in enumerate(meets[1]):
            for j, (x_j, grad_j) in enumerate(meets[2]):
                rows_x = x[:, x_k, x_i, x_j].reshape(-1, x.shape[4])
                rows_grad = grad[:, grad_k, grad_i, grad_j].reshape(-1, grad.shape[4])
                if len(rows_x):
                    torch.mm(rows_grad.t(), rows_x, out=total[:, k, i, j])
    return total.permute(0, 4, 1, 2, 3)


def _meeting(offset: int, inputs: int, outputs: int, stride: int) -> tuple[slice, slice]:
    """Input positions, and the matching output positions, where a tap reads no padding.

    Args:
        offset: of the tap from the middle of the kernel.
        inputs: positions of the input.
        outputs: positions of the output.
        stride: input positions per output position.
    """
    first = max(0, -(offset // stride))
    last = min(outputs - 1, (inputs - 1 - offset) // stride)
    count = max(last - first + 1, 0)
    start = first * stride + offset
    return slice(start, start + count * stride, stride), slice(first, first + count)
