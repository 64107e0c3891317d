"""Sets up the device, threads and process group of a run, from torchrun's environment variables."""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed

from cocon.errors import CoConError, ConfigError
from cocon.machine.process_group import LISTENER, LOST
from cocon.transfer import Late

ResultT = TypeVar("ResultT")
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # of glibc's malloc.h


class LostContactError(CoConError):
    """Another process of the run does not respond, so this one cannot continue."""

    exit_code = LOST


class Vote:
    """The result of an all-reduce over boolean flags, possibly still on its way.

    Args:
        answers: the values, or a pending transfer of them.
    """

    def __init__(self, answers: Sequence[bool] | Late) -> None:
        self._answers = answers

    @property
    def known(self) -> bool:
        """Whether :meth:`read` returns without waiting."""
        return not isinstance(self._answers, Late)

    def read(self) -> list[bool]:
        """Wait for the answers and return them."""
        answers = self._answers.read() if isinstance(self._answers, Late) else self._answers
        return [bool(answer) for answer in answers]


@dataclass(frozen=True)
class World:
    """This process within a distributed run.

    Attributes:
        device: the device of its networks.
        rank: its rank.
        size: the number of processes.
    """

    device: torch.device
    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this is the process that writes files and prints."""
        return self.rank == 0

    def vote(self, *flags: bool) -> Vote:
        """Find for each flag whether any process sets it; all processes get the same answer."""
        if self.size == 1:
            return Vote(flags)
        votes = torch.stack([torch.full((), float(flag), device=self.device) for flag in flags])
        distributed.all_reduce(votes, distributed.ReduceOp.MAX)
        return Vote(Late(votes))

    def sum_(self, values: Tensor) -> Tensor:
        """Sum a tensor over all processes, in place."""
        if self.size > 1:
            distributed.all_reduce(values)
        return values

    def share(self, tensors: Iterable[Tensor]) -> None:
        """Give all processes the values that the leading one has, in place."""
        if self.size > 1:
            for tensor in tensors:
                distributed.broadcast(tensor, 0)

    def mean(self, values: dict[str, float]) -> dict[str, float]:
        """The mean of each value over all processes, which must have the same keys."""
        if self.size == 1:
            return values
        total = self.sum_(torch.tensor(list(values.values()), dtype=torch.float64, device=self.device))
        return dict(zip(values, (total / self.size).tolist(), strict=True))

    def gather(self, value: Any) -> list[Any]:
        """The value of every process, by rank; anything that can be pickled."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        distributed.all_gather_object(values, value)
        return values

    def of_leader(self, work: Callable[[], ResultT]) -> ResultT:
        """Run ``work`` in the leading process only; all processes get the result.

        Raises:
            CoConError: in all processes, when the leading one raises it.
        """
        result: ResultT | CoConError | None = None
        if self.leads:
            try:
                result = work()
            except CoConError as error:
                result = error
        shared: ResultT | CoConError = self.gather(result)[0]
        if isinstance(shared, CoConError):
            raise shared
        return shared

    def wait(self) -> None:
        """Wait until all processes reach this point (a barrier)."""
        if self.size > 1:
            distributed.barrier()


def resolve_device(name: str, local_rank: int = 0) -> torch.device:
    """Resolve a device name; ``auto`` means a GPU if there is one.

    Raises:
        ConfigError: when ``cuda`` is requested but not available.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda":
        if not torch.cuda.is_available():
            raise ConfigError("there is no CUDA device", "use --device cpu, or auto")
        return torch.device("cuda", local_rank % torch.cuda.device_count())
    return torch.device(name)


def autocast(device: torch.device, amp: str) -> torch.autocast:
    """Mixed precision: off, bf16 or fp16."""
    precision = {"off": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[amp]
    return torch.autocast(device.type, precision, enabled=amp != "off")


def keep_freed_memory() -> None:
    """Make malloc reuse large blocks instead of returning them to the system after every use.

    A training step frees and takes hundreds of megabytes, and each time the kernel clears the pages again.
    On a CPU this cost nearly half of the time of a step (measured: 0.75 s against 0.42 s).
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):  # another C library than glibc
            libc = ctypes.CDLL(None)
            libc.mallopt(_M_MMAP_MAX, 0)
            libc.mallopt(_M_TRIM_THRESHOLD, -1)


@contextlib.contextmanager
def world(device: str = "auto", threads: int | None = None) -> Iterator[World]:
    """Set up device, threads and, where ``WORLD_SIZE`` is more than 1, the process group.

    Args:
        device: ``auto``, ``cpu`` or ``cuda``.
        threads: threads of this process; None leaves torch's choice.

    Raises:
        LostContactError: another process of the group does not answer.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    keep_freed_memory()
    torch.set_flush_denormal(True)  # numbers below 1e-38 are zero: a CPU computes with them far slower
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield World(resolve_device(device))
        return
    chosen = resolve_device(device, int(os.environ.get("LOCAL_RANK", "0")))
    if chosen.type == "cuda":
        torch.cuda.set_device(chosen)
    try:
        _meet("nccl" if chosen.type == "cuda" else "gloo", size)
        yield World(chosen, distributed.get_rank(), size)
    except RuntimeError as error:
        if not _lost_contact(error):
            raise
        reason = re.sub(r"^\[\S+\] ", "", str(error).partition("\n")[0])
        raise LostContactError(
            f"another process of this run does not respond ({reason.partition('. ')[0]})",
            "it may have ended, see its message; with several nodes, check the network between them",
        ) from error
    finally:
        if distributed.is_initialized():
            distributed.destroy_process_group()


def _meet(backend: str, size: int) -> None:
    """Wait for the other processes; ``cocon launch`` has opened the socket for that already."""
    listener = os.environ.get(LISTENER)
    if listener is None:
        distributed.init_process_group(backend)
        return
    rank = int(os.environ["RANK"])
    store = distributed.TCPStore(
        os.environ["MASTER_ADDR"],
        int(os.environ["MASTER_PORT"]),
        size,
        is_master=rank == 0,
        master_listen_fd=int(listener) if rank == 0 else None,
    )
    distributed.init_process_group(backend, store=store, rank=rank, world_size=size)


def _lost_contact(error: RuntimeError) -> bool:
    """Whether an error is one of communication; gloo's have no class of their own."""
    return isinstance(error, distributed.DistError) or "gloo" in str(error)
