"""``view-extractors compare``: every installed backend on the same videos, against their truth.

The demo data set comes with the true flow, masks and poses of its videos. Each backend extracts the same few
of them with its default settings; the table says how near it comes to the truth, and at what cost.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from cocon.errors import AssetError, CoConError
from cocon.files import output_file, write_json
from cocon.shards import Shard
from cocon.terminal import say
from view_extractors.arguments import add_machine_arguments, extractor_of, resources_of
from view_extractors.base import Output, Resources
from view_extractors.inputs import from_manifest
from view_extractors.registry import EXTRACTORS, to_install
from view_extractors.run import extract
from view_extractors.scoring import MEASURES, Figures, score

HELP = "compare every installed backend with the truth of the demo data set"


@dataclass(frozen=True)
class Comparison:
    """One backend.

    Attributes:
        view: the view it makes.
        backend: its name.
        ms_per_frame: CPU time, decoding and writing included; on a GPU its time is not in it.
        figures: see :mod:`view_extractors.scoring`; empty if it did not run.
        absent: why it did not run; else empty.
    """

    view: str
    backend: str
    ms_per_frame: float = 0.0
    figures: Figures = field(default_factory=dict)
    absent: str = ""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``view-extractors compare``."""
    parser.add_argument("--manifest", type=Path, required=True, help="CSV table with the columns id and path")
    parser.add_argument("--truth", type=Path, required=True, help="folder with one .npz file per video")
    parser.add_argument(
        "--videos", type=int, default=6, metavar="N", help="how many, evenly spread (default %(default)s)"
    )
    parser.add_argument("--views", nargs="+", choices=sorted(MEASURES), default=sorted(MEASURES))
    parser.add_argument("--output", type=output_file, help="write the figures to this JSON file as well")
    add_machine_arguments(parser, threads=False)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Print the table; write it as JSON if that is wanted."""
    if options.videos < 1:
        raise CoConError("--videos must be at least 1")
    known = {
        video_id: path
        for video_id, path in from_manifest(options.manifest).items()
        if (options.truth / f"{video_id}.npz").is_file()
    }
    if not known:
        raise CoConError(f"no video of {options.manifest} has its truth in {options.truth}")
    chosen = dict(list(known.items())[:: max(1, len(known) // options.videos)][: options.videos])
    rows = list(compare(chosen, options.truth, options.views, resources_of(options), options.batch_size))
    say(table(rows))
    if options.output:
        write_json(options.output, {"videos": list(chosen), "backends": [asdict(row) for row in rows]})


def compare(
    videos: Mapping[str, Path], truth: Path, views: Iterable[str], resources: Resources, batch_size: int = 16
) -> Iterator[Comparison]:
    """Extract the videos with every backend of the views, and score the result.

    Args:
        videos: path of every video by its id.
        truth: folder with ``<id>.npz``.
        views: names of the views.
        resources: threads and device.
        batch_size: frames that a network sees at once.
    """
    for view in views:
        for backend in EXTRACTORS[view]:
            advice = to_install(backend)
            if advice:
                yield Comparison(view, backend, absent=f"not installed: {advice}")
                continue
            try:
                yield _measure(view, backend, videos, truth, resources, batch_size)
            except AssetError as error:
                yield Comparison(view, backend, absent=error.message)


def _measure(
    view: str, backend: str, videos: Mapping[str, Path], truth: Path, resources: Resources, batch_size: int
) -> Comparison:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / view / "00000.h5"
        # Once for what is loaded or compiled at the first use, once for the time.
        first = dict(list(videos.items())[:1])
        for part, name in ((first, path.with_name("warm.h5")), (videos, path)):
            extractor = extractor_of(view, f"{{backend: {backend}}}")
            began = time.process_time()
            extract(part, [Output(extractor, name)], resources=resources, batch_size=batch_size)
            seconds = time.process_time() - began
        path.with_name("warm.h5").unlink()
        frames = sum(info.frames for info in Shard(path).videos.values())
        return Comparison(view, backend, 1000 * seconds / frames, score(Path(folder), truth)[view])


def table(rows: Iterable[Comparison]) -> str:
    """One line per backend."""
    lines = []
    for row in rows:
        figures = ", ".join(
            f"{name} {value:.3g}"
            for name, value in row.figures.items()
            if name not in ("videos", "frames") and not name.endswith("still")
        )
        text = row.absent or f"{row.ms_per_frame:8.1f} CPU ms/frame  {figures}"
        lines.append(f"{row.view:<5} {row.backend:<12} {text}")
    return "\n".join(lines)
