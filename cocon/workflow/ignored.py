"""Notices of keys that a user has set and nothing reads, given once, when the configuration is read."""

from __future__ import annotations

from collections.abc import Iterator

from cocon.config.schema import Config, Section
from cocon.protocols import FRAMES, PROTOCOLS
from cocon.workflow.running import moved_keys


def notices(config: Config) -> Iterator[str]:
    """The notices when a configuration is read: keys that belong elsewhere, and keys that nothing reads."""
    for line in moved_keys(config):
        yield f"{line}; it is read where it is"
    yield from ignored_keys(config)


def ignored_keys(config: Config) -> Iterator[str]:
    """A line for each key that is set and not read: the key, and why."""
    yield from _idle(config, "")
    for name in config.recipes:
        yield from _of_recipe(config, name)


def _idle(section: Section, prefix: str) -> Iterator[str]:
    """The keys that the section itself, or one within it, reports as idle."""
    for key, reason in section.idle.items():
        if key in section.model_fields_set:
            yield f"{prefix}{key} is not read: {reason}"
    for key, value in section:
        if isinstance(value, Section) and key not in section.idle:
            yield from _idle(value, f"{prefix}{key}.")
        elif isinstance(value, dict):
            for name, entry in value.items():
                if isinstance(entry, Section):
                    yield from _idle(entry, f"{prefix}{key}.{name}.")


def _of_recipe(config: Config, name: str) -> Iterator[str]:
    """The keys that no data set of a recipe needs, and no ablation."""
    datasets = [dataset for dataset, settings in config.datasets.items() if settings.recipe == name]
    if not datasets:
        return
    recipe, prefix = config.recipes[name], f"recipes.{name}"
    evaluation = recipe.evaluation
    used = set(evaluation.protocols)
    for ablation in config.ablations.values():
        used |= set(ablation.protocols) if ablation.dataset in datasets else set()
    used |= {"finetune"} if set(datasets) & set(config.paper) else set()
    for protocol in [*(evaluation.model_fields_set & set(PROTOCOLS)), *evaluation.own]:
        if protocol not in used:
            place = f"{prefix}.evaluation.{'own.' * (protocol in evaluation.own)}{protocol}"
            yield f"{place} is not read: it is not among the protocols"
    on_frames = [PROTOCOLS[evaluation.kind(name)].reads == FRAMES for name in evaluation.protocols]
    if not any(on_frames) and "finetune_pretrainings" in evaluation.model_fields_set:
        yield f"{prefix}.evaluation.finetune_pretrainings is not read: no protocol trains on frames"
    if all(on_frames) and "pretrainings" in evaluation.model_fields_set:
        yield f"{prefix}.evaluation.pretrainings is not read: all protocols train on frames"
    if "pretraining" in recipe.model_fields_set and not any(
        config.recipe_of(config.trained_on(dataset)) is recipe for dataset in config.datasets
    ):
        yield f"{prefix}.pretraining is not read: all its data sets have pretrain_on"
    processes = max(config.jobs.pretrain_stage1.processes, config.jobs.pretrain_stage2.processes)
    if recipe.pretraining.sync_batch_norm and processes == 1:
        yield f"{prefix}.pretraining.sync_batch_norm is not read: one process trains (jobs: gpus, nodes)"
