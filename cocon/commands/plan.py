"""``cocon plan DATASET``: estimate hours, bytes and jobs of an evaluation before it starts.

Extraction, training steps, features, probe and retrieval are measured for a few seconds each on this machine,
then multiplied by the number of videos of the data set, which need not exist yet. Without a GPU, the
operations of a step are counted and divided by the sustained speed of a GPU (``--gpu-tflops``).
"""

from __future__ import annotations

import argparse
import json

from cocon.commands.arguments import add_configuration, configuration
from cocon.terminal import say

HELP = "estimate hours, bytes and jobs of an evaluation, from a short measurement"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``cocon plan``."""
    add = parser.add_argument
    add("dataset", help="a data set of the configuration")
    add_configuration(parser)
    add("--cpus", type=int, required=True, metavar="N", help="cores of all machines")
    add("--gpus", type=int, default=0, metavar="N", help="GPUs of all machines (default: none)")
    add(
        "--gpu-tflops",
        type=float,
        default=10.0,
        metavar="X",
        help="10^12 operations a second that one of them keeps up, where this machine has none to measure "
        "on (default: %(default)s)",
    )
    add("--json", action="store_true", help="print JSON instead of tables")


def run(args: argparse.Namespace) -> None:
    """Measure, sum up and print."""
    from cocon.errors import ConfigError
    from cocon.planning.amount import roles_of
    from cocon.planning.extraction import measure_extraction
    from cocon.planning.rates import measure_rates
    from cocon.planning.report import document_of, tables
    from cocon.planning.steps import Plan
    from cocon.training.devices import world

    if args.cpus < 1 or args.gpus < 0 or args.gpu_tflops <= 0:
        raise ConfigError("--cpus must be at least 1, --gpus at least 0, and --gpu-tflops positive")
    config = configuration(args)
    if args.dataset not in config.datasets:
        known = ", ".join(config.datasets)
        raise ConfigError(f"there is no data set '{args.dataset}'", f"there are: {known}")
    settings = config.datasets[args.dataset]
    config = config.model_copy(update={"views": config.views_of(args.dataset)})
    roles, videos = roles_of(args.dataset, settings)
    extraction = measure_extraction(config, settings, videos)
    threads = config.jobs.pretrain_stage1.threads_with(0)
    on_cpu = not args.gpus or config.device == "cpu"
    with world("cpu" if on_cpu else "auto", threads) as process:
        recipe = config.recipes[settings.recipe]
        rates = measure_rates(recipe, config.views, roles.classes, process.device, threads)
        measured = on_cpu or process.device.type == "cuda"
    plan = Plan(
        config, args.dataset, roles, extraction, rates, args.gpus, None if measured else args.gpu_tflops
    )
    document = document_of(plan, args.cpus)
    say(json.dumps(document, indent=2) if args.json else tables(document))
