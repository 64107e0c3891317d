"""How the workflow runs: the files of its configuration, and keys that change no result.

Those keys are in ``jobs``, or in the recipe, their former place.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from cocon.config.schema import Config, Running
from cocon.config.selection import RUNNING
from cocon.protocols import PROTOCOLS


def config_files(own: Sequence[str], given: Sequence[str], alone: bool) -> list[Path]:
    """The files of a configuration: the workflow's, if there is one, then those of ``--configfile``.

    Args:
        own: files that the workflow reads; Snakemake adds those of the command line to them.
        given: files of the command line.
        alone: whether those replace the workflow's.
    """
    named = [Path(file).absolute() for file in given]
    others = [Path(file) for file in own if Path(file).absolute() not in named]
    return named if alone else [*others, *named]


def running_settings(job: BaseModel, section: BaseModel) -> dict[str, Any]:
    """The keys that a user has set and documents leave out: RUNNING of :mod:`cocon.config.selection`, and
    those whose earlier defaults count as defaults.

    Args:
        job: a section of ``jobs``; what is set there counts.
        section: the section of the recipe, where the same keys are still read.
    """
    document: dict[str, Any] = {}
    for source in (section, job):
        left_out = {*RUNNING, *getattr(source, "as_default", ())}
        document |= source.model_dump(mode="json", include=left_out & source.model_fields_set)
    return document


def pretraining_runs(config: Config, dataset: str, stage: str) -> dict[str, Any]:
    """How ``stage1`` or ``stage2`` of pretraining runs, as a part of the command's settings."""
    job = getattr(config.jobs, f"pretrain_{stage}")
    return {"pretraining": running_settings(job, config.recipe_of(dataset).pretraining)}


def protocol_runs(config: Config, dataset: str, protocol: str) -> dict[str, Any]:
    """How a protocol that trains on frames runs, as a part of the command's settings."""
    evaluation = config.recipe_of(dataset).evaluation
    kind = evaluation.kind(protocol)
    job = getattr(config.jobs, PROTOCOLS[kind].job)
    return {kind: running_settings(job, evaluation.section(protocol))}


def report_runs(config: Config) -> dict[str, Any]:
    """Where a report runs its networks, as a part of the command's settings."""
    return {"device": config.device}


def max_failed_fraction(config: Config, dataset: str) -> float:
    """The part of a shard's videos that may fail."""
    job, extraction = config.jobs.extract, config.recipe_of(dataset).extraction
    if "max_failed_fraction" in job.model_fields_set:
        return job.max_failed_fraction
    return extraction.max_failed_fraction


def moved_keys(config: Config) -> Iterator[str]:
    """A line for each key that stands in a recipe and belongs under ``jobs``."""
    for name, recipe in config.recipes.items():
        evaluation = recipe.evaluation
        if "max_failed_fraction" in recipe.extraction.model_fields_set:
            yield f"recipes.{name}.extraction.max_failed_fraction is now jobs.extract.max_failed_fraction"
        trained = "pretrain_stage1 and jobs.pretrain_stage2"
        places: list[tuple[str, BaseModel, str]] = [("pretraining", recipe.pretraining, trained)]
        for protocol in sorted({*evaluation.model_fields_set, *evaluation.own} - {"own"}):
            section = evaluation.own.get(protocol) or getattr(evaluation, protocol)
            if isinstance(section, Running):
                job = PROTOCOLS[evaluation.kind(protocol)].job
                places.append((f"evaluation.{protocol}", section, job))
        for place, section, job in places:
            for key in sorted(RUNNING & section.model_fields_set):
                yield f"recipes.{name}.{place}.{key} is now under jobs.{job}"
