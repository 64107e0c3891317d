"""Published accuracies, for comparison with ours.

Sources, by the letter of each row: P, Rai et al., CoCon, CVPR Workshops 2021 (arXiv 2104.14764), and the
table of results in the authors' repository; L, Han et al., CoCLR, NeurIPS 2020 (arXiv 2010.09709). The
figures of DPC, CMC and MemDPC are as quoted in P and L.
"""

from __future__ import annotations

from dataclasses import dataclass

from cocon.config.schema import Protocol

SOURCES = {
    "P": "Rai et al. 2021, arXiv 2104.14764",
    "L": "Han et al. 2020, arXiv 2010.09709",
}
#: published of the views' agreement on UCF101 (P, section 4.4): classes of 101 that share at least 4 of their
#: 5 nearest classes in all views
AGREEING_CLASSES = {"cocon": 41, "cpc": 10}


@dataclass(frozen=True)
class Published:
    """One figure: top-1 accuracy of fine-tuning or of a linear probe, or R@1 of retrieval.

    Attributes:
        dataset: kind of the data set that was tested on, as in config.yaml.
        protocol: how the representation was evaluated.
        model: name of the method.
        judged: ``rgb`` (one network sees RGB), ``ensemble`` (the networks of all views), or which are fused.
        network: architecture and input size.
        views: number of views that pretraining saw.
        pretrained_on: data set without labels; empty for random initialisation.
        accuracy: a fraction in [0, 1].
        source: a key of :data:`SOURCES`.
        note: remarks; without one, fine-tuning is a mean of three splits, the others are split 1.
    """

    dataset: str
    protocol: Protocol
    model: str
    judged: str
    network: str
    views: int
    pretrained_on: str
    accuracy: float
    source: str
    note: str = ""


Row = tuple[Protocol, str, str, str, int, str, str, float | None, float | None]

#: by kind of data set, where its figure stands in a row
TESTED_ON = {"ucf101": 7, "hmdb51": 8}

# protocol, model, judged, network, views, pretrained on, source, per cent on UCF101 and on HMDB51
_ROWS: tuple[Row, ...] = (
    ("finetune", "random initialisation", "rgb", "R18, 128 px", 1, "", "P", 46.7, 20.6),
    ("finetune", "DPC", "rgb", "R18, 128 px", 1, "UCF101", "P", 60.6, None),
    ("finetune", "CMC", "rgb", "CaffeNet, 128 px", 3, "UCF101", "P", 59.7, 26.1),
    ("finetune", "CoCon", "rgb", "R18, 128 px", 4, "UCF101", "P", 70.5, 38.4),
    ("finetune", "CoCon", "ensemble", "R18, 128 px", 4, "UCF101", "P", 82.4, 52.0),
    ("finetune", "DPC", "rgb", "R18, 128 px", 1, "Kinetics-400", "P", 68.2, 34.5),
    ("finetune", "CoCon", "rgb", "R18, 128 px", 2, "Kinetics-400", "P", 71.6, 46.0),
    ("finetune", "CoCon", "ensemble", "R18, 128 px", 2, "Kinetics-400", "P", 78.1, 52.0),
    ("finetune", "DPC", "rgb", "R34, 224 px", 1, "Kinetics-400", "P", 75.7, 35.7),
    ("finetune", "MemDPC", "rgb", "R34, 224 px", 1, "Kinetics-400", "P", 78.1, 41.2),
    ("finetune", "CoCon", "rgb", "R34, 224 px", 2, "Kinetics-400", "P", 79.1, 48.5),
    ("finetune", "CoCon", "ensemble", "R34, 224 px", 2, "Kinetics-400", "P", 82.0, 53.1),
    ("linear", "CoCLR", "rgb", "S3D, 128 px", 2, "UCF101", "L", 70.2, 39.1),
    ("retrieval", "MemDPC", "rgb", "R18", 1, "UCF101", "L", 20.2, 7.7),
    ("retrieval", "CoCLR", "rgb", "S3D, 128 px", 2, "UCF101", "L", 53.3, 23.2),
    ("retrieval", "CoCLR", "rgb + flow", "S3D, 128 px", 2, "UCF101", "L", 55.9, 26.1),
)
_ABLATION: tuple[Row, ...] = (
    ("finetune", "CPC", "rgb", "R18, 128 px", 2, "UCF101", "P", 63.7, None),
    ("finetune", "CoCon", "rgb", "R18, 128 px", 2, "UCF101", "P", 67.8, None),
)


def published(dataset: str, protocol: str = "") -> list[Published]:
    """What was published on a kind of data set (``ucf101``, ``hmdb51``); other kinds have nothing.

    Args:
        dataset: kind of the data set.
        protocol: one protocol only; empty: all.
    """
    place = TESTED_ON.get(dataset)
    if place is None:
        return []
    noted = [(row, "") for row in _ROWS] + [(row, "ablation, split 1") for row in _ABLATION]
    return [
        Published(dataset, *row[:6], round(accuracy / 100, 4), row[6], note or _text(dataset, row))
        for row, note in noted
        if isinstance(accuracy := row[place], float) and protocol in ("", row[0])
    ]


def _text(dataset: str, row: Row) -> str:
    """The paper's table says 70.5, its text 71.0."""
    return "the text says 71.0" if dataset == "ucf101" and row[7] == 70.5 else ""
