"""Our accuracies next to the published ones, cell by cell of the paper's table of results.

A published figure is compared with ours if data set, architecture, input size, views and data of the
pretraining are the same (`Setting`). DPC's loss is L_cpc of one view, so DPC is compared with our
stage 1.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from statistics import mean, stdev
from typing import Any

from pydantic import Field

from cocon.config.schema import EncoderName, Layers, PositiveInt, Section
from cocon.datasets.registry import source
from cocon.evaluation.ensemble import VIEW
from cocon.evaluation.metrics import Result
from cocon.evaluation.published import SOURCES, TESTED_ON, Published, published
from cocon.evaluation.summary import aligned

#: by published model, the pretraining of ours that is the same
_OURS = {"random initialisation": "random", "DPC": "stage1", "CPC": "cpc", "CoCon": "cocon"}
#: by layers, the networks of published figures: encoder resnet2d3d, width 64, 256 features
NETWORKS = {(2, 2, 2, 2): "R18", (3, 4, 6, 3): "R34"}
_OTHER_METHOD = "another method"


class Setting(Section):
    """The setting in which a published figure is comparable with ours."""

    kind: str = Field(description="kind of the data set that was tested on")
    pretrained_on: str = Field(description="kind of the data set of the pretraining")
    layers: Layers = Field(description="residual blocks per stage of the network of rgb")
    encoder: EncoderName = Field("resnet2d3d", description="encoder of the network of rgb")
    width: PositiveInt = Field(64, description="channels of the stem of the network of rgb")
    features: PositiveInt = Field(256, description="channels of the last stage of all networks")
    pixels: PositiveInt = Field(description="input of the network of rgb, px")
    views: PositiveInt = Field(description="number of views that were pretrained together")

    @property
    def network(self) -> str:
        """Architecture and input size as in the published table, for instance "R18, 128 px"."""
        as_published = (self.encoder, self.width, self.features) == ("resnet2d3d", 64, 256)
        name = NETWORKS.get(self.layers, "another") if as_published else "another"
        return f"{name}, {self.pixels} px"


@dataclass(frozen=True)
class PaperCell:
    """A published figure, and ours where it ran: mean and standard deviation over ``splits``."""

    published: Published
    ours: float | None = None
    sd: float | None = None
    splits: tuple[str, ...] = ()
    coverage: float | None = None

    def row(self) -> dict[str, Any]:
        """The cell as a flat mapping that JSON and CSV can hold."""
        figure = asdict(self.published)
        figure["published"] = figure.pop("accuracy")
        own = {"ours": self.ours, "sd": self.sd, "splits": " ".join(self.splits), "coverage": self.coverage}
        return {**figure, **own}


def cells_beside(results: Iterable[Result], setting: Setting) -> list[PaperCell]:
    """The published figures that have a result of ours in ``setting``, in the order of the paper."""
    found = []
    for figure in published(setting.kind, "finetune"):
        mine = [result for result in results if _is_ours(figure, result, setting)]
        if mine:
            found.append(_cell(figure, mine))
    return found


def wanted(setting: Setting) -> list[tuple[str, str]]:
    """Pretraining and view of the cells of the paper's table that belong to a setting; no ablations."""
    figures = [
        figure for figure in published(setting.kind, "finetune") if not figure.note.startswith("ablation")
    ]
    return [
        (_OURS[figure.model], VIEW if figure.judged == "ensemble" else figure.judged)
        for figure in figures
        if figure.model in _OURS and _agrees(figure, setting)
    ]


def whole_table(cells: Sequence[PaperCell]) -> list[PaperCell]:
    """Every published figure of fine-tuning on UCF101 and HMDB51, with our cell where there is one."""
    ours = {cell.published: cell for cell in cells}
    figures = [figure for kind in TESTED_ON for figure in published(kind, "finetune")]
    return [ours.get(figure, PaperCell(figure)) for figure in figures]


def format_cells(cells: Sequence[PaperCell]) -> str:
    """The cells as a table in per cent, with their sources below; empty without any."""
    if not cells:
        return ""
    table = [["test", "model", "sees", "network", "views", "pretrained on", "published", "ours", "cover"]]
    for cell in cells:
        figure = cell.published
        name = figure.model + (f" ({figure.note})" if figure.note else "")
        table.append(
            [
                source(figure.dataset).title,
                name,
                figure.judged,
                figure.network,
                str(figure.views),
                figure.pretrained_on or "-",
                f"{100 * figure.accuracy:.1f}",
                _ours_text(cell),
                "" if cell.coverage is None else f"{100 * cell.coverage:.0f} %",
            ]
        )
    sources = "; ".join(SOURCES[key] for key in dict.fromkeys(cell.published.source for cell in cells))
    return f"Fine-tuning and published figures, top-1, %\n{aligned(table)}\npublished: {sources}"


def _ours_text(cell: PaperCell) -> str:
    if cell.ours is None:
        return "-" if cell.published.model in _OURS else _OTHER_METHOD
    spread = "" if cell.sd is None else f" ± {100 * cell.sd:.1f}"
    return f"{100 * cell.ours:.1f}{spread} (split {', '.join(cell.splits)})"


def _is_ours(figure: Published, result: Result, setting: Setting) -> bool:
    task = result.task
    return (
        task.protocol == "finetune"
        and _agrees(figure, setting)
        and task.pretraining == _OURS.get(figure.model)
        and task.view == (VIEW if figure.judged == "ensemble" else figure.judged)
        and ("split 1" not in figure.note or task.split == "1")
    )


def _agrees(figure: Published, setting: Setting) -> bool:
    return (
        figure.network == setting.network
        and figure.pretrained_on in ("", source(setting.pretrained_on).title)
        and figure.views in (1, setting.views)
    )


def _cell(figure: Published, results: list[Result]) -> PaperCell:
    accuracies = [result.top1 for result in results]
    return PaperCell(
        figure,
        ours=mean(accuracies),
        sd=stdev(accuracies) if len(accuracies) > 1 else None,
        splits=tuple(dict.fromkeys(result.task.split for result in results)),
        coverage=min(result.coverage for result in results),
    )
