"""Clips with labels for fine-tuning, and their augmentation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from cocon.config.schema import Augmentation, Clip
from cocon.data import colour
from cocon.data.augmentation import by_operations, mirror_some, way_on
from cocon.data.cache import FrameCache
from cocon.data.clips import Key
from cocon.data.crops import crop_size, resized_crop_at, scaled
from cocon.data.network_input import normalise
from cocon.data.sampling import clip_frames
from cocon.shards import ShardSet
from cocon.transfer import sent_together
from cocon.views import VIEWS

_AREA = 0.5, 1.0
_ASPECT = 3 / 4, 4 / 3
_FLIP = 0.5
#: kinds of jitter, in the order in which they act
_COLOURS = ("brightness", "contrast", "saturation", "hue")


class LabelledClip(NamedTuple):
    """One training clip, or after collation a batch of them.

    Attributes:
        video_id: the id; in a batch a list of ids.
        frames: ``uint8`` (T, C, crop, crop); in a batch (B, T, C, crop, crop).
        label: number of the class; in a batch ``int64`` (B,).
    """

    video_id: str
    frames: Tensor
    label: int | Tensor


class LabelledClips(Dataset[LabelledClip]):
    """One clip per video and epoch: random in time, and a random resized crop of the frames.

    The crop has 0.5 to 1 of the frame's area and an aspect of 3/4 to 4/3, as far as the frame allows, and
    is the same for all frames of a clip. An item's key is (epoch, number of the video); all randomness
    follows from it and the seed, so an interruption changes nothing.

    Args:
        shards: frames of one view.
        labels: class number by id, one entry per training video.
        clip: frames and crop size.
        seed: seed of time and crop.
        cache_bytes: memory for decoded frames.
    """

    def __init__(
        self, shards: ShardSet, labels: Mapping[str, int], clip: Clip, *, seed: int, cache_bytes: int
    ) -> None:
        self.view = shards.view
        self.labels = dict(labels)
        self.video_ids = list(labels)
        self.clip = clip
        self.seed = seed
        self._cache = FrameCache({self.view: shards}, cache_bytes)

    def __len__(self) -> int:
        return len(self.video_ids)

    def __getitem__(self, key: Key) -> LabelledClip:
        epoch, number = key
        video = self.video_ids[number]
        generator = np.random.default_rng([self.seed, epoch, number])
        indices = clip_frames(self._cache.frames_of(self.view, video), self.clip, generator=generator)
        frames_FHWC, rows = self._cache.read(self.view, video, indices)
        clip_TCHW = _resized_crop(frames_FHWC, rows, crop_size(self.clip, self.view), generator)
        return LabelledClip(video, clip_TCHW, self.labels[video])


def _resized_crop(
    frames_FHWC: np.ndarray, rows: np.ndarray, size: int, generator: np.random.Generator
) -> Tensor:
    """A random part of the T frames in ``rows``, scaled to ``size`` px: ``uint8`` (T, C, size, size)."""
    area, aspect = generator.uniform(*_AREA), np.exp(generator.uniform(*np.log(_ASPECT)))
    height, width = frames_FHWC.shape[1:3]
    crop = resized_crop_at(height, width, generator.random(2), area, aspect)
    return torch.from_numpy(scaled(crop.of(frames_FHWC)[rows], size)).permute(0, 3, 1, 2)


def augment_clips(
    x_u8_BTCHW: Tensor, view: str, clip: Clip, jitter: float, generator: torch.Generator
) -> Tensor:
    """Mirror every second clip and change the colours of some rgb clips, alike in all their frames.

    Brightness, contrast, saturation and hue vary as much as in pretraining.

    Args:
        x_u8_BTCHW: ``uint8`` clips on any device.
        view: name of the view.
        clip: blocks and frames per block.
        jitter: probability that a clip changes its colours.
        generator: source of randomness, on the CPU.

    Returns:
        Network input, ``float32`` (B, N, C, K, H, W).
    """
    drawn = _draws(len(x_u8_BTCHW), VIEWS[view].content == "photograph", jitter, generator)
    draws = sent_together({name: values.float() for name, values in drawn.items()}, x_u8_BTCHW.device)
    if (way := way_on(x_u8_BTCHW.device)) is not by_operations:
        return way(x_u8_BTCHW, view, _of_frames(draws, x_u8_BTCHW.shape[1]), clip)
    x_BTCHW = mirror_some(x_u8_BTCHW, draws["flipped"] > 0, view)
    if "chosen" not in draws:
        return normalise(x_BTCHW, view, clip)
    chosen_B = draws.pop("chosen") > 0
    if x_BTCHW.device.type == "cpu":  # saves time on a CPU
        chosen = chosen_B.nonzero().squeeze(1)
        x_BTCHW[chosen] = _recoloured(x_BTCHW[chosen], {name: v[chosen] for name, v in draws.items()})
    else:
        recoloured_BTCHW = _recoloured(x_BTCHW.clone(), draws)
        x_BTCHW = torch.where(chosen_B.view(-1, 1, 1, 1, 1), recoloured_BTCHW, x_BTCHW)
    return normalise(x_BTCHW, view, clip)


def _draws(count: int, colours: bool, jitter: float, generator: torch.Generator) -> dict[str, Tensor]:
    """The random numbers for a batch, one per clip and kind; colours are drawn for the selected clips
    only."""
    draws = {"flipped": torch.rand(count, generator=generator) < _FLIP}
    if colours:
        chosen_B = torch.rand(count, generator=generator) < jitter
        if chosen := int(chosen_B.sum()):
            draws["chosen"] = chosen_B
            for name in _COLOURS:
                draws[name] = torch.zeros(count)
                values = 2 * torch.rand(chosen, generator=generator) - 1
                draws[name][chosen_B] = values * getattr(Augmentation(), name)
    return draws


def _of_frames(draws: Mapping[str, Tensor], frames: int) -> dict[str, Tensor]:
    """The random numbers as pretraining has them, a factor per frame: 1 in clips that keep their colours."""
    found = {"flipped": draws["flipped"]}
    for name in _COLOURS if "chosen" in draws else ():
        values_F = draws[name].repeat_interleave(frames)
        found[name] = values_F if name == "hue" else 1 + values_F
    return found


def _recoloured(x_BTCHW: Tensor, draws: Mapping[str, Tensor]) -> Tensor:
    """Clips in [0, 1], with the same colours in all frames of a clip; they may be overwritten."""
    x_FCHW, frames = x_BTCHW.flatten(0, 1), x_BTCHW.shape[1]
    brightness_F, contrast_F, saturation_F, hue_F = (
        draws[name][:, None].expand(-1, frames).flatten() for name in _COLOURS
    )
    x_FCHW = colour.adjust_brightness(x_FCHW, 1 + brightness_F)
    x_FCHW = colour.adjust_contrast(x_FCHW, 1 + contrast_F)
    x_FCHW = colour.adjust_saturation(x_FCHW, 1 + saturation_F)
    x_FCHW = colour.adjust_hue(x_FCHW, hue_F)
    return x_FCHW.view_as(x_BTCHW)
