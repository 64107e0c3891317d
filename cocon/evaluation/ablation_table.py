"""An ablation as tables to read in a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import mean

from cocon.evaluation.ablation import AGREEMENT, COSINE, NEAR, REFERENCES, AblationCell, AblationResult
from cocon.evaluation.paired import PairedDifference
from cocon.evaluation.summary import aligned, listed_splits, rank, seen_sentence
from cocon.measures.neighbours import NEAREST
from cocon.protocols import PROTOCOLS

_OTHER = (AGREEMENT, NEAR, COSINE)


def format_ablation(ablation: AblationResult) -> str:
    """Per protocol a table of accuracies, and of differences to each reference; then of class similarity.

    A row per pretraining, a column per view. In a table of accuracies the last column is the number of
    classes on whose nearest classes all views agree.
    """
    agreement = {cell.pretraining: cell for cell in ablation.cells if cell.measure == AGREEMENT}
    tables = []
    for measure in dict.fromkeys(cell.measure for cell in ablation.cells if cell.measure not in _OTHER):
        cells = [cell for cell in ablation.cells if cell.measure == measure]
        tables.append(_accuracies(measure, cells, agreement, ablation))
        tables += _differences(measure, cells)
    for measure in (NEAR, COSINE):
        if cells := [cell for cell in ablation.cells if cell.measure == measure]:
            tables.append(_likeness(measure, cells))
    if ablation.seen:
        tables.append(seen_sentence(ablation.seen))
    return "\n\n".join(tables)


def _accuracies(
    measure: str, cells: list[AblationCell], agreement: dict[str, AblationCell], ablation: AblationResult
) -> str:
    views = _views(cells)
    table = [["pretraining", *views, "n", *(["classes agreeing"] if agreement else [])]]
    for pretraining, by_view in _rows(cells):
        counts = sorted({cell.n for cell in by_view.values()})
        tested = "-".join(dict.fromkeys(f"{count}" for count in (counts[0], counts[-1])))
        row = [pretraining, *(_text(by_view.get(view), 100) for view in views), tested]
        table.append(row + ([_text(agreement.get(pretraining), 1)] if agreement else []))
    empty = [""] * (1 + bool(agreement))
    sizes = ablation.frame_sizes
    if any(of_split.sizes > 1 for of_split in sizes):
        known = _number(100 * mean(of_split.top1 for of_split in sizes))
        tested = f"{sum(of_split.n for of_split in sizes)}"
        table.append(["frame size", *[known] * len(views), tested, *empty[1:]])
    chance = _number(100 * cells[0].chance)
    expected = [_number(next(iter(agreement.values())).chance)] if agreement else []
    table.append(["chance", *[chance] * len(views), "", *expected])
    return f"{_title(measure)}, % ({_means(cells[0])})\n" + aligned(table)


def _differences(measure: str, cells: list[AblationCell]) -> Iterator[str]:
    """Tables of the differences to each reference."""
    views = _views(cells)
    for reference in REFERENCES:
        table = [["pretraining", *views]]
        found = {
            (cell.pretraining, cell.view): one
            for cell in cells
            for one in cell.comparisons
            if one.reference == reference
        }
        for pretraining in dict.fromkeys(name for name, _ in found):
            table.append([pretraining, *(_difference(found.get((pretraining, view))) for view in views)])
        if found:
            title = f"{_title(measure)}: difference to {reference} on the same test videos"
            drawn = f"{_drawn(list(found.values()))} are drawn; *: the interval excludes 0, and p < 0.05"
            yield f"{title}, points [95 % interval]\n{drawn}\n{aligned(table)}"


def _difference(one: PairedDifference | None) -> str:
    if one is None:
        return "- "
    interval = f"[{100 * one.low:+.1f}, {100 * one.high:+.1f}]"
    return f"{100 * one.difference:+.1f} {interval}{'*' if one.clear else ' '}"


def _drawn(found: Sequence[PairedDifference]) -> str:
    """What the bootstrap draws, and how many: groups, or single videos where there are no groups."""
    counts = sorted({one.groups for one in found})
    number = "-".join(dict.fromkeys(f"{count}" for count in (counts[0], counts[-1])))
    return f"{number} {'videos' if all(one.groups == one.n for one in found) else 'groups of videos'}"


def _likeness(measure: str, cells: list[AblationCell]) -> str:
    views = _views(cells)
    scale, digits = (100, 1) if measure == NEAR else (1, 2)
    table = [["pretraining", *views]]
    for pretraining, by_view in _rows(cells):
        row = [pretraining]
        for view in views:
            cell = by_view.get(view)
            text = _text(cell, scale, digits)
            chance = f" ({cell.chance:.2f})" if cell and measure == COSINE else ""
            row.append(f"{text.rstrip()}{chance}" if chance else text)
        table.append(row)
    means = _means(cells[0])
    if measure == COSINE:
        title = f"Mean cosine of test videos of one class (in brackets: of different classes; {means})"
    else:
        table.append(["chance", *[_number(100 * cells[0].chance)] * len(views)])
        title = f"Test videos of the same class among the {NEAREST} nearest, % ({means})"
    return f"{title}\n{aligned(table)}"


def _title(measure: str) -> str:
    return PROTOCOLS[measure].heading if measure in PROTOCOLS else measure


def _means(cell: AblationCell) -> str:
    """Describe what the means and deviations are taken over."""
    splits = f"means over splits {listed_splits(cell.splits)}"
    if len(cell.seeds) == 1 and len(cell.splits) > 1:
        return f"mean ± standard deviation of {len(cell.splits)} splits"
    if len(cell.seeds) == 1:
        return "one seed"
    found = f"mean ± standard deviation of {len(cell.seeds)} seeds"
    return f"{found}; {splits}" if len(cell.splits) > 1 else found


def _views(cells: Sequence[AblationCell]) -> list[str]:
    return sorted({cell.view for cell in cells}, key=lambda view: rank("view", view))


def _rows(cells: Sequence[AblationCell]) -> Iterator[tuple[str, dict[str, AblationCell]]]:
    for pretraining in dict.fromkeys(cell.pretraining for cell in cells):
        yield pretraining, {cell.view: cell for cell in cells if cell.pretraining == pretraining}


def _text(cell: AblationCell | None, scale: float, digits: int = 1) -> str:
    if cell is None:
        return _aside("-")
    spread = cell.sd if len(cell.seeds) > 1 else cell.sd_splits
    deviation = "" if spread is None else f" ±{scale * spread:.{digits}f}"
    return f"{scale * cell.mean:.{digits}f}{deviation:<6}"


def _number(value: float) -> str:
    return _aside(f"{value:.1f}")


def _aside(text: str) -> str:
    """Pad to the width of a figure with its deviation."""
    return text + " " * 6
