"""What one process, or under torchrun's variables each of several, makes of the same batches.

usage: python process.py DATASET OUTPUT BATCH SETTINGS
First steps of stage 2 with several losses (loss, terms, gradients and then the validation loss; batch norm
uses its running statistics), then whole runs of stage 1: straight, stopped and resumed, and with a loss that
is no number.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import Tensor

from cocon.data.clips import ClipDataset
from cocon.data.network_input import to_network_input
from cocon.pretrainings import PRESETS
from cocon.shards import ShardSet
from cocon.training.context import RunContext
from cocon.training.devices import World, world
from cocon.training.divergence import StepValues, TrainingDivergedError
from cocon.training.initialise import initial_network
from cocon.training.interrupt import TrainingInterruptedError
from cocon.training.log import Reporter, read_log
from cocon.training.loggers import Loggers
from cocon.training.pretrain import pretrain
from cocon.training.pretrain_job import PretrainJob
from cocon.training.settings import PretrainSettings
from cocon.training.state import RunState
from cocon.training.trainer import Trainer
from tests.counting import Collectives


def first_steps(
    dataset: Path, output: Path, batch: int, settings: PretrainSettings, here: World, preset: str
) -> dict[str, Any]:
    shards = {view: ShardSet.of_folder(dataset / "shards" / view) for view in ("rgb", "mask")}
    per_video = PRESETS[preset].clips
    clips = ClipDataset(shards, sorted(shards["rgb"].videos)[:12], settings.clip, None, per_video=per_video)
    context = RunContext(
        here, 0, RunState(output / "state", {}), Reporter("test", silent=True), Loggers(None)
    )
    trainer = Trainer(
        context,
        {view: initial_network(view, settings.network, 0) for view in shards},
        clips,
        clips,
        stage=settings.pretraining.stage2.model_copy(update={"batch_size": batch}),
        epochs=1,
        settings=settings.pretraining,
        preset=preset,
    )
    with mock.patch.object(
        trainer.augment,
        "batch",
        lambda views, device, generator: {
            view: to_network_input(x, view, settings.clip) for view, x in views.items()
        },
    ):
        trainer.model.eval()
        first, second, *_ = trainer.loader
        with Collectives() as counting:
            values = trainer.train_step([first])
        terms = values.read()
        parameters = dict(trainer.module.named_parameters())
        gradients = {name: p.grad.clone() for name, p in parameters.items() if p.grad is not None}
        if not trainer.world.leads:  # what other processes know of batch norm's statistics does not count
            for buffer in trainer.module.buffers():
                buffer.zero_()
        validation = trainer.validate()
        trainer.epoch = trainer.mines_from  # from here on views find positives
        trainer.model.eval()
        next_terms = trainer.train_step([second]).read()
    calls = dict(counting.calls)
    return {
        "terms": terms, "gradients": gradients, "validation": validation, "next": next_terms, "calls": calls
    }  # fmt: skip


def runs(dataset: Path, output: Path, settings: PretrainSettings, here: World) -> dict[str, Any]:
    def job(name: str) -> PretrainJob:
        return PretrainJob(
            manifest=dataset / "manifest.csv",
            shards=dataset / "shards",
            split="1",
            views=["rgb"],
            stage="stage1",
            preset=None,
            init=None,
            output=output / name,
            log=output / name / "log.jsonl",
            state=output / "state" / name,
            settings=settings,
            seed=0,
        )

    pretrain(job("straight"), here)
    rows = {"straight": read_log(job("straight").log)}

    take_step, compare = Trainer.train_step, Trainer.compare
    last = here.size - 1

    def step(self: Trainer, window: Any) -> StepValues:
        if here.rank == last and (self.epoch, self.step) == (1, 0):
            os.kill(os.getpid(), signal.SIGTERM)  # one process alone is told
        return take_step(self, window)

    with mock.patch.object(Trainer, "train_step", step):
        try:
            pretrain(job("resumed"), here)
        except TrainingInterruptedError as error:
            rows["stopped"] = error.message
    pretrain(job("resumed"), here)
    rows["resumed"] = read_log(job("resumed").log)

    def poisoned(self: Trainer, inputs: dict[str, Tensor], videos: list[str]) -> dict[str, Tensor]:
        values = compare(self, inputs, videos)
        if here.rank == last:
            values["loss"] = values["loss"] * torch.nan
        return values

    with mock.patch.object(Trainer, "compare", poisoned):
        try:
            pretrain(job("diverged"), here)
        except TrainingDivergedError as error:
            rows["diverged"] = error.message
    return rows


def main(dataset: Path, output: Path, batch: int, settings: PretrainSettings) -> None:
    with world("cpu", threads=1) as here:
        steps = {
            preset: first_steps(dataset, output, batch, settings, here, preset)
            for preset in ("cocon", "cmc", "nce", "coclr")
        }
        stage = settings.pretraining.stage1.model_copy(update={"batch_size": batch})
        changed = settings.pretraining.model_copy(update={"stage1": stage})
        whole = runs(
            dataset, output / str(here.size), settings.model_copy(update={"pretraining": changed}), here
        )
        torch.save({"steps": steps, "runs": whole}, output / f"{here.size}_{here.rank}.pt")


if __name__ == "__main__":
    settings = PretrainSettings.model_validate_json(sys.argv[4])
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), settings)
