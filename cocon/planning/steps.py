"""The jobs of a data set's whole evaluation, rule by rule as in ``workflow/rules``, and what each costs."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from cocon.config.schema import Config, Finetune, Linear, PretrainingJob, Recipe, Stage
from cocon.data.sampling import eval_windows
from cocon.datasets.splits import stand_apart
from cocon.planning.amount import Roles
from cocon.planning.extraction import ExtractionCosts
from cocon.planning.rates import Rate, Rates
from cocon.planning.timeline import Step
from cocon.pretrainings import RANDOM, STAGE1, start_of
from cocon.protocols import PROTOCOLS
from cocon.workflow.documents.extraction import passes
from cocon.workflow.evaluated import Evaluated
from cocon.workflow.paths import ENSEMBLE
from cocon.workflow.running import running_settings
from cocon.workflow.wildcards import rendering

_FLOAT = 4
#: arrays of features per video, see cocon.evaluation.features
_FEATURES = 3
#: of Adam's state to the weights, the weights included
_STATE = 3


@dataclass(frozen=True)
class Plan:
    """Everything that determines the cost of a run.

    Attributes:
        config: the configuration.
        dataset: name of the data set.
        roles: its numbers of videos.
        extraction: measured costs of a frame.
        rates: measured costs of a clip.
        gpus: GPUs of all machines together; 0: training runs on CPUs.
        gpu_tflops: the speed that one of them sustains, if it was not measured; None: it was measured.
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
        return self.config.recipe_of(self.dataset)

    @cached_property
    def evaluated(self) -> Evaluated:
        """The jobs of the evaluation."""
        apart = stand_apart(self.config.datasets[self.dataset], self.roles.listed)
        return Evaluated(self.config, self.dataset, self.roles.splits, apart)

    @property
    def views(self) -> list[str]:
        """Of the data set."""
        return self.config.views_of(self.dataset)

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
        name = self.config.trained_on(self.dataset)
        return "" if name == self.dataset else name

    @property
    def trainings(self) -> int:
        """How often each kind of encoder is pretrained: once, or once for every split."""
        if self.encoders_from:
            return 1
        return max(len(runs) for runs in self.evaluated.encoder_runs.values())

    def seconds(self, rate: Rate) -> float:
        """Of one clip."""
        return rate.on(self.gpu_tflops if self.gpus_per_job else None)

    def steps(self) -> list[Step]:
        """All steps of ``snakemake eval_<data set>``, none before what it waits for.

        Encoders that are pretrained on another data set, and shards of another one, belong to its plan.
        """
        steps = list(self._rendering())
        rendered = tuple(step.name for step in steps)
        steps.append(Step("index", "index", len(self.evaluated.tables), after=rendered))
        # the shards of another data set are there already
        extracted: dict[str, str] = dict.fromkeys(self.views, "index")
        if self.config.owner_of_shards(self.dataset) == self.dataset:
            extraction = list(self._extraction(rendered))
            steps += extraction
            extracted = {view: step.name for step in extraction for view in step.name.split()[1:]}
        if not self.encoders_from:
            if tables := self.evaluated.training_tables:
                steps.append(
                    Step("index for pretraining", "index_for_pretraining", len(tables), after=rendered)
                )
            steps += self._pretraining(extracted)
        steps += self._evaluation(extracted)
        steps += self._truth(tuple(extracted.values()), rendered)
        steps.append(Step("page", "page", 1, after=tuple(step.name for step in steps)))
        return steps

    def _rendering(self) -> Iterator[Step]:
        suffix = rendering(self.config).get(self.dataset)
        if suffix is not None:
            yield Step("render", f"render{suffix}", 1, threads=self.config.jobs.render.threads)

    def _truth(self, extracted: tuple[str, ...], rendered: tuple[str, ...]) -> Iterator[Step]:
        """What the report of a demo compares with the truth; comparing every backend is not measured."""
        paths = self.evaluated.paths
        figures = paths.truth_figures(self.dataset)
        if paths.scores_of_shards(self.dataset) in figures:
            yield Step("scores", "score_shards", 1, after=extracted)
        if paths.scores_of_backends(self.dataset) in figures:
            if rendered:  # the videos of another data set are there already
                threads, suffix = self.config.jobs.render.threads, rendering(self.config)[self.dataset]
                yield Step("render pairs", f"render_pairs{suffix}", 1, threads=threads)
                rendered = (*rendered, "render pairs")
            gpus = self.gpus_per_job
            yield Step("backends", "score_backends", 1, gpus=gpus, after=("index", *rendered))

    def _extraction(self, after: tuple[str, ...]) -> Iterator[Step]:
        settings, costs, job = self.config.datasets[self.dataset], self.extraction, self.config.jobs.extract
        frames = costs.frames / settings.shards
        for views in passes(self.recipe, self.views):
            found = [costs.views[view] for view in views]
            gpus = int(any(cost.on_gpu for cost in found))
            yield Step(
                name=f"extract {' '.join(views)}",
                rule="extract_persons" if len(views) > 1 else "extract",
                jobs=settings.shards,
                seconds=frames * sum(cost.seconds for cost in found),
                threads=job.threads_with(gpus),
                gpus=gpus,
                bytes=costs.frames * sum(cost.bytes for cost in found),
                after=after,
            )

    def _pretraining(self, extracted: dict[str, str]) -> Iterator[Step]:
        runs, jobs = self.evaluated.encoder_runs, self.config.jobs
        weights = {view: _FLOAT * self.rates.parameters[view] for view in self.views}
        total = sum(weights.values())
        if random := len(runs.get(RANDOM, ())):
            yield Step("initialise", "initialise", random * len(weights), bytes=random * total)
        for view in self.views if STAGE1 in runs else ():
            yield Step(
                name=_encoder(STAGE1, view),
                rule="pretrain_stage1",
                jobs=len(runs[STAGE1]),
                seconds=self._epochs(STAGE1, STAGE1, jobs.pretrain_stage1)
                * self._epoch(self.rates.alone[view])
                / self._speedup(jobs.pretrain_stage1),
                threads=self._threads(jobs.pretrain_stage1),
                gpus=self._gpus(jobs.pretrain_stage1),
                bytes=len(runs[STAGE1]) * weights[view] * (1 + _STATE * self._kept(jobs.pretrain_stage1)),
                after=("index for pretraining", extracted[view]),
            )
        for name in sorted(runs.keys() - {RANDOM, STAGE1}):
            trainings = len(runs[name])
            epochs = self._epochs("stage2", name, jobs.pretrain_stage2)
            before = dict.fromkeys(_encoder(start_of(name), view) for view in self.views)
            yield Step(
                name=f"stage2 {name}",
                rule="pretrain_stage2",
                jobs=trainings,
                seconds=epochs * self._epoch(self.rates.together) / self._speedup(jobs.pretrain_stage2),
                threads=self._threads(jobs.pretrain_stage2),
                gpus=self._gpus(jobs.pretrain_stage2),
                bytes=trainings * total * (1 + _STATE * self._kept(jobs.pretrain_stage2)),
                after=("index for pretraining", *extracted.values(), *before),
            )
            yield Step(
                name=f"encoder {name}",
                rule="encoder",
                jobs=trainings * len(weights),
                bytes=trainings * total,
                after=(f"stage2 {name}",),
            )

    def _kept(self, job: PretrainingJob) -> int:
        """Checkpoints of an unfinished training."""
        running = running_settings(job, self.recipe.pretraining)
        return int(running.get("keep_checkpoints", job.keep_checkpoints))

    def _gpus(self, job: PretrainingJob) -> int:
        """GPUs of all nodes of a training."""
        return self.gpus_per_job * job.nodes * job.gpus

    def _threads(self, job: PretrainingJob) -> int:
        """Threads of all nodes of a training."""
        return job.nodes * job.threads_with(self.gpus_per_job * job.gpus)

    def _speedup(self, job: PretrainingJob) -> int:
        """Processes that compute in parallel; those of a node without GPUs share its threads."""
        return self._gpus(job) or job.nodes

    def _epochs(self, stage: str, preset: str, job: PretrainingJob) -> int:
        """Epochs of a training; a number of steps is converted by the number of videos."""
        settings = self.recipe.pretraining
        section = settings.stage1 if stage == STAGE1 else settings.stage2
        videos = round(self.roles.pretrained * (1 - settings.validation_fraction))
        return settings.whole_epochs(stage, preset, _steps(videos, section, job.processes))

    def _epoch(self, rate: Rate) -> float:
        """Seconds of an epoch; a validation clip costs a third of a training clip, the forward pass."""
        held_out = self.recipe.pretraining.validation_fraction
        return self.roles.pretrained * (1 - held_out + held_out / 3) * self.seconds(rate)

    def _evaluation(self, extracted: dict[str, str]) -> Iterator[Step]:
        steps: dict[str, Step] = {}
        jobs = Counter((cell.protocol, cell.pretraining, cell.view) for cell in self.evaluated.cells)
        for (protocol, name, view), splits in jobs.items():
            for step in self._metrics(protocol, name, view, splits, extracted):
                steps.setdefault(step.name, step)  # every protocol reads the same features
        yield from steps.values()
        yield Step("summary", "summary", 1, after=tuple(steps))

    def _metrics(
        self, protocol: str, name: str, view: str, splits: int, extracted: dict[str, str]
    ) -> Iterator[Step]:
        """The jobs of one protocol, encoder and view (or all views together), on all splits."""
        if view == ENSEMBLE:
            joined = bool(PROTOCOLS[self.evaluated.kind(protocol)].joined)
            before = f"features {name}" if joined else f"{protocol} {name}"
            yield Step(
                name=f"{protocol} {name} {view}",
                rule="ensemble",
                jobs=splits,
                seconds=len(self.views) * self._cheap(protocol) if joined else 0.0,
                after=tuple(f"{before} {each}" for each in self.views),
            )
            return
        encoder = () if self.encoders_from else (_encoder(name, view),)
        ready = ("index", extracted[view], *encoder)
        if not self.evaluated.on_features(protocol):
            yield self._on_frames(protocol, name, view, splits, ready)
            return
        features = self._features(name, view, ready)
        yield features
        yield Step(
            name=f"{protocol} {name} {view}",
            rule="evaluate_features",
            jobs=splits,
            seconds=self._cheap(protocol),
            after=(features.name,),
        )

    def _cheap(self, protocol: str) -> float:
        """Seconds of a protocol that reads features; the linear probe may need fewer iterations."""
        section = self.recipe.evaluation.section(protocol)
        if isinstance(section, Linear):
            return self.rates.probe * self.roles.train * section.max_iterations
        return self.rates.search * self.roles.train * self.roles.test

    def _features(self, name: str, view: str, ready: tuple[str, ...]) -> Step:
        jobs = len(self.evaluated.feature_runs(name))
        return Step(
            name=f"features {name} {view}",
            rule="features",
            jobs=jobs,
            seconds=self.roles.labelled * self.windows * self.seconds(self.rates.judged[view]),
            threads=self.config.jobs.features.threads_with(self.gpus_per_job),
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
            threads=getattr(self.config.jobs, PROTOCOLS[kind].job).threads_with(self.gpus_per_job),
            gpus=self.gpus_per_job,
            bytes=splits * self.roles.test * self.roles.classes * _FLOAT,
            after=ready,
        )


def _encoder(name: str, view: str) -> str:
    """The step that makes an encoder."""
    return {RANDOM: "initialise", STAGE1: f"stage1 {view}"}.get(name, f"encoder {name}")


def _steps(videos: int, section: Stage | Finetune, processes: int = 1) -> int:
    """Steps of an epoch; one where the videos do not fill a batch, which the training itself rejects."""
    batches = videos // (section.batch_size * processes)
    return max(1, math.ceil(batches / section.accumulate))
