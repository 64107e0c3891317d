"""``cocon data check``: a data set's files against its lists, before hours are spent on them."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from cocon.datasets import registry
from cocon.datasets.findings import find
from cocon.datasets.manifest import TEST, TRAIN, Facts, Video, write_manifest
from cocon.datasets.probe import MISSING, glance, probe_all
from cocon.errors import DatasetError


def check(settings: Any, output: Path, *, min_frames: int, decode: bool = True, processes: int = 1) -> None:
    """Print counts and faults, and write the manifest with all that is known of the files.

    Args:
        settings: section of the data set.
        output: the table; what is known is remembered beside it.
        min_frames: a shorter video is named.
        decode: read all files; otherwise only see whether they are there.
        processes: files read at the same time.

    Raises:
        DatasetError: a fault would spoil the accuracies; everything is printed and written before.
    """
    videos = registry.list_videos(settings)
    output.parent.mkdir(parents=True, exist_ok=True)
    if decode:
        memory = output.with_name(f".{output.stem}.jsonl")
        facts = dict(_progress(probe_all(videos, memory, processes), len(videos)))
    else:
        facts = {video.id: glance(video.path) for video in videos}
    write_manifest(output, videos, facts)
    _say("\n".join(count_table(videos, facts, settings.splits)))
    findings = list(find(settings, videos, facts, min_frames))
    for finding in sorted(findings, key=lambda finding: not finding.serious):
        _say(f"{'fault' if finding.serious else 'note '}  {finding.sentence}")
    _say(str(output))
    if serious := sum(finding.serious for finding in findings):
        raise DatasetError(
            f"{serious} fault{'s' if serious > 1 else ''} would spoil the accuracies",
            f"mend what is named above; the column 'status' of {output} has every video",
        )


def _say(text: str) -> None:
    """Print a text; bytes of file names that are no UTF-8 become ``\\udcff`` and the like."""
    print(text.encode(errors="backslashreplace").decode())


def count_table(videos: Sequence[Video], facts: Mapping[str, Facts], splits: Sequence[str]) -> Iterator[str]:
    """Lines of a table: per class, the videos listed and there, and those there by split and role."""
    there = [video for video in videos if facts[video.id].status != MISSING]
    roles = [(split, role) for split in splits for role in (TRAIN, TEST)]
    listed = Counter(video.label for video in videos)
    found = Counter(video.label for video in there)
    by_role = Counter((video.label, split, video.splits.get(split)) for video in there for split in splits)
    width = max(len("class"), *(len(label or "(none)") for label in listed))
    yield f"{'class':<{width}}  listed   there  " + "  ".join(f"{s + ' ' + r:>8}" for s, r in roles)
    for label in [*sorted(listed), None]:
        labels = sorted(listed) if label is None else [label]
        counts = [sum(by_role[each, split, role] for each in labels) for split, role in roles]
        name = "all" if label is None else label or "(none)"
        numbers = f"{sum(listed[each] for each in labels):>6,}  {sum(found[each] for each in labels):>6,}"
        yield f"{name:<{width}}  {numbers}  " + "  ".join(f"{count:>8,}" for count in counts)


def _progress(items: Iterable[tuple[str, Facts]], total: int) -> Iterator[tuple[str, Facts]]:
    """Pass items on; a bar on a terminal, about ten lines elsewhere."""
    if sys.stderr.isatty():
        from tqdm import tqdm

        yield from tqdm(items, "reading videos", total, unit=" videos", file=sys.stderr)
        return
    for number, item in enumerate(items, start=1):
        if number == total or number % max(total // 10, 1) == 0:
            print(f"read {number:,} of {total:,} videos", file=sys.stderr, flush=True)
        yield item
