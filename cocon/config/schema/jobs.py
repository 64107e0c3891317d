"""Section ``jobs``: how the stages run."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from cocon.config.schema.base import Fraction, PositiveInt, Section
from cocon.config.schema.extraction import MAX_FAILED_FRACTION
from cocon.config.schema.training import Probing, Running, Workers

RuntimeMinutes = Annotated[
    PositiveInt,
    Field(
        description="time limit of a job, minutes, for a scheduler; repeated jobs that cannot resume get "
        "twice, then three times"
    ),
]

_THREADS = "threads, that is cores, of a job"
_MEMORY = "memory of a job, MB, for a scheduler; repeated jobs get twice, then three times"


def _null(description: str, without: int, per_gpu: int) -> str:
    """A description with the defaults."""
    return f"{description}; null: {without}, or {per_gpu} for each of its GPUs"


class Job(Section):
    """What one job of a stage asks for."""

    runtime_minutes: RuntimeMinutes = 240


class GpuJob(Job):
    """What one job of a stage asks for that uses a GPU where there is one.

    Attributes:
        without_gpu: threads by default.
        per_gpu: likewise, for each GPU: decoding, loading and packing keep up with it.
        memory: MB by default; twice that for each GPU, for its driver and for processes that load data.
    """

    without_gpu: ClassVar[int] = 1
    per_gpu: ClassVar[int] = 4
    memory: ClassVar[int] = 4000

    threads: PositiveInt | None = Field(None, description=_null(_THREADS, without_gpu, per_gpu))
    memory_mb: PositiveInt | None = Field(None, description=_null(_MEMORY, memory, 2 * memory))

    def threads_with(self, gpus: int) -> int:
        """Threads of a job, or of the part on one node, that has so many GPUs."""
        return self.threads or gpus * self.per_gpu or self.without_gpu

    def memory_with(self, gpus: int) -> int:
        """Memory, MB, likewise."""
        return self.memory_mb or self.memory * max(1, 2 * gpus)


class ExtractionJob(GpuJob):
    """What extracting one shard asks for."""

    max_failed_fraction: Fraction = Field(
        MAX_FAILED_FRACTION,
        description="fraction of a shard's videos; with more that cannot be read, the shard fails",
    )


class PretrainingJob(GpuJob, Running, Probing):
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

    without_gpu: ClassVar[int] = 2
    per_gpu: ClassVar[int] = 8
    memory: ClassVar[int] = 8000

    threads: PositiveInt | None = Field(None, description=_null(_THREADS, without_gpu, per_gpu))
    memory_mb: PositiveInt | None = Field(None, description=_null(_MEMORY, memory, 2 * memory))


class RenderingJob(Job):
    """What rendering the demo asks for."""

    threads: PositiveInt = Field(2, description=_THREADS)
    memory_mb: PositiveInt = Field(4000, description=_MEMORY)


class FeaturesJob(GpuJob):
    """What computing features asks for."""

    workers: Workers = Field(
        "auto",
        description="processes that decode; 0: in the computing process; auto: on a GPU one per thread but "
        "one, else 0",
    )
    batch_size: PositiveInt = Field(16, description="windows per forward pass")
    amp: Literal["auto", "off"] = Field(
        "auto", description="auto: a GPU computes in half precision, which rounds like TF32 (10 bits)"
    )


class FinetuningJob(GpuJob, Running):
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
