"""Get a public data set, and check any data set before a long run."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path
from typing import Any

from cocon.commands.arguments import add_configuration, configuration
from cocon.config.load import parse_settings
from cocon.config.schema import AnyDataset, Config
from cocon.errors import ConfigError
from cocon.files import output_file, write_json

log = logging.getLogger(__name__)

HELP = "download and unpack a public data set, or check a data set"

_EXAMPLES = """examples:
  cocon data get hmdb51
  cocon data get ucf101 --from UCF101.rar UCF101TrainTestSplits-RecognitionTask.zip
  cocon data check ucf101 --processes 8
  cocon data check mine --no-decode"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``cocon data``."""
    parser.epilog = _EXAMPLES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    get = actions.add_parser(
        "get",
        help="download and unpack a public data set",
        description="Download the archives of UCF101, HMDB51 or Kinetics-400 (or take your own) and "
        "unpack them. An interrupted download or unpacking resumes.",
    )
    _add_dataset(get)
    get.add_argument(
        "--from",
        dest="own",
        type=Path,
        nargs="+",
        default=[],
        metavar="PATH",
        help="use your archives, or folders with archives or files, instead of downloading",
    )
    get.add_argument("--keep", action="store_true", help="do not remove downloaded archives")
    get.add_argument("--settings", help="the data set's section as JSON, instead of --config")
    get.add_argument("--output", type=output_file, help="write a receipt, JSON")

    check = actions.add_parser(
        "check",
        help="find faults",
        description="Count the videos of every class and split, and compare with published figures if there "
        "are any; list missing, broken, too short, misplaced and duplicate videos (worst: in train and "
        "test). Exit with status 2 if a fault would affect the accuracies. An interrupted check resumes.",
    )
    _add_dataset(check)
    check.add_argument(
        "--no-decode", dest="decode", action="store_false", help="do not read the files: takes seconds"
    )
    check.add_argument("--processes", type=int, default=1, metavar="N", help="files read in parallel")
    check.add_argument(
        "--output",
        type=output_file,
        help="the manifest with all columns (default: <results>/NAME/checked.csv)",
    )


def _add_dataset(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("dataset", metavar="NAME", help="of the data set in config.yaml")
    add_configuration(parser)


def run(args: argparse.Namespace) -> None:
    """Do one action with one data set."""
    if args.action == "get":
        _get(args)
    else:
        _check(args)


def _get(args: argparse.Namespace) -> None:
    from cocon.datasets.get import get

    settings: Any
    if args.settings:
        settings = parse_settings(args.settings, AnyDataset).root
    else:
        settings = _section(configuration(args), args)
    receipt = get(settings, own=args.own, keep=args.keep)
    there, listed = (f"{receipt[key]:,}" for key in ("videos", "listed"))
    log.info("%s: %s of %s videos are in %s", args.dataset, there, listed, settings.videos)
    if args.output:
        write_json(args.output, receipt)


def _check(args: argparse.Namespace) -> None:
    from cocon.datasets.check import check

    config = configuration(args)
    settings = _section(config, args)
    clip = config.recipes[settings.recipe].clip
    output = args.output or config.results / args.dataset / "checked.csv"
    check(
        settings,
        output,
        min_frames=clip.blocks * clip.frames_per_block,
        decode=args.decode,
        processes=args.processes,
    )


def _section(config: Config, args: argparse.Namespace) -> Any:
    if args.dataset not in config.datasets:
        raise ConfigError(
            f"there is no data set '{args.dataset}'", f"there are: {', '.join(sorted(config.datasets))}"
        )
    return config.datasets[args.dataset]
