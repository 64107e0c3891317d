"""What each evaluation command takes as ``--settings``: the keys of the recipe that it depends on."""

from __future__ import annotations

from pydantic import Field

from cocon.config.schema import (
    Clip,
    Evaluation,
    Finetune,
    FinetuneCoclr,
    FinetuneDpc,
    FinetuneMemdpc,
    Linear,
    LinearSgd,
    PositiveInt,
    Relations,
    Retrieval,
    Section,
    ViewName,
)

_DEFAULT = Evaluation()
_BOOTSTRAP: PositiveInt = Field(_DEFAULT.bootstrap, description="resamples for the 95 % interval")


class FeaturesSettings(Section):
    """Of ``cocon features``."""

    clip: Clip | None = Field(None, description="what a window is; as in pretraining when left out")


class LinearSettings(Section):
    """Of ``cocon linear``."""

    linear: Linear = Linear()
    bootstrap: PositiveInt = _BOOTSTRAP


class RetrievalSettings(Section):
    """Of ``cocon retrieval``."""

    retrieval: Retrieval = Retrieval()
    bootstrap: PositiveInt = _BOOTSTRAP


class FinetuneSettings(Section):
    """Of ``cocon finetune``; of the presets one section counts."""

    finetune: Finetune = Finetune()
    finetune_dpc: FinetuneDpc = FinetuneDpc()
    finetune_memdpc: FinetuneMemdpc = FinetuneMemdpc()
    finetune_coclr: FinetuneCoclr = FinetuneCoclr()
    linear_sgd: LinearSgd = LinearSgd()
    clip: Clip | None = Field(None, description="what a window is; as in pretraining when left out")
    bootstrap: PositiveInt = _BOOTSTRAP

    def of(self, preset: str) -> Finetune:
        """The section of a preset."""
        section: Finetune = getattr(self, preset)
        return section


class EnsembleSettings(Section):
    """Of ``cocon ensemble``; ``retrieval`` matters to that protocol only."""

    ensemble: dict[ViewName, float] = Field(_DEFAULT.ensemble, description="weights of the late fusion")
    retrieval: Retrieval = Retrieval()
    bootstrap: PositiveInt = _BOOTSTRAP


class RelationsSettings(Section):
    """Of ``cocon relations``."""

    relations: Relations = Relations()
