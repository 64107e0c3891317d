"""Estimate the time of an extraction and the size of its output.

Some frames are decoded, inferred and encoded with the backends that the extraction would use; the rest is
multiplication by the frames of a published data set, of a manifest, or by numbers of yours.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from cocon.backends import BACKENDS
from cocon.datasets import registry
from cocon.datasets.source import Extent
from cocon.errors import CoConError
from cocon.terminal import say
from cocon.video import VideoError, open_video
from view_extractors.arguments import add_machine_arguments, available_cores, extractor_of, resources_of
from view_extractors.pipeline.console import duration
from view_extractors.pipeline.costs import Cost, measure
from view_extractors.pipeline.inputs import from_manifest
from view_extractors.pipeline.rendered import write_sample

HELP = "estimate hours and bytes of an extraction, from a short measurement on this machine"

_SAMPLE_FRAMES = 120
#: videos of a manifest that are opened to learn how long they are, and that are measured
_OPENED, _MEASURED = 20, 3


def published() -> dict[str, Extent]:
    """By kind, the data sets whose extent is known before any file is there."""
    extents = {kind: registry.source(kind).official.extent for kind in registry.SOURCES}
    return {kind: extent for kind, extent in extents.items() if extent}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``view-extractors estimate``."""
    parser.set_defaults(run=run)
    add = parser.add_argument
    add("views", nargs="*", metavar="VIEW", help=f"the views to write: {', '.join(BACKENDS)} (default: all)")
    add(
        "--settings",
        nargs=2,
        action="append",
        default=[],
        metavar=("VIEW", "JSON"),
        help="settings of a view",
    )
    add("--json", action="store_true", help="print JSON instead of a table")
    what = parser.add_argument_group("videos").add_argument
    what("--dataset", choices=sorted(published()), help="a published data set")
    what("--manifest", type=Path, help="CSV table with the columns id and path; its videos are measured")
    what("--videos", type=int, metavar="N", help="number of videos, together with --frames")
    what("--frames", type=int, metavar="F", help="total number of frames")
    what("--size", metavar="WxH", help="size of the frames (default: the data set's, or 340x256)")
    what(
        "--sample",
        type=Path,
        nargs="+",
        metavar="VIDEO",
        help="videos to measure with; default: the manifest's, or a rendered one without people",
    )
    add = parser.add_argument_group("machine").add_argument
    add(
        "--cores",
        type=int,
        default=available_cores(),
        metavar="N",
        help="number of cores; default: this machine's",
    )
    add(
        "--gpus",
        type=int,
        default=1,
        metavar="N",
        help="number of GPUs, if networks run on GPUs (default %(default)s)",
    )
    add_machine_arguments(parser, threads=False)


def run(options: argparse.Namespace) -> None:
    """Measure and print."""
    settings = dict(options.settings)
    views = list(dict.fromkeys(options.views)) or list(BACKENDS)
    if unused := set(settings) - set(views):
        raise CoConError(f"--settings {unused.pop()}: that view is not estimated")
    extractors = [extractor_of(view, settings.get(view, "{}")) for view in views]
    if min(options.cores, options.gpus) < 1:
        raise CoConError("--cores and --gpus must be at least 1")
    amount, samples = _amount(options)
    with contextlib.ExitStack() as stack:
        if not samples:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            samples = [write_sample(folder / "sample.mkv", _SAMPLE_FRAMES, amount.size, amount.codec)]
        costs = measure(extractors, samples, resources_of(options), options.batch_size)
    document = _document(options, amount, costs)
    document["assumed"] = list(_assumed(options, amount, costs))
    say(json.dumps(document, indent=2) if options.json else _table(document))


