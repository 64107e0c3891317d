"""Arguments that several commands share."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from cocon.files import output_file

if TYPE_CHECKING:
    from cocon.config.schema import Config
    from cocon.config.schema.training import Workers

_CONFIG = Path("config.yaml")
_SHARDS = "folder with one folder of shards per view"


def add_shards(parser: argparse.ArgumentParser, *, required: bool = True, help: str = _SHARDS) -> None:
    """``--shards`` and ``--shard-count``."""
    parser.add_argument("--shards", type=Path, required=required, help=help)
    parser.add_argument(
        "--shard-count",
        type=_positive,
        metavar="N",
        help="number of shards per view: reads 00000.h5 and so on, ignores other files; default: all files",
    )


def add_device(parser: argparse.ArgumentParser, *, threads: str = "threads of this process") -> None:
    """``--device`` and ``--threads``, of commands that run networks; ``threads`` describes their use."""
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--threads", type=int, help=threads)


def add_batch_size(parser: argparse.ArgumentParser) -> None:
    """``--batch-size``, of commands that only run networks."""
    parser.add_argument("--batch-size", type=int, default=16, help="windows per forward pass")


def add_inference(parser: argparse.ArgumentParser) -> None:
    """``--batch-size``, ``--workers``, ``--device`` and ``--threads``, of commands that encode shards."""
    add_batch_size(parser)
    parser.add_argument(
        "--workers",
        type=_workers,
        default="auto",
        metavar="N",
        help="processes that decode; 0: this process; auto (the default): on a GPU one per thread but one, "
        "else 0",
    )
    add_device(parser)


def add_configuration(parser: argparse.ArgumentParser) -> None:
    """``--config`` and ``--configfile``."""
    parser.add_argument("--config", type=Path, default=_CONFIG, metavar="FILE", help="default: %(default)s")
    parser.add_argument(
        "--configfile",
        type=Path,
        nargs="+",
        default=[],
        metavar="FILE",
        help="on top of it, as for snakemake: later ones count over earlier ones",
    )


def configuration(args: argparse.Namespace) -> Config:
    """The merged configuration of these files; ``config.yaml`` may be missing if there are others, as for
    Snakemake.

    Raises:
        ConfigError: when they cannot be used.
    """
    from cocon.config.load import load_config

    own = [] if args.configfile and args.config == _CONFIG and not _CONFIG.exists() else [args.config]
    return load_config(*own, *args.configfile)


def add_views_of_split(parser: argparse.ArgumentParser) -> None:
    """Arguments of commands that compare the test videos of a split by the features of several views."""
    add = parser.add_argument
    add("--manifest", required=True, type=Path, help="table of the videos")
    add("--features", required=True, nargs="+", metavar="VIEW=FILE", help="features of the same encoders")
    add("--split", required=True, help="split whose test videos are compared")
    add("--seed", type=int, default=0, help="seed of the encoders, noted in the output")
    add("--output", required=True, type=output_file, help=".json")


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


def _workers(text: str) -> Workers:
    if text != "auto" and int(text) < 0:
        raise ValueError(text)
    return "auto" if text == "auto" else int(text)


_positive.__name__ = "positive number"
_workers.__name__ = "number, or auto"
