"""``view-extractors <view> VIDEOS --output SHARD.h5``: any view of any videos, one HDF5 file each."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from cocon.config.schema import Extraction
from cocon.config.settings import parse_settings
from cocon.errors import CoConError
from cocon.files import read_csv, write_json
from cocon.shards import shard_of
from view_extractors.base import Extractor, Output, Resources, extract
from view_extractors.console import ConsoleProgress
from view_extractors.registry import EXTRACTORS, extractor_class

_EPILOG = """examples:
  view-extractors flow my.mp4 --output flow.h5
  view-extractors pose *.mp4 --output pose.h5 --also mask mask.h5
  view-extractors rgb --manifest manifest.csv --shard 3 --shards 12 --output 00003.h5

exit status: 0 done; 2 something you can mend (the message says what); 130 interrupted (the same command
goes on where it stopped)
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except CoConError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; the same command goes on where it stopped", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    style = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        "view-extractors", description=__doc__, epilog=_EPILOG, formatter_class=style
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for view in EXTRACTORS:
        text = f"write the {view} view of videos into a shard"
        _add_view(commands.add_parser(view, help=text, epilog=_EPILOG, formatter_class=style), view)
    score = commands.add_parser("score", help="compare shards with the truth of the demo data set")
    score.add_argument("--shards", type=Path, required=True, help="folder with one folder per view")
    score.add_argument("--truth", type=Path, required=True, help="folder with one .npz file per video")
    score.add_argument("--output", type=Path, help="write the figures to this JSON file as well")
    score.set_defaults(run=_score)
    return parser


def _add_view(parser: argparse.ArgumentParser, view: str) -> None:
    parser.set_defaults(run=_extract, view=view)
    add = parser.add_argument
    add("videos", nargs="*", type=Path, metavar="VIDEO", help="a video file; its id is its name's stem")
    add("--manifest", type=Path, help="CSV table with the columns id and path, in place of VIDEO ...")
    add("--shard", type=int, default=0, metavar="K", help="take part K of the videos (from 0)")
    add("--shards", type=int, default=1, metavar="N", help="of N parts; the ids decide (default 1)")
    add("--output", type=Path, required=True, help="the HDF5 file to write")
    add(
        "--settings",
        default="{}",
        metavar="JSON",
        help="settings of the view: JSON, or a .json or .yaml file",
    )
    add(
        "--also",
        nargs=2,
        action="append",
        default=[],
        metavar=("VIEW", "OUTPUT"),
        help="write another view in the same pass; views of one network share its work; may be repeated",
    )
    add(
        "--also-settings",
        nargs=2,
        action="append",
        default=[],
        metavar=("VIEW", "JSON"),
        help="settings of a view that --also names",
    )
    add(
        "--max-failed-fraction",
        type=float,
        default=Extraction().max_failed_fraction,
        metavar="F",
        help="write the shard if at most this fraction of its videos failed (default %(default)s)",
    )
    add("--threads", type=int, default=1, help="CPU threads (default 1)")
    add(
        "--device",
        choices=("auto", "cpu", "cuda"),
        default="auto",
        help="where networks run; auto (the default): on a GPU if there is one",
    )


def _extract(options: argparse.Namespace) -> None:
    if bool(options.videos) == bool(options.manifest):
        raise CoConError(
            "no videos" if not options.videos else "both videos and --manifest are given",
            "name video files, or give --manifest TABLE.csv",
        )
    if not 0 <= options.shard < options.shards:
        raise CoConError(f"--shard {options.shard} is not one of {options.shards} (they count from 0)")
    if options.threads < 1:
        raise CoConError("--threads must be at least 1")
    videos = _from_manifest(options.manifest) if options.manifest else _from_names(options.videos)
    outputs = _outputs(options)
    with contextlib.closing(ConsoleProgress()) as progress:
        extract(
            {key: path for key, path in videos.items() if shard_of(key, options.shards) == options.shard},
            outputs,
            max_failed_fraction=options.max_failed_fraction,
            resources=Resources(options.threads, options.device),
            progress=progress,
        )


def _outputs(options: argparse.Namespace) -> list[Output]:
    paths = {options.view: options.output}
    for view, path in options.also:
        if view in paths or Path(path) in paths.values():
            raise CoConError(f"--also {view} {path}: that view or that file is written already")
        paths[view] = Path(path)
    settings = {options.view: options.settings}
    for view, text in options.also_settings:
        if view in settings or view not in paths:
            raise CoConError(f"--also-settings {view}: no --also, or two settings, for that view")
        settings[view] = text
    return [Output(_extractor(view, settings.get(view, "{}")), path) for view, path in paths.items()]


def _extractor(view: str, text: str) -> Extractor:
    settings = parse_settings(text, extractor_class(view).section)
    return extractor_class(view, getattr(settings, "backend", None))(settings)


def _from_names(paths: Sequence[Path]) -> Mapping[str, Path]:
    videos: dict[str, Path] = {}
    for path in paths:
        # A name that is no UTF-8 still gives an id that any reader can write down.
        video_id = path.stem.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
        if video_id in videos:
            raise CoConError(
                f"'{videos[video_id]}' and '{path}' would have the same id '{video_id}'",
                "give a --manifest with the columns id and path",
            )
        videos[video_id] = path
    return videos


def _from_manifest(table: Path) -> Mapping[str, Path]:
    if not table.is_file():
        raise CoConError(f"there is no manifest {table}")
    videos: dict[str, Path] = {}
    for line, row in enumerate(read_csv(table), start=2):
        video_id, path = row.get("id"), row.get("path")
        if not video_id or not path:
            raise CoConError(f"{table}, line {line}: the columns id and path must not be empty")
        if video_id in videos:
            raise CoConError(f"{table}, line {line}: the id '{video_id}' stands there twice")
        videos[video_id] = Path(path)
    return videos


def _score(options: argparse.Namespace) -> None:
    from view_extractors.scoring import score, table

    figures = score(options.shards, options.truth)
    print(table(figures))
    if options.output:
        write_json(options.output, figures)
