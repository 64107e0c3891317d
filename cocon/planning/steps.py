"""The jobs of a data set's whole evaluation, rule by rule as in ``workflow/rules``, and what each costs."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from cocon.config.schema import (
    Config,
    Finetune,
    Linear,
    PretrainingJob,
    Recipe,
    Stage,
)
from cocon.data.sampling import eval_windows
from cocon.planning.amount import Roles
from cocon.planning.extraction import ExtractionCosts
from cocon.planning.rates import Rate, Rates
from cocon.planning.timeline import Step
from cocon.pretrainings import RANDOM, STAGE1, WITHOUT_STAGE1
from cocon.protocols import FEATURES, FRAMES, PROTOCOLS
from cocon.workflow.documents.extraction import passes
from cocon.workflow.running import running_settings

_FLOAT = 4
#: arrays of features per video, see cocon.evaluation.features
_FEATURES = 3
#: of Adam's state to the weights, the weights included
_STATE = 3


@dataclass(frozen=True)
class Plan:
    """Everything that the cost of a run follows from.

    Attributes:
        config: the configuration.
        dataset: name of the data set.
        roles: its numbers of videos.
        extraction: measured costs of a frame.
        rates: measured costs of a clip.
        gpus: GPUs of all machines together; 0: training runs on CPUs.
        gpu_tflops: what one of them keeps up, where it was not measured; None: it was.
    """

    config: Config
    dataset: str
    roles: Roles
    extraction: ExtractionCosts
    rates: Rates
    gpus: int
    gpu_tflops: float | None

    @property
    def recipe(self) -> Recipe:
        """What the data set is processed with."""
        return self.config.recipes[self.config.datasets[self.dataset].recipe]

    @property
    def windows(self) -> int:
        """Windows of a video of mean length."""
        return len(eval_windows(max(1, self.extraction.frames // self.roles.videos), self.recipe.clip))

    @property
    def gpus_per_job(self) -> int:
        """GPUs of a process that trains or evaluates."""
        return 0 if self.config.device == "cpu" else min(1, self.gpus)

    @property
    def encoders_from(self) -> str:
        """The other data set that the encoders are pretrained on; empty: it is this one."""
        name = self.config.datasets[self.dataset].pretrain_on
        return "" if name == self.dataset else name

    @property
    def splits(self) -> int:
        """Splits that are evaluated."""
        return len(self.config.datasets[self.dataset].splits) or self.roles.splits

    @property
    def trainings(self) -> int:
        """How often each kind of encoder is pretrained: once, or once for every split."""
        return 1 if self.encoders_from else self.roles.trainings

    def seconds(self, rate: Rate) -> float:
        """Of one clip."""
        return rate.on(self.gpu_tflops if self.gpus_per_job else None)

    def steps(self) -> list[Step]:
        """All steps of ``snakemake eval_<data set>``, none before what it waits for.

        Encoders that are pretrained on another data set, and shards of another one, belong to its plan.
        """
        settings = self.config.datasets[self.dataset]
        steps: list[Step] = []
        rendered: tuple[str, ...] = ()
        if settings.rendered and not settings.shards_of:
            threads = self.config.jobs.render.threads
            steps.append(Step("render", f"render_{self.dataset}", 1, threads=threads))
            rendered = ("render",)
        steps.append(Step("index", "index", self._tables(), after=rendered))
        # the shards of another data set are there already
        extracted: dict[str, str] = dict.fromkeys(self.config.views, "index")
        if not settings.shards_of:
            extraction = list(self._extraction(rendered))
            steps += extraction
            extracted = {view: step.name for step in extraction for view in step.name.split()[1:]}
        if not self.encoders_from:
            if self._pretrainings() != {RANDOM}:
                tables = self.trainings
                steps.append(Step("index for pretraining", "index_for_pretraining", tables, after=rendered))
            steps += self._pretraining(extracted)
        steps += self._evaluation(extracted)
        if settings.rendered and self.config.views != ("rgb",):
            steps.append(Step("scores", f"score_shards_{self.dataset}", 1, after=tuple(extracted.values())))
        steps.append(Step("page", "page", 1, after=tuple(step.name for step in steps)))
        return steps

    def _tables(self) -> int:
        """Tables of videos: one, and where splits stand apart, one for each and one for their features."""
        own = self.config.datasets[self.dataset].own or self.trainings > 1
        if self.roles.listed == 1 or not own:
            return 1
        evaluation = self.recipe.evaluation
        on_features = any(PROTOCOLS[evaluation.kind(name)].reads == FEATURES for name in evaluation.protocols)
        return 1 + self.splits + on_features

    def _extraction(self, after: tuple[str, ...]) -> Iterator[Step]:
        settings, costs, job = self.config.datasets[self.dataset], self.extraction, self.config.jobs.extract
        frames = costs.frames / settings.shards
        for views in passes(self.recipe, self.config.views):
            found = [costs.views[view] for view in views]
            yield Step(
                name=f"extract {' '.join(views)}",
                rule="extract_persons" if len(views) > 1 else "extract",
                jobs=settings.shards,
                seconds=frames * sum(cost.seconds for cost in found),
                threads=job.threads,
                gpus=int(any(cost.on_gpu for cost in found)),
                bytes=costs.frames * sum(cost.bytes for cost in found),
                after=after,
            )

    def _pretraining(self, extracted: dict[str, str]) -> Iterator[Step]:
        pretrainings = self._pretrainings()
        weights = {view: _FLOAT * count for view, count in self.rates.parameters.items()}
        total, jobs = sum(weights.values()), self.config.jobs
        if RANDOM in pretrainings or WITHOUT_STAGE1 & pretrainings:
            yield Step("initialise", "initialise", len(weights), bytes=total)
        needs_stage1 = pretrainings - {RANDOM} - WITHOUT_STAGE1
        for view in self.config.views if needs_stage1 else ():
            yield Step(
                name=f"stage1 {view}",
                rule="pretrain_stage1",
                jobs=self.trainings,
                seconds=self._epochs(STAGE1, STAGE1, jobs.pretrain_stage1)
                * self._epoch(self.rates.alone[view])
                / self._speedup(jobs.pretrain_stage1),
                threads=jobs.pretrain_stage1.threads * jobs.pretrain_stage1.nodes,
                gpus=self._gpus(jobs.pretrain_stage1),
                bytes=self.trainings * weights[view] * (1 + _STATE * self._kept(jobs.pretrain_stage1)),
                after=("index for pretraining", extracted[view]),
            )
        for name in sorted(pretrainings - {RANDOM, STAGE1}):
            alone = name in WITHOUT_STAGE1
            epochs = self._epochs("stage2", name, jobs.pretrain_stage2)
            before = ("initialise",) if alone else tuple(f"stage1 {view}" for view in self.config.views)
            yield Step(
                name=f"stage2 {name}",
                rule="pretrain_stage2",
                jobs=self.trainings,
                seconds=epochs * self._epoch(self.rates.together) / self._speedup(jobs.pretrain_stage2),
                threads=jobs.pretrain_stage2.threads * jobs.pretrain_stage2.nodes,
                gpus=self._gpus(jobs.pretrain_stage2),
                bytes=self.trainings * total * (1 + _STATE * self._kept(jobs.pretrain_stage2)),
                after=("index for pretraining", *extracted.values(), *before),
            )
            yield Step(
                name=f"encoder {name}",
                rule="encoder",
                jobs=self.trainings * len(weights),
                bytes=self.trainings * total,
                after=(f"stage2 {name}",),
            )

    def _kept(self, job: PretrainingJob) -> int:
        """Checkpoints of an unfinished training."""
        running = running_settings(job, self.recipe.pretraining)
        return int(running.get("keep_checkpoints", job.keep_checkpoints))

    def _pretrainings(self) -> set[str]:
        evaluation = self.recipe.evaluation
        return {name for protocol in evaluation.protocols for name in evaluation.judged_by(protocol)}

    def _gpus(self, job: PretrainingJob) -> int:
        """GPUs of all nodes of a training."""
        return self.gpus_per_job * job.nodes * job.gpus

    def _speedup(self, job: PretrainingJob) -> int:
        """Processes that compute side by side; those of a node without GPUs share its threads."""
        return self._gpus(job) or job.nodes

    def _epochs(self, stage: str, preset: str, job: PretrainingJob) -> int:
        """Epochs of a training; how many so many steps are follows from the number of videos."""
        settings = self.recipe.pretraining
        section = settings.stage1 if stage == STAGE1 else settings.stage2
        videos = round(self.roles.pretrained * (1 - settings.validation_fraction))
        return settings.whole_epochs(stage, preset, _steps(videos, section, job.processes))

    def _epoch(self, rate: Rate) -> float:
        """Seconds of an epoch; a validation clip costs a third of a training clip, the forward pass."""
        held_out = self.recipe.pretraining.validation_fraction
        return self.roles.pretrained * (1 - held_out + held_out / 3) * self.seconds(rate)

    def _evaluation(self, extracted: dict[str, str]) -> Iterator[Step]:
        evaluation = self.recipe.evaluation
        metrics: list[str] = []
        for protocol in evaluation.protocols:
            for name in dict.fromkeys(evaluation.judged_by(protocol)):
                for step in self._protocol(protocol, name, extracted):
                    if step.rule != "features" or step.name not in metrics:
                        yield step
                    metrics.append(step.name)
        yield Step("summary", "summary", 1, after=tuple(dict.fromkeys(metrics)))

    def _protocol(self, protocol: str, name: str, extracted: dict[str, str]) -> Iterator[Step]:
        """The jobs of one protocol and encoder, all views and splits."""
        splits, views = self.splits, self.config.views
        kind = self.recipe.evaluation.kind(protocol)
        encoder = {"random": "initialise", "stage1": "stage1 {}"}.get(name, f"encoder {name}")
        judged = []
        for view in views:
            ready = ("index", extracted[view], *([] if self.encoders_from else [encoder.format(view)]))
            if PROTOCOLS[kind].reads == FRAMES:
                step = self._on_frames(protocol, name, view, splits, ready)
            else:
                yield self._features(name, view, ready)
                after = (f"features {name} {view}",)
                step = Step(
                    f"{protocol} {name} {view}",
                    "evaluate_features",
                    splits,
                    self._cheap(protocol),
                    after=after,
                )
            judged.append(step.name)
            yield step
        if len(views) > 1:
            features = tuple(f"features {name} {view}" for view in views)
            joined = bool(PROTOCOLS[kind].joined)
            yield Step(
                name=f"{protocol} {name} ensemble",
                rule="ensemble",
                jobs=splits,
                seconds=len(views) * self._cheap(protocol) if joined else 0.0,
                after=features if joined else tuple(judged),
            )

    def _cheap(self, protocol: str) -> float:
        """Seconds of a protocol that reads features; the linear probe may need fewer iterations."""
        section = self.recipe.evaluation.section(protocol)
        if isinstance(section, Linear):
            return self.rates.probe * self.roles.train * section.max_iterations
        return self.rates.search * self.roles.train * self.roles.test

    def _features(self, name: str, view: str, ready: tuple[str, ...]) -> Step:
        jobs = 1 if name == "random" else self.trainings
        return Step(
            name=f"features {name} {view}",
            rule="features",
            jobs=jobs,
            seconds=self.roles.labelled * self.windows * self.seconds(self.rates.judged[view]),
            threads=self.config.jobs.features.threads,
            gpus=self.gpus_per_job,
            bytes=jobs * self.roles.labelled * _FEATURES * self.recipe.network.features * _FLOAT,
            after=ready,
        )

    def _on_frames(self, protocol: str, name: str, view: str, splits: int, ready: tuple[str, ...]) -> Step:
        """Training a clip costs what it costs in stage 1, of the same networks; frozen ones are only run."""
        section, kind = self.recipe.evaluation.section(protocol), self.recipe.evaluation.kind(protocol)
        assert isinstance(section, Finetune)
        trained = (self.rates.alone if section.backbone_rate else self.rates.judged)[view]
        batch = section.model_copy(update={"batch_size": min(section.batch_size, max(1, self.roles.train))})
        clips = section.whole_epochs(_steps(self.roles.train, batch)) * self.roles.train
        tested = self.roles.test * self.windows * section.test_crops
        return Step(
            name=f"{protocol} {name} {view}",
            rule="finetune",
            jobs=splits,
            seconds=clips * self.seconds(trained) + tested * self.seconds(self.rates.judged[view]),
            threads=getattr(self.config.jobs, PROTOCOLS[kind].job).threads,
            gpus=self.gpus_per_job,
            bytes=splits * self.roles.test * self.roles.classes * _FLOAT,
            after=ready,
        )


def _steps(videos: int, section: Stage | Finetune, processes: int = 1) -> int:
    """Steps of an epoch; one where the videos do not fill a batch, which the training itself refuses."""
    batches = videos // (section.batch_size * processes)
    return max(1, math.ceil(batches / section.accumulate))
