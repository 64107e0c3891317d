"""The table of pretrainings, and the table of loss terms.

Everything that lists, checks, trains, names or explains a pretraining reads it here: configuration, rules,
documents of results, loss, plans, report, model card. A new one is an entry of :data:`PRETRAININGS`, and a
row of the table in ``docs/method.md``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

RANDOM, STAGE1 = "random", "stage1"
#: the input of a term: each view's predictions, each view's whole clips, or the blocks of two views
PREDICTIONS, CLIPS, PAIRS = "predictions", "clips", "pairs"


@dataclass(frozen=True)
class Term:
    """A term of the loss.

    Attributes:
        path: module and function with its equation. A term of ``PREDICTIONS`` takes this process's
            predictions (R, D), one per clip, block and location, the features at these places of all
            processes (C, D) and the section ``loss``, and gives the value and an accuracy; one of ``PAIRS``
            takes the instances (M, D) of all processes in two views and the section, and gives the value; one
            of ``CLIPS`` takes :class:`cocon.losses.clip_vectors.ClipVectors` and the section, and gives value
            and accuracy by view.
        title: of its curve.
        note: what the curve shows.
        of: what it is computed of: ``PREDICTIONS``, ``CLIPS`` or ``PAIRS``.
        weight: keys of ``loss`` whose product it is multiplied by.
        reads: other keys of ``loss`` that it depends on.
        kinds: where the key of ``loss`` with the term's own name chooses a kind, the keys that each reads.
        between_views: whether it needs two views or more.
        queue: whether it compares with clips of past batches, too.
    """

    path: str
    title: str
    note: str
    of: str
    weight: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    kinds: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    between_views: bool = True
    queue: bool = False


TERMS: dict[str, Term] = {
    "cpc": Term(
        "cocon.losses.cpc:cpc_term",
        "L_cpc",
        "dense predictive coding, per view",
        PREDICTIONS,
        reads=("temperature",),
        between_views=False,
    ),
    "sync": Term(
        "cocon.losses.sync:sync_term",
        "L_sync",
        "distance of similarity matrices, per pair of views",
        PAIRS,
        weight=("cooperation",),
        kinds={"l1": (), "squared": ()},
    ),
    "sim": Term(
        "cocon.losses.sim:sim_term",
        "L_sim",
        "how far an instance is from itself in another view, and how near to others, per pair of views",
        PAIRS,
        weight=("cooperation", "similarity"),
        kinds={"hinge": ("margin",), "infonce": ("contrast_temperature",)},
    ),
    "cmc": Term(
        "cocon.losses.infonce:cmc_term",
        "L_cmc",
        "cross-entropy of an instance in another view, per pair of views",
        PAIRS,
        reads=("contrast_temperature",),
    ),
    "nce": Term(
        "cocon.losses.nce:nce_term",
        "L_nce",
        "cross-entropy of another clip of the video, per view",
        CLIPS,
        reads=("contrast_temperature",),
        between_views=False,
    ),
    "coclr": Term(
        "cocon.losses.coclr:coclr_term",
        "L_coclr",
        "cross-entropy of clips of the video and of those near it in other views, per view",
        CLIPS,
        reads=("contrast_temperature", "queue", "nearest"),
        queue=True,
    ),
}
"""By name."""


@dataclass(frozen=True)
class PretrainingMethod:
    """One way to train encoders.

    Attributes:
        title: its name in text.
        description: one line.
        source: where it comes from.
        terms: of its loss, from :data:`TERMS`; their sum is minimised.
        start: the encoders that its stage 2 starts from. What starts from ``random`` trains in stage 2 for
            the epochs of both stages.
        fixed: keys of ``loss`` with a fixed value that overrides the configuration.
        clips: how many clips of a video are in a batch.
    """

    title: str
    description: str
    source: str = ""
    terms: tuple[str, ...] = ()
    start: str = STAGE1
    fixed: Mapping[str, Any] = field(default_factory=dict)
    clips: int = 1

    @property
    def predicts(self) -> bool:
        """Whether predictions count; if not, aggregator and predictor are not trained."""
        return any(TERMS[name].of == PREDICTIONS for name in self.terms)

    @property
    def queues(self) -> bool:
        """Whether it compares with clips of past batches."""
        return any(TERMS[name].queue for name in self.terms)


_DPC = "Han et al. 2019, arXiv 1909.04656"
_COCON = "Rai et al. 2021, arXiv 2104.14764"
_CMC = "Tian et al. 2020, arXiv 1906.05849"

PRETRAININGS: dict[str, PretrainingMethod] = {
    RANDOM: PretrainingMethod(
        "Random weights", "not trained; the weights are as they were drawn, to compare with"
    ),
    STAGE1: PretrainingMethod(
        "Stage 1",
        "every view by itself, dense predictive coding",
        _DPC,
        terms=("cpc",),
        start=RANDOM,
    ),
    "cpc": PretrainingMethod(
        "CPC",
        "every view for itself, in both stages",
        _DPC,
        terms=("cpc",),
    ),
    "cpc_sync": PretrainingMethod(
        "CPC + sync",
        "CoCon without L_sim",
        _COCON,
        terms=("cpc", "sync"),
    ),
    "cpc_sim": PretrainingMethod(
        "CPC + sim",
        "CoCon without L_sync",
        _COCON,
        terms=("cpc", "sim"),
    ),
    "cocon": PretrainingMethod(
        "CoCon",
        "the method of the paper",
        _COCON,
        terms=("cpc", "sync", "sim"),
    ),
    "cmc": PretrainingMethod(
        "CMC",
        "contrastive multiview coding: views are compared, nothing is predicted",
        _CMC,
        terms=("cmc",),
        start=RANDOM,
    ),
    "nce": PretrainingMethod(
        "NCE",
        "instance discrimination: every view for itself must recognise the video in another clip of it",
        "Wu et al. 2018, arXiv 1805.01978; Chen et al. 2020, arXiv 2002.05709",
        terms=("nce",),
        start=RANDOM,
        clips=2,
    ),
    "cmc_sync": PretrainingMethod(
        "CMC + sync",
        "CMC with CoCon's cooperation",
        f"{_CMC}; {_COCON}",
        terms=("cmc", "sync"),
        start=RANDOM,
    ),
    "cocon_nce": PretrainingMethod(
        "CoCon, InfoNCE",
        "CoCon with a cross-entropy between views in the place of the hinge, as in HOMAGE",
        "Rai et al. 2021, arXiv 2105.05226",
        terms=("cpc", "sync", "sim"),
        fixed={"sim": "infonce"},
    ),
    "coclr": PretrainingMethod(
        "CoCLR",
        "instance discrimination, then with positives that other views find",
        "Han et al. 2020, arXiv 2010.09709",
        terms=("coclr",),
        start=RANDOM,
        clips=2,
    ),
}
"""By name, in the order of tables: untrained, the paper's ablation, and what the method is compared with."""

