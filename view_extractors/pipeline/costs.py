"""Cost of one frame with an extractor, measured on this machine."""

from __future__ import annotations

import copy
import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from cocon.video import open_video
from view_extractors.base import Extractor, Pending, Resources, SharedNetwork, finished
from view_extractors.pipeline.inference import frames_at_once, network_key, on_gpu

#: seconds that the measurement of one view may take, without its first batch
_PATIENCE = 3.0
#: frames at once, so that the slowest methods do not take much longer than that
_CPU_BATCH = 4
#: frames of a sample that are used
_FRAMES = 240


@dataclass(frozen=True)
class Cost:
    """What one frame of a view costs.

    Attributes:
        view: name of the view.
        backend: its method.
        on_gpu: whether inference runs on a GPU.
        shares: the view whose pass decodes and infers for this one as well; empty: it has its own pass.
        decode: seconds on one core.
        inference: seconds on one core, or on one GPU.
        write: seconds on one core: scaling and encoding.
        bytes: that are stored.
    """

    view: str
    backend: str
    on_gpu: bool
    shares: str
    decode: float
    inference: float
    write: float
    bytes: float

    def seconds(self, cores: int, gpus: int) -> float:
        """Per frame, when jobs of one thread keep all cores busy, and on GPUs one job each."""
        if self.on_gpu:
            return max((self.decode + self.write) / cores, self.inference / gpus)
        return (self.decode + self.inference + self.write) / cores


def measure(
    extractors: Sequence[Extractor], samples: Sequence[Path], resources: Resources, batch_size: int | None
) -> list[Cost]:
    """Decode, infer and encode frames of the samples, each extractor for a few seconds.

    Raises:
        VideoError: a sample cannot be decoded.
        CoConError: a backend is not installed.
    """
    began = time.perf_counter()
    videos = [_first_frames(path) for path in samples]
    decode = (time.perf_counter() - began) / sum(map(len, videos))
    networks: dict[Any, tuple[str, SharedNetwork]] = {}
    costs = []
    for extractor in extractors:
        extractor.prepare(resources)
        gpu = on_gpu(extractor, resources)
        key = network_key(extractor)
        shares, network = networks.get(key, ("", None))
        if key and network is None:
            network = key[0](key[1], resources)
            networks[key] = (extractor.view, network)
        frames = batch_size or frames_at_once(gpu)
        spent = _spent(extractor, network, videos, frames if gpu else min(frames, _CPU_BATCH))
        costs.append(
            Cost(
                view=extractor.view,
                backend=extractor.backend,
                on_gpu=gpu,
                shares=shares,
                decode=0 if shares else decode,
                inference=spent["process"] + (0 if shares else spent["infer"]),
                write=spent["write"],
                bytes=spent["bytes"],
            )
        )
    return costs


def _first_frames(path: Path) -> list[np.ndarray]:
    with open_video(path) as video:
        return list(itertools.islice(video, _FRAMES))


def _spent(
    extractor: Extractor, network: SharedNetwork | None, videos: Sequence[list[np.ndarray]], batch_size: int
) -> dict[str, float]:
    """Seconds and bytes per frame; the first batch is done once before, because it may compile something."""
    for _ in _steps(extractor, network, [videos[0][:batch_size]], batch_size):
        pass
    total = dict.fromkeys(("frames", "infer", "process", "write", "bytes"), 0.0)
    began = time.perf_counter()
    for step in _steps(extractor, network, videos, batch_size):
        for name, value in step.items():
            total[name] += value
        if time.perf_counter() - began > _PATIENCE:
            break
    return {name: value / total["frames"] for name, value in total.items()}


def _steps(
    extractor: Extractor, network: SharedNetwork | None, videos: Sequence[list[np.ndarray]], batch_size: int
) -> Iterator[dict[str, float]]:
    """Send batches through an extractor: how many frames, the seconds of each step, and the stored bytes."""
    for frames in videos:
        pending: list[Any] = []
        extractor = copy.copy(extractor)
        extractor.start(*frames[0].shape[:2])
        if network:
            network.start()
        for first in range(0, len(frames), batch_size):
            batch = frames[first : first + batch_size]
            began = time.perf_counter()
            found: Sequence[Any] = network.infer(batch) if network else batch
            infer = time.perf_counter() - began
            yield {
                "frames": len(batch),
                "infer": infer,
                **_results(extractor, partial(_all_but_pending, partial(extractor.process, found), pending)),
            }
        # Some backends do much of their work here, on buffered frames; a GPU has done it by then.
        yield {"frames": 0, "infer": 0, **_results(extractor, partial(_at_last, extractor, pending))}


def _all_but_pending(process: Callable[[], list[Any]], pending: list[Any]) -> list[Any]:
    """The results, but for those that are pending: they are added to the others of that kind."""
    results = process()
    pending += [result for result in results if isinstance(result, Pending)]
    return [result for result in results if not isinstance(result, Pending)]


def _at_last(extractor: Extractor, pending: list[Any]) -> list[Any]:
    """The last results of a video, with those that were pending."""
    return finished(pending + extractor.finish())


def _results(extractor: Extractor, process: Callable[[], list[Any]]) -> dict[str, float]:
    """Seconds that the results and their storing take, and the stored bytes."""
    times = [time.perf_counter()]
    results = process()
    times.append(time.perf_counter())
    stored = [extractor.store(result) for result in results]
    times.append(time.perf_counter())
    # Keypoints are stored as half-precision floats.
    size = sum(len(data) if isinstance(data, bytes) else 2 * np.size(data) for data in stored)
    return {"process": times[1] - times[0], "write": times[2] - times[1], "bytes": size}
