"""Arguments that several commands share."""

from __future__ import annotations

import argparse
from pathlib import Path

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


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


_positive.__name__ = "positive number"
