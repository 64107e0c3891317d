"""The table of evaluation protocols.

Everything that lists, checks, runs, fuses, plans, names or explains a protocol reads it here: configuration,
rules, documents of results, commands, plans, tables and report. How to add one is in ``CONTRIBUTING.md``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pkgutil import resolve_name
from typing import Any

FEATURES, FRAMES = "features", "frames"
"""What a protocol reads: the features of ``cocon features``, or the clips of shards, which it trains on."""


@dataclass(frozen=True)
class Protocol:
    """One way to evaluate an encoder with the labels of a data set.

    Attributes:
        title: its name in text.
        measure: what ``top1`` is: ``top-1``, an accuracy, or ``R@1`` of a protocol that ranks videos.
        section: the class of its settings, in ``cocon/config/schema/protocols.py``.
        evaluator: ``module:function``. Of features it is ``evaluate(task, split, features, settings)``, which
            returns scores, see :mod:`cocon.evaluation.scores`. Of frames it is ``finetune(job, device)``.
        joined: ``module:function`` that evaluates the features of several views as one, with the arguments
            ``(task, split, features by view, weights by view, settings)``. Without it the ensemble is the
            weighted mean of the views' probabilities.
        reads: ``FEATURES`` or ``FRAMES``.
        job: the section of ``jobs`` with its threads, memory and time. Without it a job has one thread and
            no GPU.
        source: where it comes from.
    """

    title: str
    measure: str
    section: str
    evaluator: str
    joined: str = ""
    reads: str = FEATURES
    job: str = ""
    source: str = ""

    @property
    def heading(self) -> str:
        """Of a table of its results."""
        return f"{self.title}, {self.measure}"

    def load(self) -> Any:
        """The function that evaluates one view; imports its module."""
        return resolve_name(self.evaluator)

    def load_joined(self) -> Any:
        """The function that evaluates several views joined; imports its module."""
        return resolve_name(self.joined)


def _finetuning(title: str, section: str, source: str) -> Protocol:
    return Protocol(
        title,
        "top-1",
        section,
        "cocon.evaluation.finetune:finetune",
        reads=FRAMES,
        job="finetune",
        source=source,
    )


_MEMDPC = "Han et al. 2020, arXiv 2008.01065"
_COCLR = "Han et al. 2020, arXiv 2010.09709"

PROTOCOLS: dict[str, Protocol] = {
    "linear": Protocol("Linear probe", "top-1", "Linear", "cocon.evaluation.linear:evaluate"),
    "linear_sgd": _finetuning("Linear layer trained by SGD", "LinearSgd", _COCLR),
    "retrieval": Protocol(
        "Retrieval",
        "R@1",
        "Retrieval",
        "cocon.evaluation.retrieval:evaluate",
        joined="cocon.evaluation.retrieval:evaluate_views",
        source=f"{_MEMDPC}; {_COCLR}",
    ),
    "finetune": _finetuning("Fine-tuning", "Finetune", "Rai et al. 2021, arXiv 2104.14764"),
    "finetune_dpc": _finetuning("Fine-tuning as in DPC", "FinetuneDpc", "Han et al. 2019, arXiv 1909.04656"),
    "finetune_memdpc": _finetuning("Fine-tuning as in MemDPC", "FinetuneMemdpc", _MEMDPC),
    "finetune_coclr": _finetuning("Fine-tuning as in CoCLR", "FinetuneCoclr", _COCLR),
}
"""By name, in the order of tables."""


def that_read(what: str) -> tuple[str, ...]:
    """The names of the protocols that read ``FEATURES`` or ``FRAMES``."""
    return tuple(name for name, protocol in PROTOCOLS.items() if protocol.reads == what)


def described(what: str) -> str:
    """Title and source of each protocol that reads ``what``, for a help text."""
    texts = []
    for name in that_read(what):
        protocol = PROTOCOLS[name]
        texts.append(f"{name}: {protocol.title}{f' ({protocol.source})' if protocol.source else ''}")
    return "; ".join(texts)
