"""``cocon curves``: do trainings find videos of the same class, or push them apart? One figure of many logs.

A path may be a pattern of many: ``results/demo/{,seed1/}pretrain/{cpc,nce}/log.jsonl``. What goes on from
stage 1 needs the logs of its stage 1 as well, so that its steps count from the beginning.
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from cocon.files import output_file
from cocon.patterns import expanded
from cocon.terminal import say

log = logging.getLogger(__name__)

HELP = "draw how many of the nearest videos are of the same class over the steps of trainings"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "--logs",
        required=True,
        nargs="+",
        metavar="JSONL",
        help="<pretraining>/log.jsonl and stage1/<view>.log.jsonl, of any number of seeds",
    )
    parser.add_argument("--output", required=True, type=output_file, help="the .svg to write")


def run(args: argparse.Namespace) -> None:
    """Draw the figure, and print where each line ends."""
    from cocon.report.neighbour_figure import write_figure

    curves = write_figure(args.output, [Path(path) for path in expanded(args.logs)])
    if not curves:
        log.warning("%s: no log has measurements; train with probe_every", args.output)
    for curve in curves:
        spread = f" ± {100 * curve.sds[-1]:.1f}" if curve.sds else ""
        share = f"{100 * curve.means[0]:.1f} to {100 * curve.means[-1]:.1f}{spread} %"
        say(f"{curve.view}, {curve.pretraining}: {share} of the nearest videos are of the same class")
