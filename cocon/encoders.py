"""The table of encoders f, shared by schema, networks, report and documents.

A new encoder is a class in ``cocon/models``, an entry here, and tests. The class is a
:class:`cocon.models.encoder.EncoderNetwork`:

* **Arguments.** ``channels`` of the view and ``features``, D, both by keyword, and the keys of the section
  ``network`` that its entry lists under ``reads``. The schema refuses the other keys for this encoder.
* **Input.** ``forward`` gets (F, C, K, H, W): F blocks of K frames, normalised as in :mod:`cocon.views`.
  K is ``clip.frames_per_block``, 5 by default; any K >= 1 has to work. H = W = px is the view's crop; any
  px >= 1 has to work.
* **Output.** (F, D, S, S) with S = ceil(px / stride), where ``stride`` stands in the entry, so S >= 1:
  convolutions pad, and pools round up. D is the same for all views, since L_sim compares them; S may differ.
  The remaining time steps are averaged.
* **Last layer.** No activation (features may be negative, and cosines too), and not normalised:
  :func:`cocon.models.network.encode_blocks` gives z the length 1 at every location.
* **Batch norm** with torch's defaults and running statistics, which evaluation uses. The statistics of a
  batch are over F, time and space, so that with S = 1 a batch of B clips of N blocks has B * N values per
  channel.
* **Initialisation.** :func:`cocon.models.layers.initialise` (He et al. 2015, fan out) from torch's global
  generator.
* **Size.** ``fewest_weights`` is a lower bound of the number of weights, from the settings, without building
  anything: a damaged file must not cause an allocation larger than the file.
* **CPU.** No 1x1 convolution of torch's with stride 2, but :class:`cocon.models.layers.StridedPointwise`,
  see there for the reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

#: keys of the section ``network`` that give an encoder its shape, where it reads them
SHAPE = ("layers", "width")


@dataclass(frozen=True)
class EncoderEntry:
    """One encoder.

    Attributes:
        path: its place, ``module:class``.
        title: its name in reports and model cards, without the depth if that can be chosen.
        source: the paper.
        stride: input pixels per location of the output, before rounding up.
        reads: the keys of :data:`SHAPE` that it reads.
        depths: by ``layers``, what follows the title in the literature.
        least_features: the smallest D.
    """

    path: str
    title: str
    source: str
    stride: int
    reads: tuple[str, ...]
    depths: Mapping[tuple[int, ...], str] = field(default_factory=dict)
    least_features: int = 1

    def locations(self, pixels: int) -> int:
        """Locations along one side of the output, S = ceil(pixels / stride)."""
        return -(-pixels // self.stride)

    def titled(self, layers: Sequence[int]) -> str:
        """The title with the depth that ``layers`` give, where they are read: "2D3D-ResNet-18"."""
        if "layers" not in self.reads:
            return self.title
        depth = self.depths.get(tuple(layers))
        return f"{self.title}-{depth}" if depth else f"{self.title} {'-'.join(map(str, layers))}"


ENCODERS: dict[str, EncoderEntry] = {
    "resnet2d3d": EncoderEntry(
        "cocon.models.resnet2d3d:ResNet2d3d",
        "2D3D-ResNet",
        "Han et al. 2019, arXiv 1909.04656",
        stride=32,
        reads=("layers", "width"),
        depths={(2, 2, 2, 2): "18", (3, 4, 6, 3): "34"},
    ),
    "r2plus1d_18": EncoderEntry(
        "cocon.models.r2plus1d:R2plus1d18",
        "R(2+1)D-18",
        "Tran et al. 2018, arXiv 1711.11248",
        stride=16,
        reads=("width",),
    ),
    "s3d": EncoderEntry(
        "cocon.models.s3d:S3d",
        "S3D",
        "Xie et al. 2018, arXiv 1712.04851",
        stride=32,
        reads=("width",),
        least_features=4,
    ),
}
