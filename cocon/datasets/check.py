"""``cocon data check``: a data set's files against its lists, before hours are spent on them."""

from __future__ import annotations

import logging
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from cocon.datasets import registry
from cocon.datasets.findings import find
from cocon.datasets.manifest import TEST, TRAIN, Facts, Video, write_manifest
from cocon.datasets.splits import evaluated_splits
from cocon.datasets.video_facts import MISSING, facts_of_all, glance
from cocon.errors import DatasetError
from cocon.messages import has_bars
from cocon.terminal import printable, say

log = logging.getLogger(__name__)

#: splits shown side by side; tested groups that are named
_COLUMNS, _GROUPS = 3, 4


def check(settings: Any, output: Path, *, min_frames: int, decode: bool = True, processes: int = 1) -> None:
    """Print counts and faults, and write the manifest with all that is known of the files.

    Args:
        settings: section of the data set.
        output: the table; known facts are cached next to it.
        min_frames: a shorter video is reported.
        decode: read all files; otherwise only check that they exist.
        processes: files read at the same time.

    Raises:
        DatasetError: a fault would affect the accuracies; everything is printed and written before.
    """
    videos = registry.list_videos(settings)
    output.parent.mkdir(parents=True, exist_ok=True)
    if decode:
        memory = output.with_name(f".{output.stem}.jsonl")
        facts = dict(_progress(facts_of_all(videos, memory, processes), len(videos)))
    else:
        facts = {video.id: glance(video.path) for video in videos}
    write_manifest(output, videos, facts)
    say("\n".join(count_table(videos, facts, evaluated_splits(settings, videos))))
    findings = list(find(settings, videos, facts, min_frames))
    for finding in sorted(findings, key=lambda finding: not finding.serious):
        say(f"{'fault' if finding.serious else 'note '}  {finding.sentence}")
    say(output)
    if serious := sum(finding.serious for finding in findings):
        raise DatasetError(
            f"{serious} fault{'s' if serious > 1 else ''} would affect the accuracies",
            f"fix the faults above; the column 'status' of {output} has every video",
        )


def count_table(videos: Sequence[Video], facts: Mapping[str, Facts], splits: Sequence[str]) -> Iterator[str]:
    """Lines of a table: per class, the videos listed and there, and those there by split and role.

    More than three splits have lines of their own below it.
    """
    there = [video for video in videos if facts[video.id].status != MISSING]
    wide = splits if len(splits) <= _COLUMNS else ()
    roles = [(split, role) for split in wide for role in (TRAIN, TEST)]
    listed = Counter(video.label for video in videos)
    found = Counter(video.label for video in there)
    by_role = Counter((video.label, split, video.splits.get(split)) for video in there for split in splits)
    width = max(len("class"), *(len(printable(label) or "(none)") for label in listed))
    yield "  ".join([f"{'class':<{width}}  listed   there", *(f"{s + ' ' + r:>8}" for s, r in roles)])
    for label in [*sorted(listed), None]:
        labels = sorted(listed) if label is None else [label]
        counts = [sum(by_role[each, split, role] for each in labels) for split, role in roles]
        name = "all" if label is None else printable(label) or "(none)"
        numbers = f"{sum(listed[each] for each in labels):>6,}  {sum(found[each] for each in labels):>6,}"
        yield "  ".join([f"{name:<{width}}  {numbers}", *(f"{count:>8,}" for count in counts)])
    if not wide:
        yield from _split_table(there, splits)


def _split_table(videos: Sequence[Video], splits: Sequence[str]) -> Iterator[str]:
    """Per split, the videos that train and test, and the groups that it tests."""
    yield ""
    yield "split   train    test  groups that are tested"
    for split in splits:
        roles = Counter(video.splits.get(split) for video in videos)
        groups = sorted({video.group for video in videos if video.splits.get(split) == TEST})
        named = ", ".join(groups[:_GROUPS]) + (f" and {len(groups) - _GROUPS} more" * (len(groups) > _GROUPS))
        yield f"{split:<6}  {roles[TRAIN]:>5,}   {roles[TEST]:>5,}  {printable(named)}"


def _progress(items: Iterable[tuple[str, Facts]], total: int) -> Iterator[tuple[str, Facts]]:
    """Pass items on; a bar on a terminal, about ten lines elsewhere."""
    if has_bars():
        from tqdm import tqdm

        yield from tqdm(items, "reading videos", total, unit=" videos", file=sys.stderr)
        return
    for number, item in enumerate(items, start=1):
        if number == total or number % max(total // 10, 1) == 0:
            log.info("read %s of %s videos", f"{number:,}", f"{total:,}")
        yield item