PRESETS: dict[str, PretrainingMethod] = {
    name: pretraining for name, pretraining in PRETRAININGS.items() if name not in (RANDOM, STAGE1)
}
"""Those of stage 2, which train all views together; each names a loss."""

WITHOUT_STAGE1 = frozenset(name for name, preset in PRESETS.items() if preset.start == RANDOM)
"""Presets that L_cpc of stage 1 is no part of: they start from random networks and train for the epochs of
both stages."""


def main_of(names: Sequence[str]) -> str:
    """Of several pretrainings the one that is shown or exported, if none is named: cocon, else the last."""
    return "cocon" if "cocon" in names or not names else names[-1]


def start_of(preset: str) -> str:
    """The encoders that stage 2 starts from: ``random`` or ``stage1``."""
    return PRESETS[preset].start


def keys_read(preset: str, loss: Mapping[str, Any], *, together: bool = True) -> set[str]:
    """The keys of the configuration's ``loss`` that a preset depends on.

    Args:
        preset: its name.
        loss: all keys and their values.
        together: whether there are several views; a single one has no terms between views.
    """
    chosen, read = PRESETS[preset], set()
    values = {**loss, **chosen.fixed}
    for name in chosen.terms:
        term = TERMS[name]
        if together or not term.between_views:
            read |= {*term.weight, *term.reads}
            if term.kinds:
                read |= {name, *term.kinds[values[name]]}
    return read - chosen.fixed.keys()
