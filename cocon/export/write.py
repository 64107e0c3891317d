"""Exports checkpoints to a self-contained folder: weights, ``config.json`` and model card."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cocon.config.schema import Clip
from cocon.data.crops import crop_size
from cocon.errors import CheckpointError, ConfigError, ShardError
from cocon.evaluation.ensemble import VIEW as ENSEMBLE
from cocon.evaluation.metrics import Result
from cocon.evaluation.summary import read_summary
from cocon.export.card import model_card
from cocon.export.config import CARD, NAME, EncoderConfig, ExportedView, Normalisation, Pooling
from cocon.export.embedder import Embedder, about
from cocon.export.extraction import settings_of
from cocon.files import full_disk_named, sha256_of, sync_folder, write_json, write_text
from cocon.models.network import ViewNetwork
from cocon.shards import ShardSet
from cocon.shards.parameters import VERSIONS, common_parameters, differences
from cocon.training.checkpoint import EncoderInfo, load_encoder
from cocon.training.network_file import to_bytes
from cocon.training.provenance import provenance
from cocon.views import VIEWS

#: metadata of a checkpoint on its training, without the extraction
_TRAINING = (
    "epoch",
    "epochs",
    "chosen_by",
    "start_chosen_by",
    "seed",
    "config_hash",
    "training_videos",
    "data_fingerprint",
)


@dataclass(frozen=True)
class ExportJob:
    """The arguments of ``cocon export``.

    Attributes:
        checkpoints: one encoder per view.
        output: the folder to write; one that an export wrote is replaced.
        shards: folder with one folder of shards per view, for checkpoints without extraction metadata; for
            others, to compare.
        pooling: which features an embedding is.
        dataset: name of the training data.
        summary: accuracies for the card.
        licence: of the weights, chosen by the publisher.
        shard_count: shards of a view in ``shards``; None: all that are there.
    """

    checkpoints: Sequence[Path]
    output: Path
    shards: Path | None = None
    pooling: Pooling = "encoder"
    dataset: str = ""
    summary: Path | None = None
    licence: str = ""
    shard_count: int | None = None


def export(job: ExportJob) -> EncoderConfig:
    """Write the folder.

    Raises:
        CoConError: a checkpoint is no encoder, two have the same view or do not belong together, how a view
            was extracted is unknown or contradictory, or the output folder is not an export.
    """
    _check_output(job.output)
    loaded = _load(job.checkpoints)
    infos = {view: info for view, (_, _, info) in loaded.items()}
    pretraining = next(iter(infos.values())).pretraining
    results = _results(job.summary, pretraining, list(infos))
    extraction = {view: _extraction(path, info, job) for view, (path, _, info) in loaded.items()}
    clip = _common_clip(infos)
    with _folder(job.output) as folder:
        views = {}
        for view, (_, network, info) in loaded.items():
            path = folder / f"{view}.safetensors"
            document = about(view, info.network, clip, job.pooling, extraction[view])
            _save(path, Embedder(network, job.pooling), document)
            views[view] = ExportedView(
                file=path.name,
                sha256=sha256_of(path),
                network=info.network,
                normalisation=Normalisation.of(view),
                extraction=extraction[view],
                training={key: info.extra[key] for key in _TRAINING if key in info.extra},
            )
        config = EncoderConfig(
            pretraining=pretraining,
            dataset=job.dataset,
            embedding=job.pooling,
            clip=clip,
            views=views,
            accuracy=[result.row() for result in results if result.task.pretraining == pretraining],
            exported_with={name: version for name, version in provenance().items() if version},
        )
        write_json(folder / NAME, config.model_dump(mode="json", by_alias=True))
        write_text(folder / CARD, model_card(config, results, job.output.name, job.licence))
    return config


def _load(paths: Sequence[Path]) -> dict[str, tuple[Path, ViewNetwork, EncoderInfo]]:
    """Path, network and metadata of the checkpoints by view, in the order of the views."""
    loaded: dict[str, tuple[Path, ViewNetwork, EncoderInfo]] = {}
    for path in paths:
        network, info = load_encoder(path)
        if info.view in loaded:
            raise CheckpointError(
                f"{loaded[info.view][0]} and {path} are both encoders of the view '{info.view}'",
                "give one per view",
            )
        loaded[info.view] = (path, network, info)
    first_path, _, first = next(iter(loaded.values()))
    for path, _, info in loaded.values():
        if info.pretraining != first.pretraining:
            raise CheckpointError(
                f"{first_path} was pretrained as '{first.pretraining}', {path} as '{info.pretraining}'",
                "export each pretraining into its own folder",
            )
        if different := differences(_without_crop(first.clip), _without_crop(info.clip)):
            listed = ", ".join(f"{key} {change}" for key, change in different.items())
            raise CheckpointError(f"{first_path} and {path} were trained on different clips: {listed}")
    return {view: loaded[view] for view in VIEWS if view in loaded}


def _without_crop(clip: Clip) -> dict[str, Any]:
    return clip.model_dump(mode="json", exclude={"crop"})


def _common_clip(infos: Mapping[str, EncoderInfo]) -> Clip:
    crop = {view: crop_size(info.clip, view) for view, info in infos.items()}
    return next(iter(infos.values())).clip.model_copy(update={"crop": crop})


def _extraction(path: Path, info: EncoderInfo, job: ExportJob) -> dict[str, Any]:
    """The parameters of the shards that an encoder was trained on."""
    folder = job.shards
    known: dict[str, Any] | None = info.extra.get("extraction")
    if folder is not None:
        shards = ShardSet.of_folder(folder / info.view, job.shard_count)
        if shards.view != info.view:
            raise ShardError(f"the shards in {folder / info.view} hold the view '{shards.view}'")
        found = common_parameters(shards.shards)
        different = differences(known if known is not None else found, found)
        if listed := ", ".join(f"{k} {change}" for k, change in different.items() if k not in VERSIONS):
            raise CheckpointError(
                f"{path} was not trained on shards like those in {folder / info.view}: {listed}",
                "leave --shards out: the file records how its views were extracted",
            )
        known = known if known is not None else found
    if known is None:
        raise CheckpointError(
            f"{path} does not record how the view '{info.view}' was extracted",
            "pass the folder of the shards it was trained on as --shards",
        )
    settings_of(info.view, known)
    crop, short_side = crop_size(info.clip, info.view), int(known["short_side"])
    if crop > short_side:
        raise CheckpointError(
            f"{path} needs crops of {crop} px, but '{info.view}' is extracted with {short_side} px"
        )
    return known


def _results(summary: Path | None, pretraining: str, views: Sequence[str]) -> list[Result]:
    """The rows of this pretraining, and those of random encoders to compare with."""
    if summary is None:
        return []
    results = read_summary(summary)
    kept = [
        result
        for result in results
        if result.task.pretraining in (pretraining, "random") and result.task.view in (*views, ENSEMBLE)
    ]
    evaluated = {result.task.view for result in results} - {ENSEMBLE}
    if evaluated != set(views):  # its ensemble is not that of the exported views
        kept = [result for result in kept if result.task.view != ENSEMBLE]
    if not any(result.task.pretraining == pretraining for result in kept):
        raise ConfigError(f"{summary} has no accuracy of '{pretraining}' for {', '.join(views)}")
    return kept


def _save(path: Path, network: Embedder, document: Mapping[str, Any]) -> None:
    tensors = {name: x.contiguous() for name, x in network.state_dict().items()}
    path.write_bytes(to_bytes(tensors, document))


def _check_output(output: Path) -> None:
    if output.exists() and not (output / NAME).is_file() and (not output.is_dir() or any(output.iterdir())):
        raise ConfigError(f"{output} exists and is not an exported encoder", "give another --output")


@contextlib.contextmanager
def _folder(final: Path) -> Iterator[Path]:
    """A folder that gets its name when it is complete; it replaces an existing one."""
    final.parent.mkdir(parents=True, exist_ok=True)
    temporary = final.with_name(f".{final.name}.{os.getpid()}.tmp")
    old = final.with_name(f".{final.name}.{os.getpid()}.old")
    temporary.mkdir()
    try:
        with full_disk_named(final, temporary):
            yield temporary
            for path in temporary.iterdir():
                with path.open("rb") as written:
                    os.fsync(written.fileno())
        sync_folder(temporary)
        if final.exists():
            final.rename(old)
        temporary.rename(final)
        sync_folder(final.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
