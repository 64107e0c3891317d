"""``cocon pretrain``: pretrain encoders without labels.

Stage 1 trains one view from scratch with L_cpc; stage 2 trains several views together, from the encoders
of stage 1. The same command resumes an interrupted run; if SIGTERM, SIGUSR1 or SIGINT stopped it, its exit
status is 75. Under ``torchrun`` every process takes its part of the batch.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from cocon.commands.arguments import add_device, add_shards
from cocon.config.load import parse_settings
from cocon.files import output_file, output_folder
from cocon.pretrainings import PRESETS
from cocon.views import VIEWS

HELP = "pretrain encoders (stage 1: one view; stage 2: all views together)"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``cocon pretrain``."""
    add = parser.add_argument
    add("--manifest", type=Path, required=True, help="table of videos")
    add_shards(parser)
    add("--split", default="1", help="the split whose training videos are used")
    add("--views", nargs="+", choices=tuple(VIEWS), required=True)
    add("--stage", choices=("stage1", "stage2"), required=True)
    add("--preset", choices=PRESETS, help="terms of the loss; stage 1: cpc, stage 2: cocon")
    add("--init", type=Path, help="folder with the encoders that stage 2 starts from")
    add("--output-dir", type=output_folder, required=True, help="folder for <view>.safetensors")
    add("--log", type=output_file, required=True, help="file for one JSON object per epoch")
    add("--state", type=output_folder, required=True, help="folder for unfinished runs")
    add("--resume", type=Path, help="resume from this checkpoint (.pt) of that folder instead of the newest")
    add("--settings", default="{}", help="JSON or a file: clip, network, pretraining")
    add("--seed", type=int, default=0)
    add_device(parser)


def run(args: argparse.Namespace) -> None:
    """Pretrain, and write encoders and log."""
    from cocon.training.devices import world
    from cocon.training.pretrain import pretrain
    from cocon.training.pretrain_job import PretrainJob
    from cocon.training.settings import PretrainSettings

    job = PretrainJob(
        manifest=args.manifest,
        shards=args.shards,
        shard_count=args.shard_count,
        split=args.split,
        views=args.views,
        stage=args.stage,
        preset=args.preset,
        init=args.init,
        output=args.output_dir,
        log=args.log,
        state=args.state,
        settings=parse_settings(args.settings, PretrainSettings),
        seed=args.seed,
        resume=args.resume,
    )
    job.check()
    with world(args.device, args.threads) as processes:
        pretrain(job, processes)
