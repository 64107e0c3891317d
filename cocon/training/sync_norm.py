"""Batch norm over the batches of all processes (Ioffe and Szegedy 2015, arXiv 1502.03167)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from cocon.distributed import rank_and_world_size, sum_with_gradient


class GatheredBatchNorm(_BatchNorm):
    """What ``nn.SyncBatchNorm`` computes, in plain operations, so that it also runs on CPUs (gloo).

    Every process must have a batch of the same shape. Mean and variance are those of all their batches.
    """

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() < 2:
            raise ValueError(f"expected at least (B, C), got {tuple(input.shape)}")

    def forward(self, input: Tensor) -> Tensor:
        """(B, C, ...) to the same shape."""
        size = rank_and_world_size()[1]
        if not self.training or size == 1:
            return super().forward(input)
        axes = [axis for axis in range(input.dim()) if axis != 1]
        x = input.float()
        count = size * x.numel() // x.shape[1]
        mean_C = sum_with_gradient(x.sum(axes)) / count
        centred = x - _along(mean_C, x)
        var_C = sum_with_gradient(centred.square().sum(axes)) / count
        self._track(mean_C.detach(), var_C.detach() * count / max(count - 1, 1))
        scale_C = self.weight * torch.rsqrt(var_C + self.eps)
        return (centred * _along(scale_C, x) + _along(self.bias, x)).to(input.dtype)

    @torch.no_grad()
    def _track(self, mean_C: Tensor, var_C: Tensor) -> None:
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        self.num_batches_tracked += 1
        self.running_mean.lerp_(mean_C, self.momentum)
        self.running_var.lerp_(var_C, self.momentum)


def synchronised(module: nn.Module, device: torch.device) -> nn.Module:
    """Replace all batch norms of a module; parameters, buffers and their names are unchanged.

    On CUDA by ``nn.SyncBatchNorm``, elsewhere by :class:`GatheredBatchNorm`.
    """
    if device.type == "cuda":
        converted: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(module)
        return converted
    for name, child in module.named_children():
        if isinstance(child, _BatchNorm):
            norm = GatheredBatchNorm(child.num_features, child.eps, child.momentum)
            norm.weight, norm.bias = child.weight, child.bias
            norm.running_mean, norm.running_var = child.running_mean, child.running_var
            norm.num_batches_tracked = child.num_batches_tracked
            setattr(module, name, norm)
        else:
            synchronised(child, device)
    return module


def _along(values_C: Tensor, like: Tensor) -> Tensor:
    return values_C.view(-1, *[1] * (like.dim() - 2))
