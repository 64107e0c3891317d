"""Pretraining as a whole: from a manifest and shards to encoders and a log."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from cocon.config.schema import Stage
from cocon.config.selection import pooling, pretraining_settings
from cocon.data.batches import steps_per_epoch
from cocon.data.clips import ClipDataset
from cocon.data.crops import centre_crop, crop_size
from cocon.data.selection import Choosing, Selection, choosing_videos, select_videos
from cocon.datasets.manifest import Video, read_manifest
from cocon.errors import ConfigError
from cocon.files import check_output, fingerprint, sha256_of
from cocon.losses.cocon import canonical_order
from cocon.models.network import ViewNetwork
from cocon.pretrainings import PRESETS, STAGE1, WITHOUT_STAGE1
from cocon.shards import ShardSet, membership
from cocon.shards.parameters import common_parameters, essential
from cocon.training.checkpoint import CHOSEN_BY, check_weights, load_encoder, save_encoder
from cocon.training.devices import World
from cocon.training.initialise import initial_network
from cocon.training.log import Reporter, write_log
from cocon.training.loggers import Loggers, Run
from cocon.training.probe import GroupProbe, Probe, choose_videos
from cocon.training.provenance import hardware
from cocon.training.settings import PretrainSettings
from cocon.training.state import RunState
from cocon.training.trainer import Trainer
from cocon.versions import STAGES


@dataclass(frozen=True)
class PretrainJob:
    """What ``cocon pretrain`` is asked for.

    Attributes:
        manifest: the table of videos.
        shards: folder with one folder of shards per view.
        split: whose training videos are used.
        views: the views that are trained, together.
        stage: ``stage1`` (from scratch, L_cpc only) or ``stage2`` (from the encoders of ``init``).
        preset: terms of the loss; None: what belongs to the stage.
        init: folder with ``<view>.safetensors`` to start from.
        output: folder for ``<view>.safetensors``.
        log: file for one row per epoch.
        state: folder for the states of unfinished runs.
        settings: clip, network and schedule.
        seed: of everything random.
        resume: a checkpoint to go on from; None: the newest of this run, if there is one.
        shard_count: shards of a view; None: all that are there.
    """

    manifest: Path
    shards: Path
    split: str
    views: Sequence[str]
    stage: Literal["stage1", "stage2"]
    preset: str | None
    init: Path | None
    output: Path
    log: Path
    state: Path
    settings: PretrainSettings
    seed: int
    resume: Path | None = None
    shard_count: int | None = None

    @property
    def terms(self) -> str:
        """The preset of the loss."""
        return self.preset or ("cpc" if self.stage == "stage1" else "cocon")

    @property
    def pretraining(self) -> str:
        """How the result is called in tables."""
        return STAGE1 if self.stage == STAGE1 else self.terms

    @property
    def schedule(self) -> Stage:
        """Batch size and learning rate."""
        stages = self.settings.pretraining
        return stages.stage1 if self.stage == "stage1" else stages.stage2

    def length(self, videos: int, processes: int) -> tuple[int, int]:
        """Epochs, and steps of the optimiser in each, with so many training videos.

        Raises:
            DatasetError: the videos do not fill a batch.
        """
        stage = self.schedule
        steps = steps_per_epoch(videos, stage.batch_size, accumulate=stage.accumulate, size=processes)
        return self.settings.pretraining.whole_epochs(self.stage, self.terms, steps), steps

    def check(self) -> None:
        """Refuse what contradicts itself.

        Raises:
            ConfigError: with the argument that is wrong.
            OutputError: a result could not be written in the end.
        """
        if self.stage == "stage1" and self.terms != "cpc":
            raise ConfigError(
                f"stage1 trains every view by itself; the preset '{self.terms}' has nothing to act on",
                "leave --preset out, or use --stage stage2",
            )
        if self.stage == "stage1" and self.init is not None:
            raise ConfigError("stage1 starts from scratch", "leave --init out, or use --stage stage2")
        if self.stage == "stage2" and self.init is None:
            raise ConfigError("stage2 needs encoders to start from", "give the folder of stage 1 as --init")
        clips, batch = PRESETS[self.terms].clips, self.schedule.batch_size
        if batch % clips:
            raise ConfigError(
                f"'{self.terms}' compares {clips} clips of each video, which do not fill a batch of {batch}",
                f"make pretraining.{self.stage}.batch_size a multiple of {clips}",
            )
        mixed = self.settings.pretraining.mixes_lengths
        if self.stage == "stage2" and self.terms in WITHOUT_STAGE1 and mixed:
            raise ConfigError(
                f"'{self.terms}' trains for as long as both stages, of which one has epochs, the other steps",
                "give pretraining.stage1 and stage2 both epochs, or both steps",
            )
        if len(set(self.views)) != len(self.views):
            raise ConfigError(f"a view is named twice: {' '.join(self.views)}")
        for path in (self.log, *(self.output / f"{view}.safetensors" for view in self.views)):
            check_output(path)


def pretrain(job: PretrainJob, world: World) -> None:
    """Train, then write the encoders and the log; an interrupted run goes on where it stopped.

    Raises:
        CoConError: for contradicting arguments, missing shards or encoders, shards of other videos than the
            manifest, too few videos, a loss that is not finite, another process at work on the same run, and
            after a signal that asks to stop.
    """
    with contextlib.ExitStack() as stack:
        _pretrain(job, world, stack)


def _pretrain(job: PretrainJob, world: World, stack: contextlib.ExitStack) -> None:
    job.check()
    job = replace(job, views=canonical_order(job.views))  # so that the order of --views changes nothing
    schedule, stage = job.settings.pretraining, job.schedule
    reporter = Reporter(f"{job.pretraining} {'+'.join(job.views)}", silent=not world.leads)

    videos = read_manifest(job.manifest)
    shards = {
        view: ShardSet.of_folder(job.shards / view, job.shard_count, warn=reporter.warn) for view in job.views
    }
    for shard_set in shards.values():
        membership.check(shard_set, videos)
    extraction = {view: common_parameters(shard_set.shards) for view, shard_set in shards.items()}
    selection = select_videos(videos, job.split, shards, schedule.validation_fraction, job.seed)
    _tell(selection, reporter)
    _check_sizes(job, shards, selection)
    epochs, steps = job.length(len(selection.train), world.size)
    reporter.say(f"{epochs} epochs of {steps} steps")
    choosing = None
    if schedule.reads_labels:
        choosing = choosing_videos(videos, selection, schedule.best_videos, job.seed)
    networks, start = _networks(job)
    description = _description(job, shards, selection, choosing, world)
    state = RunState(job.state, description, keep=schedule.keep_checkpoints)
    world.of_leader(lambda: stack.enter_context(state.locked()))
    run = Run(reporter.name, state.key, job.log, state.rows, state.description) if world.leads else None

    trainer = Trainer(
        networks,
        _clips(job, shards, selection.train, augmented=True),
        _clips(job, shards, selection.validation, augmented=False) if selection.validation else None,
        stage=stage,
        epochs=epochs,
        settings=schedule,
        preset=job.terms,
        seed=job.seed,
        state=state,
        world=world,
        reporter=reporter,
        loggers=Loggers(run, schedule.loggers),
        probe=_probe(job, videos, shards, selection, reporter),
        choice=GroupProbe(choosing, shards, job.settings.clip, stage.batch_size) if choosing else None,
    )
    rows = trainer.fit(job.resume)
    if world.leads:
        epoch = trainer.load_best() if schedule.result == "best" else epochs
        chosen = {"chosen_by": CHOSEN_BY[schedule.best_by]} if schedule.result == "best" else {}
        for view, network in networks.items():
            check_weights(f"the encoder of the view {view}", network.state_dict())
        for view, network in networks.items():
            path = job.output / f"{view}.safetensors"
            data = state.description["data"]
            extra = {
                "epoch": epoch,
                "epochs": epochs,
                **chosen,
                **start,
                "seed": job.seed,
                "config_hash": state.key,
                "training_videos": data["training_videos"],
                "data_fingerprint": data[view]["content"],
                "extraction": extraction[view],
                "hardware": hardware(world.device, world.size),
            }
            save_encoder(path, network, view, job.settings.clip, job.pretraining, **extra)
        write_log(job.log, rows)
        state.remove()
    world.wait()


def _networks(job: PretrainJob) -> tuple[dict[str, ViewNetwork], dict[str, Any]]:
    """The networks to begin with, and what must still be known about them when they have been trained."""
    if job.init is None:
        return {view: initial_network(view, job.settings.network, job.seed) for view in job.views}, {}
    loaded = {
        view: load_encoder(job.init / f"{view}.safetensors", view=view, network=job.settings.network)
        for view in job.views
    }
    told = {info.extra.get(key) for _, info in loaded.values() for key in ("chosen_by", "start_chosen_by")}
    start = {"start_chosen_by": CHOSEN_BY["probe"]} if CHOSEN_BY["probe"] in told else {}
    return {view: network for view, (network, _) in loaded.items()}, start


def _clips(
    job: PretrainJob, shards: dict[str, ShardSet], video_ids: list[str], *, augmented: bool
) -> ClipDataset:
    schedule = job.settings.pretraining
    return ClipDataset(
        shards,
        video_ids,
        job.settings.clip,
        schedule.augmentation if augmented else None,
        seed=job.seed,
        cache_bytes=schedule.cache_megabytes * 2**20 // max(1, schedule.workers) if augmented else 0,
        per_video=PRESETS[job.terms].clips,
    )


def _check_sizes(job: PretrainJob, shards: dict[str, ShardSet], selection: Selection) -> None:
    """Refuse frames smaller than the crop now, not in the middle of an epoch or after it."""
    schedule = job.settings.pretraining
    for view, shard_set in shards.items():
        # Random resized crops of training clips are scaled; all others are cut out as they are.
        probed = schedule.probe_every or schedule.reads_labels
        scaled = view in schedule.augmentation.resized_crop and not probed
        size, infos = crop_size(job.settings.clip, view), shard_set.videos
        for video in (*selection.validation, *(() if scaled else selection.train)):
            centre_crop(infos[video].height, infos[video].width, size)


def _tell(selection: Selection, reporter: Reporter) -> None:
    text = f"{len(selection.train)} videos"
    if selection.validation:
        text += f", {len(selection.validation)} held out for validation"
    reporter.say(text)
    for reason, count in selection.left_out.items():
        reporter.say(f"{count} training videos left out: {reason}")


def _probe(
    job: PretrainJob,
    videos: Sequence[Video],
    shards: dict[str, ShardSet],
    selection: Selection,
    reporter: Reporter,
) -> Probe | None:
    schedule = job.settings.pretraining
    if not schedule.probe_every:
        return None
    chosen = choose_videos(videos, selection, schedule.probe_videos, job.seed)
    if chosen is None:
        reporter.warn("the probe is off: it needs labelled training videos of two classes and two groups")
        return None
    return Probe(chosen, shards, job.settings.clip, job.schedule.batch_size)


def _description(
    job: PretrainJob,
    shards: dict[str, ShardSet],
    selection: Selection,
    choosing: Choosing | None,
    world: World,
) -> dict[str, Any]:
    """Everything that the result depends on; ``run`` says what it is for."""
    settings = pretraining_settings(job.settings, job.stage, job.terms, job.views, world.size)
    ids = [*selection.train, *selection.validation]
    tables = {view: shard_set.videos for view, shard_set in shards.items()}
    return {
        "run": {"stage": job.stage, "loss": job.terms, "views": "+".join(job.views), "split": job.split},
        "version": STAGES["pretrain"],
        **settings,
        **pooling(job.settings, job.terms, job.views),
        "seed": job.seed,
        "processes": world.size,
        "data": {
            "training_videos": len(selection.train),
            "validation_videos": fingerprint(selection.validation),
            **({"choosing": fingerprint(asdict(choosing))} if choosing else {}),
            **{
                view: {
                    "content": fingerprint([[name, table[name].crc32] for name in ids]),
                    "parameters": fingerprint(
                        [essential(view, shard.parameters) for shard in shards[view].shards]
                    ),
                }
                for view, table in tables.items()
            },
        },
        "init": {v: sha256_of(job.init / f"{v}.safetensors") for v in job.views} if job.init else None,
    }
