"""Runs one pretraining: from a manifest and shards to encoders and a log."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from cocon.config.selection import pooling, pretraining_settings
from cocon.data.clips import ClipDataset
from cocon.data.crops import centre_crop, crop_size
from cocon.data.selection import Choosing, Selection, choosing_videos, select_videos
from cocon.datasets.manifest import Video, read_manifest
from cocon.files import fingerprint, sha256_of
from cocon.losses.cocon import canonical_order
from cocon.models.network import ViewNetwork
from cocon.pretrainings import PRESETS
from cocon.shards import ShardSet, membership
from cocon.shards.parameters import common_parameters, essential
from cocon.training.checkpoint import CHOSEN_BY, load_encoder, save_encoder
from cocon.training.context import RunContext
from cocon.training.devices import World
from cocon.training.initialise import initial_network
from cocon.training.log import Reporter, write_log
from cocon.training.loggers import Loggers, Run
from cocon.training.network_file import check_weights
from cocon.training.pretrain_job import PretrainJob
from cocon.training.probe import GroupProbe, Probe, choose_videos
from cocon.training.provenance import hardware
from cocon.training.state import RunState
from cocon.training.trainer import Trainer
from cocon.versions import STAGES


def pretrain(job: PretrainJob, world: World) -> None:
    """Train, then write the encoders and the log; an interrupted run resumes where it stopped.

    Raises:
        CoConError: for contradicting arguments, missing shards or encoders, shards of other videos than the
            manifest, too few videos, a non-finite loss, another process on the same run, and after a stop
            signal.
    """
    with contextlib.ExitStack() as stack:
        _pretrain(job, world, stack)


def _pretrain(job: PretrainJob, world: World, stack: contextlib.ExitStack) -> None:
    job.check()
    job = replace(job, views=canonical_order(job.views))  # so that the order of --views changes nothing
    settings, stage = job.settings.pretraining, job.stage_settings
    reporter = Reporter(f"{job.pretraining} {'+'.join(job.views)}", silent=not world.leads)

    videos = read_manifest(job.manifest)
    shards = {
        view: ShardSet.of_folder(job.shards / view, job.shard_count, warn=reporter.warn) for view in job.views
    }
    for shard_set in shards.values():
        membership.check(shard_set, videos)
    extraction = {view: common_parameters(shard_set.shards) for view, shard_set in shards.items()}
    selection = select_videos(videos, job.split, shards, settings.validation_fraction, job.seed)
    _report_selection(selection, reporter)
    _check_sizes(job, shards, selection)
    epochs, steps = job.length(len(selection.train), world.size)
    reporter.say(f"{epochs} epochs of {steps} steps")
    choosing = None
    if settings.reads_labels:
        choosing = choosing_videos(videos, selection, settings.best_videos, job.seed)
    networks, start = _networks(job)
    description = _description(job, shards, selection, choosing, world)
    state = RunState(job.state, description, keep=settings.keep_checkpoints)
    world.of_leader(lambda: stack.enter_context(state.locked()))
    run = Run(reporter.name, state.key, job.log, state.rows, state.description) if world.leads else None

    context = RunContext(world, job.seed, state, reporter, Loggers(run, settings.loggers))
    trainer = Trainer(
        context,
        networks,
        _clips(job, shards, selection.train, augmented=True),
        _clips(job, shards, selection.validation, augmented=False) if selection.validation else None,
        stage=stage,
        epochs=epochs,
        settings=settings,
        preset=job.loss_preset,
        probe=_probe(job, videos, shards, selection, reporter),
        choice=GroupProbe(choosing, shards, job.settings.clip, stage.batch_size) if choosing else None,
    )
    rows = trainer.fit(job.resume)
    if world.leads:
        epoch = trainer.load_best() if settings.result == "best" else epochs
        chosen = {"chosen_by": CHOSEN_BY[settings.best_by]} if settings.result == "best" else {}
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
                "hardware": hardware(world.device, world.size, trainer.switches),
            }
            save_encoder(path, network, view, job.settings.clip, job.pretraining, **extra)
        write_log(job.log, rows)
        state.remove()
    world.wait()


def _networks(job: PretrainJob) -> tuple[dict[str, ViewNetwork], dict[str, Any]]:
    """The initial networks, and the metadata to store with them after training."""
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
    settings = job.settings.pretraining
    return ClipDataset(
        shards,
        video_ids,
        job.settings.clip,
        settings.augmentation if augmented else None,
        seed=job.seed,
        cache_bytes=settings.cache_megabytes * 2**20 if augmented else 0,
        per_video=PRESETS[job.loss_preset].clips,
    )


def _check_sizes(job: PretrainJob, shards: dict[str, ShardSet], selection: Selection) -> None:
    """Refuse frames smaller than the crop now, not in the middle of an epoch or after it."""
    settings = job.settings.pretraining
    for view, shard_set in shards.items():
        # Random resized crops of training clips are scaled; all others are cut out unscaled.
        probed = settings.probe_every or settings.reads_labels
        scaled = view in settings.augmentation.resized_crop and not probed
        size, infos = crop_size(job.settings.clip, view), shard_set.videos
        for video in (*selection.validation, *(() if scaled else selection.train)):
            centre_crop(infos[video].height, infos[video].width, size)


def _report_selection(selection: Selection, reporter: Reporter) -> None:
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
    settings = job.settings.pretraining
    if not settings.probe_every:
        return None
    chosen = choose_videos(videos, selection, settings.probe_videos, job.seed)
    if chosen is None:
        reporter.warn("the probe is off: it needs labelled training videos of two classes and two groups")
        return None
    return Probe(chosen, shards, job.settings.clip, job.stage_settings.batch_size)


def _description(
    job: PretrainJob,
    shards: dict[str, ShardSet],
    selection: Selection,
    choosing: Choosing | None,
    world: World,
) -> dict[str, Any]:
    """Everything that the result depends on; ``run`` names its purpose."""
    settings = pretraining_settings(job.settings, job.stage, job.loss_preset, job.views, world.size)
    ids = [*selection.train, *selection.validation]
    tables = {view: shard_set.videos for view, shard_set in shards.items()}
    return {
        "run": {
            "stage": job.stage,
            "loss": job.loss_preset,
            "views": "+".join(job.views),
            "split": job.split,
        },
        "version": STAGES["pretrain"],
        **settings,
        **pooling(job.settings, job.loss_preset, job.views),
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
