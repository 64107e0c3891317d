"""The status section: every video that is not ok, with view and reason."""

from __future__ import annotations

from dataclasses import dataclass, field

from cocon.report.inputs import Inputs, PageSection

_SHOWN = 2000


@dataclass(frozen=True)
class Trouble:
    """One video in one view that was repaired or skipped."""

    id: str
    label: str
    view: str
    status: str
    reason: str


@dataclass
class StatusSection(PageSection):
    """Counts per view, and the rows that are not ok (at most 2,000 of them)."""

    counts: list[tuple[str, int, int, int]] = field(default_factory=list)
    troubles: list[Trouble] = field(default_factory=list)
    hidden: int = 0
    unextracted: list[tuple[str, int]] = field(default_factory=list)


def section(inputs: Inputs) -> StatusSection:
    """Read the status rows of all shards; also count manifest videos that no shard has."""
    page = StatusSection("status", "Videos that are not ok", "Videos")
    if not inputs.tables:
        page.missing.append("There are no shards, so the state of the videos is not known.")
    for view in inputs.views:
        if view not in inputs.tables:
            continue
        rows = inputs.tables[view].values()
        repaired = sum(row.status == "repaired" for row in rows)
        skipped = sum(not row.usable for row in rows)
        page.counts.append((view, len(rows) - repaired - skipped, repaired, skipped))
        page.troubles += [
            Trouble(row.id, inputs.label(row.id), view, row.status, row.reason)
            for row in rows
            if row.status != "ok"
        ]
        absent = len(inputs.videos.keys() - inputs.tables[view].keys())
        if absent:
            page.unextracted.append((view, absent))
    page.troubles.sort(key=lambda row: (row.status != "skipped", row.id, row.view))
    page.hidden = max(0, len(page.troubles) - _SHOWN)
    page.troubles = page.troubles[:_SHOWN]
    return page
