"""The resources that jobs request from a machine or a cluster."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cocon.backends import backend_named
from cocon.config.schema import Config
from cocon.config.schema.jobs import GpuJob
from cocon.workflow.documents.extraction import backend_of


@dataclass(frozen=True)
class Gpus:
    """The GPUs that jobs may have.

    Attributes:
        config: the configuration.
        here: GPUs of this machine.
        cluster: whether jobs go to a cluster, which may be known later.
    """

    config: Config
    here: int
    cluster: Callable[[], bool]

    def of_job(self, count: int = 1) -> int:
        """The requested GPUs if jobs may have any, of this machine or of a cluster (its login node has
        none)."""
        device = self.config.device
        if device == "cpu":
            return 0
        return count if self.cluster() or device == "cuda" or self.here else 0

    def of_extraction(self, dataset: str, view: str = "pose") -> int:
        """The GPUs of a job that extracts a view; without one, of the pass that gives mask and pose."""
        backend = backend_named(view, backend_of(self.config.recipe_of(dataset), view))
        return self.of_job() if backend.may_use_gpu(self.config.device) else 0

    def threads(self, job: GpuJob, count: int = 1) -> int:
        """Threads of a job of this stage that has so many GPUs, if it may have any."""
        return job.threads_with(self.of_job(count))

    def memory_mb(self, job: GpuJob, count: int = 1) -> int:
        """Memory of such a job."""
        return job.memory_with(self.of_job(count))

    def threads_of_extraction(self, dataset: str, view: str = "pose") -> int:
        """Threads of a job that extracts a view, or mask and pose in one pass."""
        return self.config.jobs.extract.threads_with(self.of_extraction(dataset, view))

    def memory_mb_of_extraction(self, dataset: str, view: str = "pose") -> int:
        """Memory of such a job."""
        return self.config.jobs.extract.memory_with(self.of_extraction(dataset, view))

    def slurm_options(self, nodes: int, per_node: int) -> str:
        """For sbatch: the signal on which a training saves its state, 5 minutes before the end; its GPUs.

        Args:
            nodes: of the training.
            per_node: GPUs on each of them.
        """
        spread = f" --gpus-per-node={per_node}" if nodes > 1 and self.of_job() else ""
        return f"--signal=USR1@300{spread}"
