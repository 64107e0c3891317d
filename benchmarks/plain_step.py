"""The training step of CoCon, implemented directly from the paper: no layouts, no folding, no sharing.

``benchmarks.train_step`` compares with it. The first half of the encoder consists of 1xkxk 3D convolutions,
the GRU is a 1x1 convolution per gate and step, and every pair of views computes its cosine matrices itself.
"""

from __future__ import annotations

from itertools import combinations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Block(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int, temporal: bool, final_relu: bool) -> None:
        super().__init__()
        kernel, padding = ((3, 3, 3), (1, 1, 1)) if temporal else ((1, 3, 3), (0, 1, 1))
        step = (stride if temporal else 1, stride, stride)
        self.conv1 = nn.Conv3d(inputs, outputs, kernel, step, padding, bias=False)
        self.norm1 = nn.BatchNorm3d(outputs)
        self.conv2 = nn.Conv3d(outputs, outputs, kernel, 1, padding, bias=False)
        self.norm2 = nn.BatchNorm3d(outputs)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv3d(inputs, outputs, 1, step, bias=False), nn.BatchNorm3d(outputs)
            )
        self.final_relu = final_relu

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x))))) + self.shortcut(x)
        return F.relu(y) if self.final_relu else y


class View(nn.Module):
    """Encoder, aggregator and predictor of one view."""

    def __init__(self, channels: int, layers: tuple[int, ...], width: int, features: int) -> None:
        super().__init__()
        self.conv = nn.Conv3d(channels, width, (1, 7, 7), (1, 2, 2), (0, 3, 3), bias=False)
        self.norm = nn.BatchNorm3d(width)
        widths = (width, width, 2 * width, 4 * width, features)
        blocks: list[nn.Module] = []
        for stage, count in enumerate(layers):
            for i in range(count):
                inputs = widths[stage] if i == 0 else widths[stage + 1]
                stride = 2 if i == 0 and stage > 0 else 1
                last = stage == 3 and i == count - 1
                blocks.append(Block(inputs, widths[stage + 1], stride, stage > 1, not last))
        self.blocks = nn.Sequential(*blocks)
        self.update = nn.Conv2d(2 * features, features, 1)
        self.reset = nn.Conv2d(2 * features, features, 1)
        self.candidate = nn.Conv2d(2 * features, features, 1)
        self.predictor = nn.Sequential(
            nn.Conv2d(features, features, 1), nn.ReLU(), nn.Conv2d(features, features, 1)
        )

    def encode(self, x_BNCKHW: Tensor) -> Tensor:
        x = F.relu(self.norm(self.conv(x_BNCKHW.flatten(0, 1))))
        x = self.blocks(F.max_pool3d(x, (1, 3, 3), (1, 2, 2), (0, 1, 1)))
        return F.normalize(x.mean(2), dim=1).unflatten(0, x_BNCKHW.shape[:2])

    def gru(self, x: Tensor, h: Tensor) -> Tensor:
        xh = torch.cat([x, h], 1)
        update, reset = torch.sigmoid(self.update(xh)), torch.sigmoid(self.reset(xh))
        return (1 - update) * h + update * torch.tanh(self.candidate(torch.cat([x, reset * h], 1)))

    def forward(self, x_BNCKHW: Tensor, predicted: int) -> tuple[Tensor, Tensor]:
        z = self.encode(x_BNCKHW)
        state = torch.zeros_like(z[:, 0])
        for block in range(z.shape[1] - predicted):
            state = self.gru(z[:, block], state)
        predictions = []
        for _ in range(predicted):
            state = F.normalize(state, dim=1)
            predictions.append(F.normalize(self.predictor(state), dim=1))
            state = self.gru(predictions[-1], state)
        return z, torch.stack(predictions, 1)


def loss_of(outputs: dict[str, tuple[Tensor, Tensor]], temperature: float, weight: float) -> Tensor:
    """L_cpc of every view, and weight times (L_sync + L_sim) of every pair."""
    total = torch.zeros(())
    for z, p in outputs.values():
        rows = p.permute(0, 1, 3, 4, 2).flatten(0, 3)
        candidates = z[:, -p.shape[1] :].permute(0, 1, 3, 4, 2).flatten(0, 3)
        scores = rows @ candidates.t() / temperature
        total = total + F.cross_entropy(scores, torch.arange(len(rows)))
    for a, b in combinations(outputs, 2):
        ha, hb = instances(outputs[a][0]), instances(outputs[b][0])
        total = total + weight * ((ha @ ha.t()) - (hb @ hb.t())).abs().mean()
        cosine = ha @ hb.t()
        same = torch.eye(len(ha), dtype=torch.bool)
        similar = (1 - cosine[same]).mean() / 2 + cosine[~same].clamp_min(0).mean() / 2
        total = total + weight * similar
    return total


def instances(z_BNDSS: Tensor) -> Tensor:
    z = z_BNDSS.flatten(0, 1)
    if z.shape[-1] == 4:
        z = F.max_pool2d(z, 2)
    return F.normalize(F.avg_pool2d(z, 2).flatten(1), dim=1)


def copy_weights(source: nn.Module, target: nn.Module) -> None:
    """Both list their parameters in the same order."""
    with torch.no_grad():
        for ours, plain in zip(source.parameters(), target.parameters(), strict=True):
            plain.copy_(ours.reshape(plain.shape))
