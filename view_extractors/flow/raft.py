"""RAFT: flow by a recurrent network over all pairs of positions.

Teed and Deng, "RAFT: Recurrent all-pairs field transforms for optical flow" (ECCV 2020), in torchvision's
implementation and with its weights.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from view_extractors.base import Resources
from view_extractors.flow.base import FlowExtractor
from view_extractors.networks.devices import at_once, torch_device, torchvision_models, upload
from view_extractors.networks.weights import WEIGHTS, load_weights

if TYPE_CHECKING:
    import torch

#: the network's features are at an eighth of the size, and its pyramid needs 16 of them per side
_STRIDE = 8
_SMALLEST = 16 * _STRIDE


class Raft(FlowExtractor):
    """RAFT on a GPU (half precision where it can) or, slowly, on a CPU.

    Raises:
        CoConError: torchvision is not installed, or a GPU is requested and there is none.
        AssetError: the weights are not available.
    """

    backend = "raft"
    colour = True

    @property
    def parameters(self) -> dict[str, Any]:
        """Everything that the stored bytes depend on."""
        return {**super().parameters, "weights": WEIGHTS[f"raft_{self.options.model}"].filename}

    def prepare(self, resources: Resources) -> None:
        """Load the network."""
        super().prepare(resources)
        name = f"raft_{self.options.model}"
        network = getattr(torchvision_models("optical_flow", self.backend), name)(weights=None)
        load_weights(network, name)
        self._device = torch_device(resources)
        self._on_gpu = self._device.type == "cuda"
        self._network = network.eval().to(self._device)

    def between(self, pictures: list[np.ndarray]) -> list[Any]:
        """Flow from a CPU; from a GPU stored bytes, which are less to copy."""
        if not self._on_gpu:
            return super().between(pictures)
        from view_extractors.flow.storing import stored_bytes

        parts = self._parts(np.stack(pictures))
        size, bound = self.stored_size, self.settings.bound
        return [stored for part in parts for stored in stored_bytes(part, size, bound).cpu().numpy()]

    def flows(self, pictures: np.ndarray) -> np.ndarray:
        """Motion between neighbours, see :meth:`FlowExtractor.flows`."""
        return np.concatenate([part.permute(0, 2, 3, 1).cpu().numpy() for part in self._parts(pictures)])

    def _parts(self, pictures: np.ndarray) -> Iterator[torch.Tensor]:
        """The flow (n, 2, h, w) of as many pairs at once as fit, on the device."""
        step = at_once(self._device, bytes_per_pair(*pictures.shape[1:3]))
        for first in range(0, len(pictures) - 1, step):
            yield self._flow(pictures[first : first + step + 1])

    def _flow(self, pictures_THWC: np.ndarray) -> torch.Tensor:
        import torch

        height, width = pictures_THWC.shape[1:3]
        top, bottom = padding(height)
        left, right = padding(width)
        with torch.inference_mode(), torch.autocast("cuda", torch.float16, enabled=self._on_gpu):
            pixels_TCHW = upload(pictures_THWC, self._device).float() / 127.5 - 1
            border = (left, right, top, bottom)
            pixels_TCHW = torch.nn.functional.pad(pixels_TCHW, border, mode="replicate")
            updates = self._network(pixels_TCHW[:-1], pixels_TCHW[1:], self.options.updates)
            flow: torch.Tensor = updates[-1][:, :, top : top + height, left : left + width].float()
        return flow


def padding(size: int) -> tuple[int, int]:
    """Pixels to pad before and after a side, up to a size that the network accepts."""
    missing = max(_SMALLEST, -size % _STRIDE + size) - size
    return missing // 2, missing - missing // 2


def bytes_per_pair(height: int, width: int) -> int:
    """About how much memory a pair takes: four bytes for each pair of positions, and the features.

    The pyramid of correlations is the volume, (h w)² at an eighth of the size, and a third of it more.
    """
    pixels = (height + sum(padding(height))) * (width + sum(padding(width)))
    volume = 4 * (pixels // _STRIDE**2) ** 2
    return 2 * volume + 1500 * pixels
