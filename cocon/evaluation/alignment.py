"""Soft alignment of two videos: cosines of all their blocks (Rai et al. 2021)."""

from __future__ import annotations

import numpy as np
import torch

from cocon.config.schema import Clip
from cocon.data.crops import centre_crop, crop_size
from cocon.data.network_input import to_network_input
from cocon.losses.instances import instance_features
from cocon.models.network import ViewNetwork
from cocon.shards import ShardSet

#: blocks of a whole video in the paper's heatmaps
BLOCKS = 18


def block_frames(length: int, clip: Clip, blocks: int = BLOCKS) -> np.ndarray:
    """Frames of blocks that are spread evenly from the first to the last frame of a video, (N, K).

    The blocks of a short video overlap; a video shorter than a block is stretched to one.

    Args:
        length: frames of the video.
        clip: frames per block K and the stride between them.
        blocks: N.
    """
    steps = clip.frames_per_block - 1
    stride = min(float(clip.stride), (length - 1) / steps) if steps else 0.0
    starts_N = np.linspace(0, length - 1 - stride * steps, blocks)
    offsets_K = stride * np.arange(clip.frames_per_block)
    return np.floor(starts_N[:, None] + offsets_K + 1e-6).astype(np.int64)


def block_features(
    network: ViewNetwork, shards: ShardSet, video_id: str, clip: Clip, blocks: int = BLOCKS
) -> np.ndarray:
    """The instance features h of the blocks of a whole video, unit rows (N, D), from the centre crop.

    Args:
        network: the encoder of the shards' view, on any device; put into evaluation mode.
        shards: the frames.
        video_id: the video; it must not have been skipped.
        clip: what the network was trained on.
        blocks: N.
    """
    info = shards.videos[video_id]
    frames_NK = block_frames(info.frames, clip, blocks)
    needed, rows = np.unique(frames_NK, return_inverse=True)
    crop = centre_crop(info.height, info.width, crop_size(clip, shards.view))
    frames_THWC = crop.of(shards.read(video_id, needed))[rows.reshape(-1)]
    x_u8_TCHW = torch.from_numpy(np.ascontiguousarray(frames_THWC.transpose(0, 3, 1, 2)))
    as_clip = clip.model_copy(update={"blocks": blocks})
    device = next(network.parameters()).device
    with torch.inference_mode():
        x_BNCKHW = to_network_input(x_u8_TCHW[None].to(device), shards.view, as_clip)
        h_ND: np.ndarray = instance_features(network.eval().encode(x_BNCKHW)).float().cpu().numpy()
    return h_ND


def align(h_ND: np.ndarray, h_MD: np.ndarray) -> np.ndarray:
    """Cosine of every block of one video to every block of another, (N, M)."""
    return np.asarray(h_ND @ h_MD.T)
