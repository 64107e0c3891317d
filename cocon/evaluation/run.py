"""Runs the protocols that work on cached files: from command-line paths to result files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from cocon.config.schema import Relations, Section
from cocon.datasets.manifest import read_manifest
from cocon.errors import ConfigError, DatasetError
from cocon.evaluation.compared import Compared
from cocon.evaluation.ensemble import VIEW, fuse_features, fuse_probabilities, view_weights
from cocon.evaluation.features import Features, check_known, read_features
from cocon.evaluation.metrics import Result, Task
from cocon.evaluation.neighbours import Likeness, likeness, write_likeness
from cocon.evaluation.relations import ClassRelations, relate, write_relations
from cocon.evaluation.scores import ClassScores, write_result
from cocon.evaluation.settings import EnsembleSettings
from cocon.evaluation.splits import Split, labelled_split
from cocon.files import check_output
from cocon.protocols import PROTOCOLS


def dataset_name(manifest: Path) -> str:
    """The data set that a manifest belongs to: the name of its folder, as in results/demo/manifest.csv."""
    return manifest.resolve().parent.name


def evaluate_features(
    protocol: str,
    *,
    manifest: Path,
    features: Path,
    split: str,
    settings: Section,
    bootstrap: int,
    seed: int,
    output: Path,
    name: str = "",
) -> Result:
    """Evaluate one file of features by ``protocol`` and write ``output`` (.json and .npz).

    Args:
        protocol: One of `PROTOCOLS` that reads features.
        manifest: Table of the videos; its folder is the name of the data set.
        features: What ``cocon features`` wrote.
        split: Name of the split.
        settings: The protocol's section of settings.
        bootstrap: Resamples for the interval.
        seed: Seed of the resampling.
        output: The ``.json`` file.
        name: Name of the row; empty: the protocol.

    Raises:
        DatasetError: The inputs are missing, contradict each other or leave nothing to evaluate.
    """
    check_output(output.with_suffix(".npz"))
    table = read_features(features)
    task = Task(dataset_name(manifest), table.pretraining, table.view, name or protocol, split, seed)
    chosen = _split(manifest, split, {features: table})
    evaluate = PROTOCOLS[protocol].load()
    return write_result(evaluate(task, chosen, table, settings), output, bootstrap)


def evaluate_ensemble(
    protocol: str,
    *,
    inputs: Mapping[str, Path],
    settings: EnsembleSettings,
    output: Path,
    manifest: Path | None = None,
    split: str | None = None,
    seed: int = 0,
    name: str = "",
) -> Result:
    """Fuse the views and write ``output`` (.json and .npz).

    Args:
        protocol: Whose results are fused.
        inputs: By view, the ``.npz`` of scores; of a protocol that joins features the file of these.
        settings: Weights, resamples, and the sections of protocols that join features.
        output: The ``.json`` file.
        manifest: Needed with features only; scores record what was evaluated.
        split: As ``manifest``.
        seed: As ``manifest``.
        name: Name of the row, with features only; empty: the protocol.

    Raises:
        ConfigError: The weights or arguments do not fit.
        DatasetError: The inputs are missing or do not belong together.
    """
    weights = view_weights(inputs, dict(settings.ensemble.items()))
    if not PROTOCOLS[protocol].joined:
        loaded = {view: ClassScores.load(path) for view, path in inputs.items()}
        _check_views({view: scores.task.view for view, scores in loaded.items()})
        return write_result(fuse_probabilities(loaded, weights), output, settings.bootstrap)
    if manifest is None or split is None:
        raise ConfigError(f"the ensemble of {protocol} needs the labels", "give --manifest and --split")
    tables = {view: read_features(path) for view, path in inputs.items()}
    _check_views({view: features.view for view, features in tables.items()})
    task = Task(dataset_name(manifest), "", VIEW, name or protocol, split, seed)
    chosen = _split(manifest, split, {inputs[view]: table for view, table in tables.items()})
    scores = fuse_features(protocol, task, chosen, tables, weights, settings.of(protocol))
    return write_result(scores, output, settings.bootstrap)


def evaluate_relations(
    manifest: Path,
    features: Mapping[str, Path],
    *,
    split: str,
    settings: Relations,
    seed: int,
    output: Path,
) -> ClassRelations:
    """Compare the classes in all views and write ``output``.

    Raises:
        DatasetError: The features are missing, do not belong together or have too few classes.
    """
    tables, chosen, compared = _views_of_split(manifest, features, split, seed)
    found = relate(chosen, tables, settings)
    write_relations(output, found, compared)
    return found


def evaluate_likeness(
    manifest: Path, features: Mapping[str, Path], *, split: str, seed: int, output: Path
) -> dict[str, Likeness]:
    """Compare the test videos in each view and write ``output``.

    Raises:
        DatasetError: The features are missing or do not belong together.
    """
    tables, chosen, compared = _views_of_split(manifest, features, split, seed)
    groups = groups_in(manifest)
    found = {view: likeness(table, chosen, groups) for view, table in tables.items()}
    write_likeness(output, found, compared)
    return found


def groups_in(manifest: Path) -> dict[str, str]:
    """The group of each video of a manifest; empty of a video that has none."""
    return {video.id: video.group for video in read_manifest(manifest)}


def _views_of_split(
    manifest: Path, features: Mapping[str, Path], split: str, seed: int
) -> tuple[dict[str, Features], Split, Compared]:
    """Features by view, the videos of the split, and the header of a result."""
    tables = {view: read_features(path) for view, path in features.items()}
    _check_views({view: table.view for view, table in tables.items()})
    names = {table.pretraining for table in tables.values()}
    if len(names) > 1:
        raise DatasetError(
            f"the views come from different pretrainings: {', '.join(sorted(names))}",
            "give features of the same encoders",
        )
    chosen = _split(manifest, split, {features[view]: table for view, table in tables.items()})
    return tables, chosen, Compared(dataset_name(manifest), names.pop(), split, seed)


def _split(manifest: Path, name: str, tables: Mapping[Path, Features]) -> Split:
    """The labelled videos of a split; features of videos that the manifest does not list are refused."""
    videos = read_manifest(manifest)
    ids = {video.id for video in videos}
    for path, table in tables.items():
        check_known(path, table, ids)
    return labelled_split(videos, name)


def _check_views(found: Mapping[str, str]) -> None:
    for view, actual in found.items():
        if view != actual:
            raise DatasetError(
                f"the file given for the view {view} holds the view {actual}",
                "correct the paths, which are given per view",
            )
