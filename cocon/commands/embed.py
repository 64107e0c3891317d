"""``cocon embed``: embeddings of any videos from an exported encoder.

The command decodes the videos, extracts their views with the settings of the encoder's training, and encodes
them. It writes one row per video, or per window; with several views also their concatenation. Videos that
cannot be decoded are listed and have no row; the exit status is then 3.
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from cocon.commands.arguments import add_batch_size, add_device
from cocon.errors import CoConError, ConfigError, DatasetError
from cocon.files import output_file
from cocon.views import VIEWS

log = logging.getLogger(__name__)

HELP = "embeddings of any videos from an exported encoder"


class IncompleteError(CoConError):
    """Some videos have no embedding; those of the others are written."""

    exit_code = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add = parser.add_argument
    add("videos", nargs="*", metavar="VIDEO", help="files; their names, as given, are the ids")
    add("--manifest", type=Path, help="table with the columns id and path, instead of VIDEO ...")
    add("--encoder", type=Path, required=True, help="folder written by `cocon export`")
    add("--output", type=output_file, required=True, help=".h5, .npz or .csv")
    add("--views", nargs="+", choices=tuple(VIEWS), help="some of the encoder's views; default: all")
    add(
        "--per-window",
        action="store_true",
        help="write a row per window, with its time, instead of a row per video",
    )
    add_batch_size(parser)
    add("--at-once", type=int, default=32, help="videos whose views are on the disk ($TMPDIR) at a time")
    add_device(parser, threads="threads of this process and of the extraction")
    add(
        "--interpreter",
        nargs=2,
        action="append",
        default=[],
        metavar=("BACKEND", "PYTHON"),
        help="Python of the environment of a backend; may be repeated",
    )


def run(args: argparse.Namespace) -> None:
    """Embed the videos and write the rows."""
    from cocon.datasets.manifest import read_manifest
    from cocon.export.embeddings import check_output, write_embeddings
    from cocon.export.encoder import load_encoder
    from cocon.training.devices import world

    if bool(args.videos) == bool(args.manifest):
        raise ConfigError("give either videos or --manifest")
    check_output(args.output)
    videos: list[str] | dict[str, Path] = args.videos
    if args.manifest:
        rows = read_manifest(args.manifest)
        videos = {row.id: row.path for row in rows}
        if len(videos) < len(rows):
            raise DatasetError(f"{args.manifest} has an id twice")
    with world(args.device, args.threads) as process:
        encoder = load_encoder(args.encoder, process.device.type)
        embeddings = encoder.embed(
            videos,
            views=args.views,
            per_window=args.per_window,
            batch_size=args.batch_size,
            videos_at_once=args.at_once,
            threads=args.threads,
            interpreters={name: Path(python) for name, python in args.interpreter},
            quiet=False,
        )
    listed = "".join(f"\n    {video}: {reason}" for video, reason in embeddings.skipped.items())
    if not embeddings.ids:
        raise DatasetError(f"no video can be decoded:{listed}")
    write_embeddings(args.output, embeddings, encoder.config.model_dump(mode="json", by_alias=True))
    sizes = ", ".join(f"{view} {x_ND.shape[1]}" for view, x_ND in embeddings.views.items())
    log.info("%s: %d rows; %s", args.output, len(embeddings.ids), sizes)
    if embeddings.skipped:
        raise IncompleteError(
            f"{len(embeddings.skipped)} of {len(embeddings.videos)} videos left out:{listed}"
        )
