"""Section ``jobs``: how the stages run."""

from __future__ import annotations

from pydantic import Field

from cocon.config.schema.base import Fraction, PositiveInt, Section
from cocon.config.schema.extraction import MAX_FAILED_FRACTION
from cocon.config.schema.training import Probing, Running


class Job(Section):
    """What one job of a stage asks for."""

    threads: PositiveInt = 1
    memory_mb: PositiveInt = 4000
    runtime_minutes: PositiveInt = Field(240, description="time limit where a scheduler wants one")


class ExtractionJob(Job):
    """What extracting one shard asks for."""

    max_failed_fraction: Fraction = Field(
        MAX_FAILED_FRACTION,
        description="a shard fails when more than this fraction of its videos cannot be read",
    )


class PretrainingJob(Job, Running, Probing):
    """What pretraining asks for; threads and memory are those of a node, for all its processes."""

    runtime_minutes: PositiveInt = Field(2880, description="time limit where a scheduler wants one")
    nodes: PositiveInt = Field(1, description="machines of a cluster that train together")
    gpus: PositiveInt = Field(
        1, description="processes on each of them, each with a GPU; without GPUs they compute on the CPU"
    )

    @property
    def processes(self) -> int:
        """Processes on all nodes together; every one has batches of its own, so the result depends on it."""
        return self.nodes * self.gpus


class TogetherJob(PretrainingJob):
    """What pretraining all views together asks for."""

    threads: PositiveInt = 2
    memory_mb: PositiveInt = 8000


class RenderingJob(Job):
    """What rendering the demo asks for."""

    threads: PositiveInt = 2


class FeaturesJob(Job):
    """What computing features asks for."""

    workers: int = Field(0, ge=0, description="processes that decode; 0: in the computing process")
    batch_size: PositiveInt = Field(16, description="windows per forward pass")


class FinetuningJob(Job, Running):
    """What fine-tuning asks for."""

    runtime_minutes: PositiveInt = Field(2880, description="time limit where a scheduler wants one")


class Jobs(Section):
    """How the stages run: threads, memory, time, and all else that does not change a result."""

    render: RenderingJob = RenderingJob()
    extract: ExtractionJob = ExtractionJob()
    pretrain_stage1: PretrainingJob = PretrainingJob()
    pretrain_stage2: TogetherJob = TogetherJob()
    features: FeaturesJob = FeaturesJob()
    finetune: FinetuningJob = FinetuningJob()
