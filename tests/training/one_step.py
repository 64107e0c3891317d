"""One step of stage 2 in this process or, under torchrun's variables, in this one among several.

usage: python one_step.py DATASET OUTPUT BATCH SETTINGS
Writes loss, terms and gradients of the first step and, with the weights of after it, the validation loss.
Batch norm uses its running statistics: in training mode it sees each process's part of the batch only.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from cocon.data.clips import ClipDataset
from cocon.data.network_input import to_network_input
from cocon.shards import ShardSet
from cocon.training.initialise import initial_network
from cocon.training.launch import world
from cocon.training.log import Reporter
from cocon.training.settings import PretrainSettings
from cocon.training.state import RunState
from cocon.training.trainer import Trainer


def main(dataset: Path, output: Path, batch: int, settings: PretrainSettings) -> None:
    shards = {view: ShardSet.of_folder(dataset / "shards" / view) for view in ("rgb", "mask")}
    ids = sorted(shards["rgb"].videos)[:12]
    clips = ClipDataset(shards, ids, settings.clip, None)
    with world("cpu", threads=1) as processes:
        trainer = Trainer(
            {view: initial_network(view, settings.network, 0) for view in shards},
            clips,
            clips,
            stage=settings.pretraining.stage2.model_copy(update={"batch_size": batch}),
            settings=settings.pretraining,
            preset="cocon",
            seed=0,
            state=RunState(output / "state", "key"),
            world=processes,
            reporter=Reporter("test", 1, silent=True),
        )
        trainer.model.eval()
        first = next(iter(trainer.loader))
        inputs = {view: to_network_input(x, view, settings.clip) for view, x in first.views.items()}
        terms = processes.mean(trainer.train_step(inputs, first.video_id))
        gradients = {name: p.grad for name, p in trainer.networks.named_parameters()}
        validation = trainer.validate()
        result = {"terms": terms, "gradients": gradients, "validation": validation}
        torch.save(result, output / f"{processes.size}_{processes.rank}.pt")


if __name__ == "__main__":
    settings = PretrainSettings.model_validate_json(sys.argv[4])
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), settings)
