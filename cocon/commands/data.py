"""Get a public data set, and check any data set before hours are spent on it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from pydantic import RootModel

from cocon.config.schema import Dataset
from cocon.config.settings import load_config, parse_settings
from cocon.errors import ConfigError
from cocon.files import write_json

HELP = "download and unpack a public data set, or check a data set"

_EXAMPLES = """examples:
  cocon data get hmdb51
  cocon data get ucf101 --from UCF101.rar UCF101TrainTestSplits-RecognitionTask.zip"""


class _DatasetSettings(RootModel[Dataset]):
    """Any kind of data set, chosen by its key ``kind``."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``cocon data``."""
    parser.epilog = _EXAMPLES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    get = actions.add_parser(
        "get",
        help="archives to videos",
        description="Download the archives of UCF101, HMDB51 or Kinetics-400 (or take your own) and "
        "unpack them. A download or unpacking that was killed goes on.",
    )
    _add_dataset(get)
    get.add_argument(
        "--from",
        dest="own",
        type=Path,
        nargs="+",
        default=[],
        metavar="PATH",
        help="your archives, or folders with archives or files: nothing is downloaded",
    )
    get.add_argument("--keep", action="store_true", help="do not remove downloaded archives")
    get.add_argument("--output", type=Path, help="a receipt, JSON")


def _add_dataset(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("dataset", metavar="NAME", help="of the data set in config.yaml")
    parser.add_argument("--config", type=Path, default=Path("config.yaml"), help="default: config.yaml")
    parser.add_argument("--settings", help="the data set's section as JSON, instead of --config")


def run(args: argparse.Namespace) -> None:
    """Do one action with one data set."""
    from cocon.datasets.get import get

    settings = _settings(args)
    receipt = get(settings, own=args.own, keep=args.keep)
    print(f"{args.dataset}: {receipt['videos']:,} of {receipt['listed']:,} videos are in {settings.videos}")
    if args.output:
        write_json(args.output, receipt)


def _settings(args: argparse.Namespace) -> Any:
    if args.settings:
        return parse_settings(args.settings, _DatasetSettings).root
    datasets = load_config(args.config).datasets
    if args.dataset not in datasets:
        raise ConfigError(
            f"{args.config} has no data set '{args.dataset}'", f"it has: {', '.join(sorted(datasets))}"
        )
    return datasets[args.dataset]
