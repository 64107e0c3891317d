"""Section ``jobs``: how the stages run."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from cocon.config.schema.base import Fraction, PositiveInt, Section
from cocon.config.schema.extraction import MAX_FAILED_FRACTION
from cocon.config.schema.training import Probing, Running

Threads = Annotated[PositiveInt, Field(description="threads, that is cores, of a job")]
MemoryMb = Annotated[
    PositiveInt,
    Field(description="memory of a job, MB, for a scheduler; repeated jobs get twice, then three times"),
]
RuntimeMinutes = Annotated[
    PositiveInt,
    Field(
        description="time limit of a job, minutes, for a scheduler; repeated jobs that cannot resume get "
        "twice, then three times"
    ),
]


class Job(Section):
    """What one job of a stage asks for."""

    threads: Threads = 1
    memory_mb: MemoryMb = 4000
    runtime_minutes: RuntimeMinutes = 240


class ExtractionJob(Job):
    """What extracting one shard asks for."""

    max_failed_fraction: Fraction = Field(
        MAX_FAILED_FRACTION,
        description="fraction of a shard's videos; with more that cannot be read, the shard fails",
    )


class PretrainingJob(Job, Running, Probing):
    """What pretraining asks for; threads and memory are those of a node, for all its processes."""

    runtime_minutes: RuntimeMinutes = 2880
    nodes: PositiveInt = Field(1, description="machines of a cluster that train together")
    gpus: PositiveInt = Field(
        1, description="processes on each of them, each with a GPU; without GPUs they compute on the CPU"
    )

    @property
    def idle(self) -> dict[str, str]:
        """The key of the probe, where there is none."""
        return {} if self.probe_every else {"probe_videos": "probe_every is 0"}

    @property
    def processes(self) -> int:
        """Processes on all nodes together; every one has batches of its own, so the result depends on it."""
        return self.nodes * self.gpus


class TogetherJob(PretrainingJob):
    """What pretraining all views together asks for."""

    threads: Threads = 2
    memory_mb: MemoryMb = 8000


class RenderingJob(Job):
    """What rendering the demo asks for."""

    threads: Threads = 2


class FeaturesJob(Job):
    """What computing features asks for."""

    workers: int = Field(0, ge=0, description="processes that decode; 0: in the computing process")
    batch_size: PositiveInt = Field(16, description="windows per forward pass")


class FinetuningJob(Job, Running):
    """What fine-tuning asks for."""

    runtime_minutes: RuntimeMinutes = 2880


class Jobs(Section):
    """How the stages run: threads, memory, time, and all else that does not change a result."""

    render: RenderingJob = RenderingJob()
    extract: ExtractionJob = ExtractionJob()
    pretrain_stage1: PretrainingJob = PretrainingJob()
    pretrain_stage2: TogetherJob = TogetherJob()
    features: FeaturesJob = FeaturesJob()
    finetune: FinetuningJob = FinetuningJob()
