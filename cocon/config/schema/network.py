"""Section ``network`` of a recipe."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from cocon.config.schema.base import Fraction, PositiveInt, Section, ViewName
from cocon.encoders import ENCODERS, SHAPE, EncoderEntry

if TYPE_CHECKING:
    EncoderName = str
else:
    EncoderName = Literal[tuple(ENCODERS)]
Layers = tuple[PositiveInt, PositiveInt, PositiveInt, PositiveInt]


class NetworkOfView(Section):
    """What the network of one view has instead; D is common to all views, since L_sim compares them."""

    encoder: EncoderName | None = Field(None, description="null: as all views have it")
    layers: Layers | None = Field(
        None, description="residual blocks per stage, of resnet2d3d only; null: as all views have it"
    )
    width: PositiveInt | None = Field(None, description="channels of the stem; null: as all views have it")


class Network(Section):
    """An encoder, a one-layer ConvGRU and a predictor."""

    encoder: EncoderName = Field(
        "resnet2d3d",
        description="; ".join(
            f"{name}: {entry.title} ({entry.source.partition(',')[0]})" for name, entry in ENCODERS.items()
        )
        + "; see docs/method.md",
    )
    layers: Layers = Field(
        (2, 2, 2, 2),
        description="residual blocks per stage, of resnet2d3d only: 2 2 2 2 is ResNet-18, 3 4 6 3 ResNet-34",
    )
    width: PositiveInt = Field(
        64, description="channels of the stem; those of all stages but the last are in proportion"
    )
    features: PositiveInt = Field(
        256, description="D, channels of the last stage, in all views (Han et al. 2019)"
    )
    dropout: Fraction = Field(
        0.1, description="probability of dropout on the state of the ConvGRU (Han et al. 2019)"
    )
    views: dict[ViewName, NetworkOfView] = Field(
        {}, description="encoder, layers and width of single views, where they differ"
    )

    @model_validator(mode="after")
    def _encoders_read_it(self) -> Network:
        given: dict[str, tuple[EncoderName, Collection[str]]] = {"": (self.encoder, self.model_fields_set)}
        for view, own in self.views.items():
            given[f"views.{view}."] = (own.encoder or self.encoder, own.model_dump(exclude_none=True).keys())
        for where, (encoder, keys) in given.items():
            entry = ENCODERS[encoder]
            for key in SHAPE:
                if key in keys and key not in entry.reads:
                    able = " or ".join(name for name, other in ENCODERS.items() if key in other.reads)
                    raise ValueError(
                        f"the encoder {encoder} does not read '{where}{key}'; leave it out, or choose {able}"
                    )
            if self.features < (least := entry.least_features):
                raise ValueError(f"the encoder {encoder} needs {least} features or more, not {self.features}")
        return self

    @model_serializer(mode="wrap")
    def _what_is_read(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without the keys that the encoder does not read."""
        document: dict[str, Any] = handler(self)
        return {key: value for key, value in document.items() if key not in SHAPE or key in self.entry.reads}

    @property
    def entry(self) -> EncoderEntry:
        """What is known about its encoder."""
        return ENCODERS[self.encoder]

    @property
    def title(self) -> str:
        """The encoder's name in reports, with its depth, for instance "2D3D-ResNet-18"."""
        return self.entry.titled(self.layers)

    def of(self, view: str) -> Network:
        """The network of one view, by itself; what its encoder does not read has its default."""
        own: dict[str, Any] = {}
        for name, changes in self.views.items():
            if name == view:
                own = changes.model_dump(exclude_none=True)
        read = ENCODERS[own.get("encoder", self.encoder)].reads
        settings = {**dict(self), **own, "views": {}}
        return Network(**{key: value for key, value in settings.items() if key not in SHAPE or key in read})
