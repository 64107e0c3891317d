"""Features of whole videos from a frozen encoder."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from cocon.config.schema import Clip
from cocon.config.schema.training import Workers
from cocon.datasets.manifest import TEST, TRAIN, Video
from cocon.errors import DatasetError
from cocon.evaluation.features import Features
from cocon.evaluation.windows import mean_over_windows, usable_videos
from cocon.loading import check_finite
from cocon.models.network import ViewNetwork
from cocon.shards import ShardSet
from cocon.training.devices import autocast


def labelled_ids(videos: Sequence[Video]) -> list[str]:
    """The videos that any split trains or tests a classifier with."""
    return [v.id for v in videos if v.label and not {TRAIN, TEST}.isdisjoint(v.splits.values())]


def encode_videos(
    network: ViewNetwork,
    shards: ShardSet,
    video_ids: Sequence[str],
    clip: Clip,
    *,
    pretraining: str,
    device: torch.device,
    batch_size: int = 16,
    workers: Workers = 0,
    half: bool = False,
) -> Features:
    """Features of all videos that are not skipped, averaged over their windows.

    Args:
        network: The encoder with its aggregator; put into evaluation mode.
        shards: Frames of the network's view.
        video_ids: The videos; those that the extraction skipped are left out.
        clip: What a window is.
        pretraining: Name of what the network was trained with, kept with the features.
        device: Where to compute.
        batch_size: Windows per forward pass.
        workers: Processes that decode; 0: this one; auto: several on a GPU.
        half: Whether a GPU computes in half precision, which rounds like TF32.

    Raises:
        DatasetError: No video is left, or features are not finite numbers.
    """
    ids = usable_videos(shards, video_ids)
    if not ids:
        raise DatasetError(
            f"none of the {len(video_ids)} labelled videos has usable frames of the view '{shards.view}'",
            "give videos labels and splits, and check their status with `cocon shards show --status`",
        )
    network = network.to(device).eval()

    def encoded(x_BNCKHW: Tensor) -> dict[str, Tensor]:
        with autocast(device, "fp16" if half and device.type == "cuda" else "off"):
            z_BNDSS = network.encode(x_BNCKHW)
            context_BDSS = network.context(z_BNDSS)
        return {
            "encoder": z_BNDSS.float().mean((1, 3, 4)),
            "encoder_max": z_BNDSS.amax((1, 3, 4)),
            "context": context_BDSS.float().mean((2, 3)),
        }

    arrays, windows = mean_over_windows(
        encoded, shards, ids, clip, device=device, batch_size=batch_size, workers=workers
    )
    for name, values_ND in arrays.items():
        what = f"the {pretraining} features ({name}) of the view {shards.view}"
        hint = "look at these videos, or at the loss of the pretraining"
        if half and device.type == "cuda":
            hint = f"half precision may be too small a range: use --amp off (jobs.features.amp); else {hint}"
        check_finite(what, ids, values_ND, hint)
    settings = {"clip": clip.model_dump(mode="json"), "network": network.settings.model_dump(mode="json")}
    return Features(
        ids, **arrays, windows=windows, view=shards.view, pretraining=pretraining, settings=settings
    )
