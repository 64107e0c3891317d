"""Section ``evaluation`` of a recipe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field, model_validator

from cocon.config.schema.base import Name, PositiveFloat, PositiveInt, Section, ViewName
from cocon.config.schema.protocols import (
    FRAME_PROTOCOLS,
    PROTOCOLS,
    Finetune,
    FinetuneCoclr,
    FinetuneDpc,
    FinetuneMemdpc,
    Linear,
    LinearSgd,
    OwnProtocol,
    Retrieval,
)
from cocon.pretrainings import PRETRAININGS

if TYPE_CHECKING:
    PretrainingName = str
else:
    PretrainingName = Literal[tuple(PRETRAININGS)]


class Relations(Section):
    """Do the views agree on which classes are alike? See cocon/evaluation/relations.py."""

    neighbours: PositiveInt = Field(5, description="nearest classes that are compared per class")
    shared: PositiveInt = Field(4, description="a class agrees if so many of them are the same in all views")

    @model_validator(mode="after")
    def _can_be_shared(self) -> Relations:
        if self.shared > self.neighbours:
            raise ValueError("shared must not be larger than neighbours")
        return self


class Evaluation(Section):
    """Which encoders are judged, how, and with what weights the views are fused."""

    pretrainings: tuple[PretrainingName, ...] = ("random", "stage1", "cocon")
    protocols: tuple[str, ...] = Field(
        ("linear", "retrieval", "finetune"),
        description="any of linear, linear_sgd, retrieval, finetune, finetune_dpc, finetune_memdpc, "
        "finetune_coclr, and the names under own",
    )
    finetune_pretrainings: tuple[PretrainingName, ...] = Field(
        ("random", "cocon"),
        description="fine-tuning and linear_sgd are dear: only these encoders are judged by them",
    )
    linear: Linear = Linear()
    linear_sgd: LinearSgd = LinearSgd()
    retrieval: Retrieval = Retrieval()
    finetune: Finetune = Finetune()
    finetune_dpc: FinetuneDpc = FinetuneDpc()
    finetune_memdpc: FinetuneMemdpc = FinetuneMemdpc()
    finetune_coclr: FinetuneCoclr = FinetuneCoclr()
    own: dict[Name, OwnProtocol] = Field(
        {},
        description="your own protocols by name: `like` one of the above, and what differs from its defaults",
    )
    relations: Relations = Relations()
    ensemble: dict[ViewName, PositiveFloat] = Field(
        {"rgb": 2.0, "flow": 2.0, "mask": 1.0, "pose": 1.0}, description="weights of the late fusion"
    )
    bootstrap: PositiveInt = Field(1000, description="resamples for the 95 % interval")

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

    def kind(self, protocol: str) -> str:
        """The built-in protocol that a protocol is, or is like."""
        return self.own[protocol].like if protocol in self.own else protocol

    def judged_by(self, protocol: str) -> tuple[PretrainingName, ...]:
        """The encoders that a protocol judges."""
        on_frames = self.kind(protocol) in FRAME_PROTOCOLS
        return self.finetune_pretrainings if on_frames else self.pretrainings

    def section(self, protocol: str) -> Section:
        """A protocol's settings: Linear, Retrieval or Finetune, or what is derived from them."""
        section: Section = self.own[protocol] if protocol in self.own else getattr(self, protocol)
        return section
