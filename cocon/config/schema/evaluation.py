"""Section ``evaluation`` of a recipe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, create_model, model_validator

from cocon.config.schema.base import Name, PositiveFloat, PositiveInt, Section, ViewName, completed_by
from cocon.config.schema.protocols import OwnProtocol, sections_of
from cocon.pretrainings import PRESETS, PRETRAININGS, main_of
from cocon.protocols import FRAMES, PROTOCOLS
from cocon.views import VIEWS

if TYPE_CHECKING:
    PretrainingName = str
    BuiltIn = Section
else:
    PretrainingName = Literal[tuple(PRETRAININGS)]
    BuiltIn = create_model(
        "BuiltIn",
        __base__=Section,
        __doc__="A section for each protocol of :data:`cocon.protocols.PROTOCOLS`.",
        __module__=__name__,
        **sections_of(PROTOCOLS),
    )

_NAMES = ", ".join(PROTOCOLS)
_WEIGHTS = {view.name: view.weight for view in VIEWS.values()}


class Relations(Section):
    """Do the views agree on which classes are alike? See cocon/evaluation/relations.py."""

    neighbours: PositiveInt = Field(
        5, description="nearest classes that are compared per class (Rai et al. 2021: 5)"
    )
    shared: PositiveInt = Field(
        4, description="a class agrees if this number of them is the same in all views (Rai et al. 2021: 4)"
    )

    @model_validator(mode="after")
    def _can_be_shared(self) -> Relations:
        if self.shared > self.neighbours:
            raise ValueError("shared must not be larger than neighbours")
        return self


class Evaluation(BuiltIn):
    """Which encoders are evaluated, how, and with what weights the views are fused."""

    pretrainings: tuple[PretrainingName, ...] = Field(
        ("random", "stage1", "cocon"), description="encoders that are evaluated, see docs/method.md"
    )
    protocols: tuple[str, ...] = Field(
        ("linear", "retrieval", "finetune"),
        description=f"ways to evaluate, see docs/evaluation.md: {_NAMES}, and the names under own",
    )
    finetune_pretrainings: tuple[PretrainingName, ...] = Field(
        ("random", "cocon"),
        description="encoders that the protocols which train on frames (linear_sgd, finetune...) evaluate; "
        "they take long",
    )
    own: dict[Name, OwnProtocol] = Field(
        {},
        description="your own protocols by name: `like` one of the above, and what differs from its defaults",
    )
    relations: Relations = Relations()
    ensemble: Annotated[dict[ViewName, PositiveFloat], completed_by(_WEIGHTS)] = Field(
        _WEIGHTS,
        description="weights of the views in the late fusion, relative to each other; those not named keep "
        "these values",
    )
    bootstrap: PositiveInt = Field(1000, description="resamples of the bootstrap for the 95 % interval")

    @model_validator(mode="after")
    def _protocols_exist(self) -> Evaluation:
        taken = sorted(set(self.own) & set(PROTOCOLS))
        if taken:
            raise ValueError(f"own.{taken[0]}: '{taken[0]}' is a protocol already; choose another name")
        known = [*PROTOCOLS, *self.own]
        for name in self.protocols:
            if name not in known:
                raise ValueError(f"protocols: there is no '{name}' (there are: {', '.join(known)})")
        return self

    @property
    def chosen(self) -> str:
        """What pretrain_<name> trains and export_<name> exports: cocon if it is listed, else the last."""
        return main_of([name for name in self.pretrainings if name in PRESETS])

    def kind(self, protocol: str) -> str:
        """The built-in protocol that a protocol is, or is like."""
        return self.own[protocol].like if protocol in self.own else protocol

    def judged_by(self, protocol: str) -> tuple[PretrainingName, ...]:
        """The encoders that a protocol evaluates."""
        on_frames = PROTOCOLS[self.kind(protocol)].reads == FRAMES
        return self.finetune_pretrainings if on_frames else self.pretrainings

    def section(self, protocol: str) -> Section:
        """A protocol's settings: Linear, Retrieval or Finetune, or what is derived from them."""
        section: Section = self.own[protocol] if protocol in self.own else getattr(self, protocol)
        return section
