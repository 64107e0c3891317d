"""``cocon render``: render the embedded demo data set, or the small set with two persons per frame."""

from __future__ import annotations

import argparse

from cocon.config.load import parse_settings
from cocon.config.schema import DemoDataset
from cocon.datasets.demo import render
from cocon.errors import CoConError
from cocon.files import output_folder

HELP = "render the videos of the embedded demo with their true pose, mask and flow"

_EXAMPLES = """examples:
  cocon render --settings '{"kind": "demo", "recipe": "demo", "shards": 1}' --processes 2
  cocon render --persons 2 --root data/two_persons"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.epilog = _EXAMPLES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--settings", help="the data set's section of config.yaml, as JSON")
    parser.add_argument("--root", type=output_folder, help="output folder, instead of `root` in the settings")
    parser.add_argument(
        "--persons",
        type=int,
        choices=(1, 2),
        default=1,
        help="2: instead of the data set, render twelve clips of two persons each, to score backends that "
        "find several persons; uses only the seed of the settings (default: 1)",
    )
    parser.add_argument("--processes", type=int, default=1, help="clips that are rendered in parallel")


def run(args: argparse.Namespace) -> None:
    """Render the clips that do not exist yet."""
    if args.persons == 2:
        _render_pairs(args)
        return
    if not args.settings:
        raise CoConError("--settings is missing", "give the data set's section of config.yaml, as JSON")
    settings = parse_settings(args.settings, DemoDataset)
    if args.root:
        settings = settings.model_copy(update={"root": args.root})
    render(settings, args.processes)


def _render_pairs(args: argparse.Namespace) -> None:
    from cocon.renderer.pairs import render_pairs

    if not args.root:
        raise CoConError("--persons 2 needs a folder", "give it by --root")
    seed = parse_settings(args.settings, DemoDataset).seed if args.settings else 0
    render_pairs(args.root, seed, args.processes)
