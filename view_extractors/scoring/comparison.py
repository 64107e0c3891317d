"""``view-extractors compare``: every installed backend on the same videos, against their truth.

The demo data set comes with the true flow, masks and poses of its videos. Each backend extracts the same few
of them with its default settings; the table says how near it comes to the truth, and at what cost. A second
table is of videos with two persons in a frame, where there are such (``cocon render --persons 2``).
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from cocon.backends import BACKENDS
from cocon.errors import AssetError, CoConError
from cocon.files import output_file, write_json
from cocon.shards import Shard
from cocon.terminal import say
from view_extractors.arguments import add_machine_arguments, extractor_of, resources_of
from view_extractors.base import Output, Resources
from view_extractors.pipeline.inputs import from_manifest, from_names
from view_extractors.pipeline.run import extract
from view_extractors.registry import to_install
from view_extractors.scoring.score import MEASURES, MEASURES_OF_SEVERAL, Figures, of_several, score

HELP = "score every installed backend against the truth of the demo"


@dataclass(frozen=True)
class Comparison:
    """One backend.

    Attributes:
        view: the view it makes.
        backend: its name.
        ms_per_frame: CPU time, decoding and writing included; on a GPU its time is not in it.
        figures: see :mod:`view_extractors.scoring.score`; empty if it did not run.
        absent: why it did not run; else empty.
        several: the figures of videos with several persons; empty if there are none of the view.
    """

    view: str
    backend: str
    ms_per_frame: float = 0.0
    figures: Figures = field(default_factory=dict)
    absent: str = ""
    several: Figures = field(default_factory=dict)


@dataclass(frozen=True)
class Known:
    """Videos whose truth is known.

    Attributes:
        videos: path of every video by its id.
        truth: folder with ``<id>.npz``.
    """

    videos: Mapping[str, Path]
    truth: Path

    def some(self, count: int) -> Known:
        """``count`` of them, evenly spread."""
        videos, count = list(self.videos.items()), min(count, len(self.videos))
        return Known(dict(videos[i * len(videos) // count] for i in range(count)), self.truth)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``view-extractors compare``."""
    parser.add_argument("--manifest", type=Path, required=True, help="CSV table with the columns id and path")
    parser.add_argument("--truth", type=Path, required=True, help="folder with one .npz file per video")
    parser.add_argument(
        "--two-persons",
        type=Path,
        metavar="DIR",
        help="folder of 'cocon render --persons 2': also compare masks and poses on its videos",
    )
    parser.add_argument(
        "--videos",
        type=int,
        default=6,
        metavar="N",
        help="number of videos of each set, evenly spread (default %(default)s)",
    )
    parser.add_argument("--views", nargs="+", choices=sorted(MEASURES), default=sorted(MEASURES))
    parser.add_argument("--output", type=output_file, help="also write the figures to this JSON file")
    add_machine_arguments(parser, threads=False)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Print the table; with ``--output`` write it as JSON."""
    if options.videos < 1:
        raise CoConError("--videos must be at least 1")
    known = _known(from_manifest(options.manifest), options.truth, options.manifest).some(options.videos)
    pairs = None
    if options.two_persons:
        videos = from_names([options.two_persons / "videos"])
        pairs = _known(videos, options.two_persons / "truth", options.two_persons).some(options.videos)
    rows = list(compare(known, options.views, resources_of(options), options.batch_size, pairs))
    say(table(rows))
    if options.output:
        document = {"videos": list(known.videos), "backends": [asdict(row) for row in rows]}
        write_json(options.output, document | ({"two_persons": list(pairs.videos)} if pairs else {}))


def _known(videos: Mapping[str, Path], truth: Path, source: Path) -> Known:
    known = {video_id: path for video_id, path in videos.items() if (truth / f"{video_id}.npz").is_file()}
    if not known:
        raise CoConError(f"no video of {source} has its truth in {truth}")
    return Known(known, truth)


def compare(
    known: Known,
    views: Iterable[str],
    resources: Resources,
    batch_size: int | None = None,
    several: Known | None = None,
) -> Iterator[Comparison]:
    """Extract the videos with every backend of the views, and score the result.

    Args:
        known: the videos.
        views: names of the views.
        resources: threads and device.
        batch_size: frames that a network sees at once; None: more on a GPU.
        several: videos with several persons in a frame.
    """
    for view in views:
        for backend, entry in BACKENDS[view].items():
            advice = to_install(entry)
            if advice:
                yield Comparison(view, backend, absent=f"not installed: {advice}")
                continue
            try:
                row = _measure(view, backend, known, resources, batch_size)
                if several and view in MEASURES_OF_SEVERAL:
                    row = replace(row, several=_of_several(row, several, resources, batch_size))
                yield row
            except AssetError as error:
                yield Comparison(view, backend, absent=error.message)


def _measure(
    view: str, backend: str, known: Known, resources: Resources, batch_size: int | None
) -> Comparison:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / view / "00000.h5"
        # Once for what is loaded or compiled at the first use, once for the time.
        for part, name in ((known.some(1), path.with_name("warm.h5")), (known, path)):
            extractor = extractor_of(view, f"{{backend: {backend}}}")
            began = time.process_time()
            extract(part.videos, [Output(extractor, name)], resources=resources, batch_size=batch_size)
            seconds = time.process_time() - began
        path.with_name("warm.h5").unlink()
        frames = sum(info.frames for info in Shard(path).videos.values())
        figures = score(Path(folder), known.truth)
        if view not in figures:
            raise CoConError(
                f"the truth in {known.truth} has several persons in a frame",
                "pass its folder as --two-persons, and the demo's truth to --truth",
            )
        return Comparison(view, backend, 1000 * seconds / frames, figures[view])


def _of_several(row: Comparison, several: Known, resources: Resources, batch_size: int | None) -> Figures:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / row.view / "00000.h5"
        extractor = extractor_of(row.view, f"{{backend: {row.backend}}}")
        extract(several.videos, [Output(extractor, path)], resources=resources, batch_size=batch_size)
        figures = score(Path(folder), several.truth)
        if of_several(row.view) not in figures:
            raise CoConError(
                f"the truth in {several.truth} has one person in a frame",
                "create others with `cocon render --persons 2`",
            )
        return figures[of_several(row.view)]


def table(rows: Iterable[Comparison]) -> str:
    """One line per backend; then one more of each that was compared on videos with several persons."""
    lines, of_pairs = [], []
    for row in rows:
        text = row.absent or f"{row.ms_per_frame:8.1f} CPU ms/frame  {_in_line(row.figures)}"
        lines.append(f"{row.view:<5} {row.backend:<12} {text}")
        if row.several:
            of_pairs.append(f"{row.view:<5} {row.backend:<12} {_in_line(row.several)}")
    if of_pairs:
        lines += ["", "several persons in a frame:", *of_pairs]
    return "\n".join(lines)


def _in_line(figures: Figures) -> str:
    return ", ".join(
        f"{name} {value:.3g}"
        for name, value in figures.items()
        if name not in ("videos", "frames", "persons") and not name.endswith("still")
    )
