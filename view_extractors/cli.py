"""Views of videos: rgb frames, optical flow, person masks and poses, one HDF5 file per view.

Every video is decoded once, in a stream; decoding, inference and writing run at the same time. A row per
video says whether it is ok, repaired (what is missing) or skipped (why).
"""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cocon.backends import BACKENDS
from cocon.boundary import run
from cocon.config.schema import Extraction
from cocon.errors import CoConError
from cocon.files import output_file, write_json
from cocon.messages import Parser, of_command
from cocon.shards import shard_of
from cocon.terminal import say
from cocon.versions import __version__
from view_extractors.arguments import add_machine_arguments, extractor_of, resources_of
from view_extractors.base import Output
from view_extractors.pipeline import estimate
from view_extractors.pipeline.console import ConsoleProgress
from view_extractors.pipeline.inputs import from_manifest, from_names
from view_extractors.pipeline.overview import backends_table, description, settings_help, views_in_short
from view_extractors.pipeline.run import extract
from view_extractors.scoring import comparison

_EXAMPLES = """examples:
  view-extractors flow my.mp4 --output flow.h5
  view-extractors flow videos/ --output flow.h5 --settings '{backend: dis, short_side: 120}'
  view-extractors pose videos/ --output pose.h5 --also mask mask.h5
  view-extractors rgb --manifest manifest.csv --shard 3 --shards 12 --output 00003.h5
  view-extractors estimate --dataset kinetics400 --cores 64
"""
_EXIT = """exit status:
  0    done
  1    a bug, with a traceback and the video; finished videos are kept
  2    an error that you can fix; the message says how
  130  stopped by Ctrl-C; the same command resumes after the finished videos
  141  the reader of the output has closed the pipe (`| head`)
  143  stopped by SIGTERM; resumes in the same way
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit status."""

    def command() -> None:
        options = _parser().parse_args(arguments)
        with of_command(options, f"view-extractors {__version__}", arguments):
            options.run(options)

    return run(command, "error", goes_on="the same command resumes after the finished videos")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        "view-extractors", description=__doc__, epilog="\n".join([views_in_short(), "", _EXAMPLES, _EXIT])
    )
    parser.add_argument("--version", action="version", version=f"view-extractors {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=_Parser)
    for view in BACKENDS:
        text, epilog = description(view), "\n".join([settings_help(view), "", _EXIT])
        _add_view(commands.add_parser(view, help=text, description=text, epilog=epilog), view)
    estimate.add_arguments(commands.add_parser("estimate", help=estimate.HELP, description=estimate.__doc__))
    backends = commands.add_parser("backends", help="list backends, and how to install the missing ones")
    backends.set_defaults(run=_backends)
    comparison.add_arguments(
        commands.add_parser("compare", help=comparison.HELP, description=comparison.__doc__)
    )
    score = commands.add_parser("score", help="score shards against the truth of the demo")
    score.add_argument("--shards", type=Path, required=True, help="folder with one folder per view")
    score.add_argument(
        "--shard-count",
        type=int,
        metavar="N",
        help="number of shards per view: 00000.h5 and so on; default: all",
    )
    score.add_argument("--truth", type=Path, required=True, help="folder with one .npz file per video")
    score.add_argument("--output", type=output_file, help="also write the figures to this JSON file")
    score.set_defaults(run=_score)
    return parser


class _Parser(Parser):
    """A parser that keeps the line breaks of descriptions and epilogs."""

    def __init__(self, prog: str, **options: Any) -> None:
        super().__init__(prog, formatter_class=argparse.RawDescriptionHelpFormatter, **options)


def _add_view(parser: argparse.ArgumentParser, view: str) -> None:
    parser.set_defaults(run=_extract, view=view)
    videos = parser.add_argument_group("videos").add_argument
    videos(
        "videos",
        nargs="*",
        type=Path,
        metavar="VIDEO",
        help="a video (its id is its file name without the suffix), or a folder of videos (the ids are the "
        "paths below it)",
    )
    videos("--manifest", type=Path, help="CSV table with the columns id and path, instead of VIDEO ...")
    videos("--shard", type=int, default=0, metavar="K", help="extract part K of the videos (from 0)")
    videos("--shards", type=int, default=1, metavar="N", help="of N parts, assigned by id (default 1)")
    videos(
        "--max-failed-fraction",
        type=float,
        default=Extraction().max_failed_fraction,
        metavar="F",
        help="write the shard if at most this fraction of its videos failed (default %(default)s)",
    )
    views = parser.add_argument_group("views").add_argument
    views("--output", type=Path, required=True, help="the HDF5 file to write")
    views(
        "--remember",
        action="store_true",
        help="keep a hidden second name of the output, from which the next run copies unchanged videos; for "
        "workflows that remove outputs before they run a job again",
    )
    views("--settings", default="{}", metavar="JSON", help="JSON or YAML, or a file (see below)")
    views(
        "--also",
        nargs=2,
        action="append",
        default=[],
        metavar=("VIEW", "OUTPUT"),
        help="write another view in the same pass; views that share a network run it once; may be repeated",
    )
    views(
        "--also-settings",
        nargs=2,
        action="append",
        default=[],
        metavar=("VIEW", "JSON"),
        help="settings of a view given with --also",
    )
    add_machine_arguments(parser)


def _extract(options: argparse.Namespace) -> None:
    if bool(options.videos) == bool(options.manifest):
        raise CoConError(
            "no videos" if not options.videos else "both videos and --manifest are given",
            "name video files or folders, or give --manifest TABLE.csv",
        )
    if not 0 <= options.shard < options.shards:
        raise CoConError(f"--shard {options.shard} is not one of {options.shards} (they count from 0)")
    resources = resources_of(options)
    videos = from_manifest(options.manifest) if options.manifest else from_names(options.videos)
    outputs = _outputs(options)
    with contextlib.closing(ConsoleProgress()) as progress:
        extract(
            {key: path for key, path in videos.items() if shard_of(key, options.shards) == options.shard},
            outputs,
            max_failed_fraction=options.max_failed_fraction,
            resources=resources,
            batch_size=options.batch_size,
            progress=progress,
            was_there=videos.was_there,
            checksums=videos.checksums,
            remember=options.remember,
        )


def _outputs(options: argparse.Namespace) -> list[Output]:
    paths = {options.view: options.output}
    for view, path in options.also:
        if view in paths or Path(path) in paths.values():
            raise CoConError(f"--also {view} {path}: that view or that file is given twice")
        paths[view] = Path(path)
    settings = {options.view: options.settings}
    for view, text in options.also_settings:
        if view in settings or view not in paths:
            raise CoConError(f"--also-settings {view}: that view has no --also, or has two settings")
        settings[view] = text
    return [Output(extractor_of(view, settings.get(view, "{}")), path) for view, path in paths.items()]


def _backends(options: argparse.Namespace) -> None:
    say(backends_table())


def _score(options: argparse.Namespace) -> None:
    from view_extractors.scoring.score import score, table

    figures = score(options.shards, options.truth, options.shard_count)
    say(table(figures))
    if options.output:
        write_json(options.output, figures)