def _amount(options: argparse.Namespace) -> tuple[Extent, list[Path]]:
    """What is to be extracted, and the videos to measure with, if there are any."""
    counted = options.videos is not None and options.frames is not None
    if [bool(options.dataset), bool(options.manifest), counted].count(True) != 1:
        raise CoConError(
            "nothing to estimate", "give one of --dataset, --manifest, or --videos with --frames"
        )
    if options.manifest:
        amount, samples = _of_manifest(options.manifest)
        return amount, options.sample or samples
    if options.dataset:
        amount = published()[options.dataset]
    else:
        amount = Extent(options.videos, options.frames, (256, 340), "libx264", "the command line")
    if options.size:
        width, _, height = options.size.partition("x")
        if not (width.isdecimal() and height.isdecimal()):
            raise CoConError(f"--size {options.size} is not of the form 340x256")
        amount = replace(amount, size=(int(height), int(width)))
    return amount, options.sample or []


def _of_manifest(table: Path) -> tuple[Extent, list[Path]]:
    paths = list(from_manifest(table).values())
    frames: dict[Path, int] = {}
    size = (0, 0)
    for path in _spread(paths, _OPENED):
        with contextlib.suppress(VideoError), open_video(path) as video:
            next(iter(video))
            frames[path], size = video.expected_frames, (video.height, video.width)
    if not any(frames.values()):
        raise CoConError(f"no video of {table} that was tried can be opened or declares its length")
    source = f"the manifest; the frames from what {len(frames)} of its videos declare"
    total = round(len(paths) * float(np.mean(list(frames.values()))))
    return Extent(len(paths), total, size, "", source), _spread(list(frames), _MEASURED)


def _spread(paths: Sequence[Path], count: int) -> list[Path]:
    """So many of the paths, at even distances."""
    return [paths[i] for i in np.linspace(0, len(paths) - 1, min(count, len(paths))).astype(int)]


def _document(options: argparse.Namespace, amount: Extent, costs: Sequence[Cost]) -> dict[str, Any]:
    views = {
        cost.view: {
            **asdict(cost),
            "hours": amount.frames * cost.seconds(options.cores, options.gpus) / 3600,
            "gigabytes": amount.frames * cost.bytes / 1e9,
        }
        for cost in costs
    }
    return {
        "videos": amount.videos,
        "frames": amount.frames,
        "cores": options.cores,
        "gpus": options.gpus if any(cost.on_gpu for cost in costs) else 0,
        "hours": sum(view["hours"] for view in views.values()),
        "gigabytes": sum(view["gigabytes"] for view in views.values()),
        "views": views,
    }


def _assumed(options: argparse.Namespace, amount: Extent, costs: Sequence[Cost]) -> Iterator[str]:
    height, width = amount.size
    yield f"{amount.videos:,} videos, {amount.frames:,} frames of {width}x{height} px: {amount.source}"
    if options.manifest or options.sample:
        yield "the measured videos are like the others"
    else:
        yield "measured on a rendered video without people; --sample uses your own"
    yield f"all {options.cores} cores are busy with jobs of one thread, each as fast as one job was here"
    yield "the disks keep up"
    for cost in costs:
        if cost.shares:
            yield f"{cost.view} is written in the pass of {cost.shares} (--also), whose network it shares"
        if cost.on_gpu:
            yield f"{cost.view}: {options.gpus} GPUs like this machine's, one job on each"


def _table(document: dict[str, Any]) -> str:
    rows = [("view", "backend", "decode", "inference", "write", "time", "size")]
    for name, view in document["views"].items():
        stages = [f"{1000 * view[stage]:.2f} ms" for stage in ("decode", "inference", "write")]
        rows.append((name, view["backend"], *stages, *_totals(view)))
    rows.append(("all", "", "", "", "", *_totals(document)))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        f"{row[0]:<{widths[0]}}  {row[1]:<{widths[1]}}  "
        + "  ".join(cell.rjust(width) for cell, width in zip(row[2:], widths[2:], strict=True))
        for row in rows
    ]
    return "\n".join([*lines, "assumed:", *(f"  {line}" for line in document["assumed"])])


def _totals(figures: dict[str, Any]) -> tuple[str, str]:
    return duration(3600 * figures["hours"]), f"{figures['gigabytes']:,.1f} GB"
