"""TV-L1: is the GPU's answer the CPU's, and how many pairs per second?

Pictures are frames of a real clip (COCON_SHARED_DATA, default ../shared/data), scaled to the size, or, where
there is none, a rendered texture that moves. A row per size and preset:

- rate: pairs/s from grey pictures in the host's memory to the stored bytes there, by the fused kernels;
  median of the calls. Each call has as many pairs as the GPU works on at once; ``of_30`` and ``of_120``
  are the rates with batches of so many pairs, from which a longer one gains;
- share: bytes that the iterations move, if no pair leaves a level early, of the copy bandwidth;
- torch: the same rate by single operations of torch, where there is time for it;
- mb_per_pair: the largest memory that was in use, per pair;
- mean, max: distance of the flow from the CPU's, px; photometric: mean difference of the first picture and
  the second one moved back, grey levels, the GPU's less the CPU's; bytes: share of the stored bytes that
  differ by more than 1;
- agrees: whether mean is below .05 px and photometric within .01.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch

from benchmarks.on_gpu.rows import Measurement, Row, Task, forget_peak, peak_mb
from cocon.config.schema import Tvl1PresetParameters
from view_extractors.base import resize, scaled_size
from view_extractors.flow.base import flow_to_bytes, rescale_flow
from view_extractors.flow.tvl1 import batched, cpu, on_gpu
from view_extractors.flow.tvl1.scheme import Scheme, scheme_of

#: (h, w), the most important first
SIZES = ((240, 320), (128, 128), (720, 1280))
QUICK_SIZES = ((48, 64), (32, 32), (40, 40))
PRESETS = ("exact", "fast")
CLIP = Path("clips/ucf101/SoccerJuggling/v_SoccerJuggling_g23_c01.avi")
STORED_SIDE, BOUND = 150, 20.0
#: seconds that are measured of each
SECONDS = 3.0
#: pairs of the smaller batches
SMALLER = (30, 120)
#: bytes that a pixel moves in an iteration: four per launch, see docs/flow.md
TRAFFIC = 12
Pictures = list[np.ndarray]


def real(count: int) -> Pictures:
    """Grey frames of a clip, or none."""
    from cocon.video import decode

    folder = Path(os.environ.get("COCON_SHARED_DATA", Path(__file__).parents[3] / "shared" / "data"))
    if not (folder / CLIP).is_file():
        return []
    return [cv2.cvtColor(f, cv2.COLOR_RGB2GRAY) for f in itertools.islice(decode(folder / CLIP), count)]


def rendered(count: int) -> Pictures:
    """A texture that is bent and moved, by up to 3 px per frame."""
    noise = np.random.default_rng(0).normal(size=(240, 320)).astype(np.float32)
    texture = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 2), None, 10, 245, cv2.NORM_MINMAX)
    y, x = np.mgrid[:240, :320].astype(np.float32)
    moved = ((x + i * (2 + np.sin(y / 17)), y + i * np.cos(x / 23)) for i in range(count))
    pictures = (cv2.remap(texture, *to, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT) for to in moved)
    return [np.clip(picture, 0, 255).astype(np.uint8) for picture in pictures]


def photometric(pictures: Pictures, flows: np.ndarray) -> float:
    height, width = pictures[0].shape
    y, x = np.mgrid[:height, :width].astype(np.float32)
    errors = []
    for first, second, flow in zip(pictures, pictures[1:], flows, strict=False):
        to = (x + flow[..., 0], y + flow[..., 1])
        back = cv2.remap(second.astype(np.float32), *to, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        errors.append(np.abs(back - first).mean())
    return float(np.mean(errors))


def compared(pictures: Pictures, scheme: Scheme, gpu: on_gpu.Tvl1OnGpu) -> dict[str, float | bool]:
    """The GPU's result against the CPU's."""
    ours = np.stack(list(cpu.flows(np.stack(pictures), scheme)))
    found = gpu.flows(pictures)
    distance = np.linalg.norm(found - ours, axis=-1)
    lost = photometric(pictures, found) - photometric(pictures, ours)
    stored = stored_size(pictures)
    wanted = np.stack([flow_to_bytes(rescale_flow(flow, stored), BOUND) for flow in ours]).astype(int)
    return {
        "mean": round(float(distance.mean()), 5),
        "max": round(float(distance.max()), 3),
        "photometric": round(lost, 5),
        "bytes": round(float((np.abs(gpu.stored(pictures, stored, BOUND) - wanted) > 1).mean()), 5),
        "agrees": bool(distance.mean() < 0.05 and abs(lost) < 0.01),
    }


def stored_size(pictures: Pictures) -> tuple[int, int]:
    return scaled_size(*pictures[0].shape, min(STORED_SIDE, *pictures[0].shape))


def pairs_per_second(pictures: Pictures, gpu: on_gpu.Tvl1OnGpu, batch: int, seconds: float) -> float:
    """Median over calls with ``batch`` pictures each, without the first, in which kernels compile."""
    starts = range(0, max(1, len(pictures) - batch + 1), max(1, batch - 1))
    rates: list[float] = []
    end = time.perf_counter() + seconds
    for start in itertools.cycle(starts):
        part = pictures[start : start + batch]
        began = time.perf_counter()
        gpu.stored(part, stored_size(part), BOUND)
        rates.append((len(part) - 1) / (time.perf_counter() - began))
        if len(rates) > 2 and time.perf_counter() > end:
            return float(np.median(rates[1:]))
    raise AssertionError


def pixel_iterations(scheme: Scheme, height: int, width: int) -> int:
    """Of a pair, at most: some leave a level early."""
    return sum(
        h * w * scheme.warps_at(level) * scheme.iterations_at(level)
        for level, (h, w) in enumerate(scheme.sizes(height, width))
    )


def measurements(task: Task) -> Iterator[Measurement]:
    device = task.place
    fused = on_gpu.best_refine(device) is not batched.refine
    sizes = QUICK_SIZES if task.quick else SIZES
    pixels = 4 * 48 * 64 if task.quick else on_gpu._PIXELS
    most = 1 + pixels // min(h * w for h, w in sizes)
    frames = real(most) or rendered(min(most, 64))
    for (height, width), preset in itertools.product(sizes, PRESETS):
        wanted = 1 + max(1, pixels // (height * width))
        name = f"tvl1 {width}x{height} {preset}"
        yield Measurement(name, 20, partial(row, task, frames, (height, width), wanted, preset, fused))


def row(task: Task, frames: Pictures, size: tuple[int, int], wanted: int, preset: str, fused: bool) -> Row:
    """The row of a size and preset, with so many pictures."""
    scaled = [resize(frame, size) for frame in frames[:wanted]]
    there_and_back = itertools.cycle(scaled + scaled[-2:0:-1])
    pictures = list(itertools.islice(there_and_back, wanted))
    scheme, device = scheme_of(Tvl1PresetParameters.model_validate({"preset": preset})), task.place
    gpu = on_gpu.Tvl1OnGpu(scheme, device)
    checked = compared(
        pictures[: max(2, 1 + (7_000 if task.quick else 700_000) // pictures[0].size)], scheme, gpu
    )
    forget_peak(device)
    seconds = task.seconds(SECONDS)
    rate = pairs_per_second(pictures, gpu, len(pictures), seconds)
    memory = peak_mb(device)
    found: Row = {
        "rate": round(rate, 1),
        "unit": "pairs/s",
        "share": task.share(rate * TRAFFIC * pixel_iterations(scheme, *size), "copy") if fused else None,
        "memory_mb": memory,
        **checked,
        "fused": fused,
    }
    if memory is not None:
        found["mb_per_pair"] = round(memory / (len(pictures) - 1), 1)
    for pairs in SMALLER:
        if pairs < len(pictures) - 1:
            found[f"of_{pairs}"] = round(pairs_per_second(pictures, gpu, 1 + pairs, seconds / 3), 1)
    if fused and size == SIZES[0] and task.left() > 60:
        if device.type == "cuda":
            torch.cuda.empty_cache()
        single = on_gpu.Tvl1OnGpu(scheme, device, batched.refine)
        half = pictures[: 1 + len(pictures) // 2]
        found["torch"] = round(pairs_per_second(half, single, len(half), seconds / 2), 1)
    return found
