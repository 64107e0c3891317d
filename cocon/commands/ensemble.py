"""``cocon ensemble``: late fusion of the views."""

from __future__ import annotations

import argparse
from pathlib import Path

from cocon.config.load import parse_settings
from cocon.errors import ConfigError
from cocon.evaluation.run import evaluate_ensemble
from cocon.evaluation.settings import EnsembleSettings
from cocon.files import output_file
from cocon.protocols import PROTOCOLS

HELP = "late fusion of the views' scores"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--protocol", required=True, choices=list(PROTOCOLS), help="whose results are fused")
    parser.add_argument(
        "--inputs",
        required=True,
        nargs="+",
        metavar="VIEW=FILE",
        help="per view the .npz of scores; of a protocol that joins features, as retrieval, the .h5 of these",
    )
    parser.add_argument(
        "--output", required=True, type=output_file, help=".json of metrics; scores are written next to it"
    )
    parser.add_argument(
        "--settings", default="{}", help="JSON or a file: ensemble, bootstrap, <the protocol>"
    )
    parser.add_argument("--manifest", type=Path, help="table of the videos (joined features only)")
    parser.add_argument("--split", help="name of the split (joined features only)")
    parser.add_argument(
        "--name", default="", help="name of the row; default: the protocol (joined features only)"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the bootstrap (joined features only)")


def run(args: argparse.Namespace) -> None:
    """Write the row of metrics, and the fused scores next to it."""
    evaluate_ensemble(
        args.protocol,
        inputs=parse_inputs(args.inputs),
        settings=parse_settings(args.settings, EnsembleSettings),
        output=args.output,
        manifest=args.manifest,
        split=args.split,
        seed=args.seed,
        name=args.name,
    )


def parse_inputs(pairs: list[str], option: str = "--inputs") -> dict[str, Path]:
    """``["rgb=a.npz", ...]``, given as the value of ``option``, as a mapping.

    Raises:
        ConfigError: A pair has no ``=``, or a view is given twice.
    """
    inputs: dict[str, Path] = {}
    for pair in pairs:
        view, equals, path = pair.partition("=")
        if not (view and equals and path):
            raise ConfigError(f"{option}: '{pair}' is not of the form VIEW=FILE", "for instance rgb=rgb.npz")
        if view in inputs:
            raise ConfigError(f"{option}: the view {view} is given twice", "keep one of the two")
        inputs[view] = Path(path)
    return inputs
