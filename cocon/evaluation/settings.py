"""The settings (``--settings``) of each evaluation command: the keys of the recipe that it depends on."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

from pydantic import Field, create_model

from cocon.config.schema import Clip, Evaluation, PositiveInt, Relations, Section, ViewName
from cocon.config.schema.base import completed_by
from cocon.config.schema.protocols import sections_of
from cocon.protocols import FEATURES, FRAMES, PROTOCOLS, that_read

_DEFAULT = Evaluation()
_BOOTSTRAP: PositiveInt = Field(_DEFAULT.bootstrap, description="resamples for the 95 % interval")


class FeaturesSettings(Section):
    """Settings of ``cocon features``."""

    clip: Clip | None = Field(None, description="what a window is; as in pretraining when left out")


class ProtocolSettings(Section):
    """A section for each of several protocols; one of them is used."""

    def of(self, protocol: str) -> Section:
        """The section of a protocol."""
        section: Section = getattr(self, protocol)
        return section


if TYPE_CHECKING:
    _OnFeatures = ProtocolSettings
    _OnFrames = ProtocolSettings
    _Joined = ProtocolSettings
else:

    def _with(names: Iterable[str], title: str) -> type[ProtocolSettings]:
        sections = sections_of(names)
        return create_model(title, __base__=ProtocolSettings, __module__=__name__, **sections)

    _OnFeatures = _with(that_read(FEATURES), "OnFeatures")
    _OnFrames = _with(that_read(FRAMES), "OnFrames")
    _Joined = _with([name for name, protocol in PROTOCOLS.items() if protocol.joined], "Joined")


class EvaluateSettings(_OnFeatures):
    """Settings of ``cocon evaluate``; only the protocol's section is used."""

    bootstrap: PositiveInt = _BOOTSTRAP


class FinetuneSettings(_OnFrames):
    """Settings of ``cocon finetune``; only the protocol's section is used."""

    clip: Clip | None = Field(None, description="what a window is; as in pretraining when left out")
    bootstrap: PositiveInt = _BOOTSTRAP


class EnsembleSettings(_Joined):
    """Settings of ``cocon ensemble``; the sections are for protocols that join features."""

    ensemble: Annotated[dict[ViewName, float], completed_by(_DEFAULT.ensemble)] = Field(
        _DEFAULT.ensemble, description="weights of the late fusion"
    )
    bootstrap: PositiveInt = _BOOTSTRAP


class RelationsSettings(Section):
    """Settings of ``cocon relations``."""

    relations: Relations = Relations()
