"""Supervised training: fine-tunes the whole network, or trains a linear layer on a frozen one.

The protocols (CoCon's own, section 4 of the paper, and those of DPC, MemDPC and CoCLR) differ in their
settings only, see docs/evaluation.md.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from cocon.config.schema import Clip, Finetune
from cocon.config.schema.training import Workers
from cocon.config.selection import clip_settings, training_settings
from cocon.data.crops import centre_crop, crop_size
from cocon.datasets.manifest import read_manifest
from cocon.evaluation.classifier_file import ClassifierInfo, save_classifier
from cocon.evaluation.classifier_trainer import ClassifierTrainer
from cocon.evaluation.labelled_clips import LabelledClips
from cocon.evaluation.metrics import Result, Task
from cocon.evaluation.run import dataset_name
from cocon.evaluation.scores import ClassScores, write_result
from cocon.evaluation.settings import FinetuneSettings
from cocon.evaluation.splits import labelled_split
from cocon.evaluation.windows import mean_over_windows, usable_videos
from cocon.files import check_output, fingerprint, sha256_of
from cocon.loading import check_finite
from cocon.models.classifier import Classifier
from cocon.shards import ShardSet, membership
from cocon.shards.parameters import essential
from cocon.training.checkpoint import load_encoder
from cocon.training.context import RunContext
from cocon.training.devices import World
from cocon.training.log import Reporter, write_log
from cocon.training.loggers import Loggers, Run
from cocon.training.seeds import derived_seed
from cocon.training.state import RunState
from cocon.versions import STAGES


@dataclass(frozen=True)
class FinetuneJob:
    """The arguments of ``cocon finetune``.

    Attributes:
        manifest: The table of videos.
        shards: Folder with one folder of shards per view.
        view: The view to train and test on.
        checkpoint: The encoder to start from.
        split: Name of the split.
        output: The ``.json`` of metrics; scores (.npz) and log (.log.jsonl) go to the same folder.
        state: Folder for the states of unfinished runs.
        settings: Of the protocol, clip and number of bootstrap resamples.
        seed: Of everything random.
        protocol: Selects the section of the settings.
        name: Name of the row in the table; empty: the protocol.
        shard_count: Shards of the view; None: all that are there.
    """

    manifest: Path
    shards: Path
    view: str
    checkpoint: Path
    split: str
    output: Path
    state: Path
    settings: FinetuneSettings
    seed: int
    protocol: str = "finetune"
    name: str = ""
    shard_count: int | None = None

    @property
    def row(self) -> str:
        """Name of the row in the table."""
        return self.name or self.protocol

    @property
    def section(self) -> Finetune:
        """The settings of the protocol."""
        section = self.settings.of(self.protocol)
        assert isinstance(section, Finetune), self.protocol
        return section


def finetune(job: FinetuneJob, device: torch.device) -> Result:
    """Train a classifier, test it, and write metrics, scores, log and the classifier itself.

    The same call resumes an interrupted run.

    Raises:
        CheckpointError: The encoder is missing, something else or of another view.
        ConfigError: Frames are smaller than the crop.
        DatasetError: Too few videos or classes, see `Split.available`.
        OutputError: A result could not be written in the end.
        ShardError: The shards are missing or damaged, or hold other videos than the manifest.
        TrainingInterruptedError: After a signal, with the state saved.
        TrainingDivergedError: The loss is not finite.
        CoConError: Another process is at work on the same run.
    """
    with contextlib.ExitStack() as stack:
        return _finetune(job, device, stack)


def _finetune(job: FinetuneJob, device: torch.device, stack: contextlib.ExitStack) -> Result:
    settings = job.section
    for suffix in (".json", ".npz", ".log.jsonl", ".safetensors"):
        check_output(job.output.with_suffix(suffix))
    network, info = load_encoder(job.checkpoint, view=job.view)
    clip = job.settings.clip or info.clip
    shards = ShardSet.of_folder(job.shards / job.view, job.shard_count)
    videos = read_manifest(job.manifest)
    membership.check(shards, videos)
    split = labelled_split(videos, job.split)
    train, test = split.available(set(usable_videos(shards, [*split.train, *split.test])))
    _check_sizes(shards, test, clip)

    task = Task(dataset_name(job.manifest), info.pretraining, job.view, job.row, job.split, job.seed)
    labels = {video: split.train[video] for video in train}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derived_seed(job.seed, "classifier", job.view))
        classifier = Classifier(
            network,
            len(split.classes),
            settings.dropout,
            head=settings.head,
            frozen=settings.backbone_rate == 0,
        ).to(device)
    state = RunState(
        job.state, _description(job, clip, shards, labels, split.classes), keep=settings.keep_checkpoints
    )
    stack.enter_context(state.locked())
    reporter = Reporter(f"{job.row} {info.pretraining} {job.view} split {job.split}")
    log = job.output.with_suffix(".log.jsonl")
    run = Run(reporter.name, state.key, log, state.rows, state.description)
    trainer = ClassifierTrainer(
        RunContext(World(device), job.seed, state, reporter, Loggers(run, settings.loggers)),
        classifier,
        LabelledClips(shards, labels, clip, seed=job.seed, cache_bytes=settings.cache_megabytes * 2**20),
        settings,
        section=job.protocol,
    )
    rows = trainer.fit()
    probabilities_NC = class_probabilities(
        classifier,
        shards,
        test,
        clip,
        device=device,
        batch_size=settings.batch_size,
        workers=settings.workers,
        crops=settings.test_crops,
    )
    write_log(log, rows)
    save_classifier(
        job.output.with_suffix(".safetensors"),
        classifier,
        ClassifierInfo(task, split.classes, settings.head, info.network, clip),
    )
    scores = ClassScores.of(task, split, test, probabilities_NC)
    write_log(log, rows)
    result = write_result(scores, job.output, job.settings.bootstrap)
    state.remove()
    return result


def class_probabilities(
    classifier: nn.Module,
    shards: ShardSet,
    video_ids: list[str],
    clip: Clip,
    *,
    device: torch.device,
    batch_size: int,
    workers: Workers,
    crops: Literal[1, 10] = 1,
) -> np.ndarray:
    """Mean softmax over the half-overlapping windows of each video and their crops, (n, classes).

    Raises:
        DatasetError: Probabilities are not finite numbers.
    """
    classifier.eval()

    def classify(x_BNCKHW: Tensor) -> dict[str, Tensor]:
        return {"probabilities": classifier(x_BNCKHW).float().softmax(1)}

    means, _ = mean_over_windows(
        classify,
        shards,
        video_ids,
        clip,
        device=device,
        batch_size=batch_size,
        workers=workers,
        crops=crops,
    )
    what = f"the probabilities of the view {shards.view}"
    check_finite(what, video_ids, means["probabilities"], "look at these videos, or at the training's loss")
    return means["probabilities"]


def _check_sizes(shards: ShardSet, video_ids: list[str], clip: Clip) -> None:
    """Refuse frames smaller than the crop before training starts."""
    infos = shards.videos
    for video in video_ids:
        centre_crop(infos[video].height, infos[video].width, crop_size(clip, shards.view))


def _description(
    job: FinetuneJob, clip: Clip, shards: ShardSet, labels: dict[str, int], classes: tuple[str, ...]
) -> dict[str, Any]:
    """Everything that the trained classifier depends on; ``run`` names its purpose."""
    infos = shards.videos
    return {
        "run": {
            "protocol": job.row,
            "view": job.view,
            "split": job.split,
            "from": job.checkpoint.parent.name,
        },
        "version": STAGES["finetune"],
        "finetune": {"like": job.protocol, **training_settings(job.section)},
        **clip_settings(clip, [job.view], without={"predicted_blocks"}),
        "seed": job.seed,
        "encoder": sha256_of(job.checkpoint),
        "data": {
            "classes": len(classes),
            "labels": fingerprint([classes, labels]),
            "content": fingerprint([[video, infos[video].crc32] for video in labels]),
            "parameters": fingerprint([essential(job.view, shard.parameters) for shard in shards.shards]),
        },
    }
