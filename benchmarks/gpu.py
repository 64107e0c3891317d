"""TV-L1 on a GPU: is its answer the CPU's, and how many pairs per second?

    python -m benchmarks.gpu [--minutes 6]

Needs a GPU (without one it says so and ends) and no network. Pictures are frames of a real clip
(COCON_SHARED_DATA, default ../shared/data), scaled to the size, or, where there is none, a rendered texture
that moves. For every size and preset, the most important first, until the minutes are over:

- pairs_per_s: from grey pictures in the host's memory to the stored bytes there, by the fused kernels; median
  of the calls. Each call has as many pairs as the GPU works on at once; ``small`` has as many as
  view-extractors waits for;
- torch: the same by single operations of torch, where there is time for it;
- mb_per_pair: the largest memory that was in use, per pair;
- mean, max: distance of the flow from the CPU's, px; photometric: mean difference of the first picture and
  the second one moved back, grey levels, the GPU's less the CPU's; bytes: share of the stored bytes that
  differ by more than 1;
- agrees: whether mean is below .05 px and photometric within .01.

The last line is one JSON object. The exit status is 1 where an answer is not the CPU's.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch

from cocon.config.schema import Tvl1PresetParameters
from view_extractors.base import resize, scaled_size
from view_extractors.flow.base import flow_to_bytes, rescale_flow
from view_extractors.flow.tvl1 import batched, cpu, on_gpu
from view_extractors.flow.tvl1.scheme import Scheme, scheme_of

#: (h, w), the most important first
SIZES = ((240, 320), (128, 128), (720, 1280))
PRESETS = ("exact", "fast")
CLIP = Path("clips/ucf101/SoccerJuggling/v_SoccerJuggling_g23_c01.avi")
STORED_SIDE, BOUND = 150, 20.0
#: seconds that are measured of each
SECONDS = 4.0
Pictures = list[np.ndarray]


def real(count: int) -> Pictures:
    """Grey frames of a clip, or none."""
    from cocon.video import decode

    folder = Path(os.environ.get("COCON_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))
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


def measured(pictures: Pictures, preset: str, time_left: Callable[[], float]) -> dict[str, float | bool]:
    """The row of a size and preset."""
    scheme, device = scheme_of(Tvl1PresetParameters.model_validate({"preset": preset})), torch.device("cuda")
    gpu = on_gpu.Tvl1OnGpu(scheme, device)
    pixels = pictures[0].size
    row = compared(pictures[: max(2, 1 + 700_000 // pixels)], scheme, gpu)
    torch.cuda.reset_peak_memory_stats()
    row["pairs_per_s"] = round(pairs_per_second(pictures, gpu, len(pictures), SECONDS), 1)
    row["mb_per_pair"] = round(torch.cuda.max_memory_allocated() / (len(pictures) - 1) / 1e6, 1)
    together = 1 + gpu.together(*pictures[0].shape)
    row["small"] = round(pairs_per_second(pictures, gpu, together, SECONDS / 2), 1)
    if time_left() > 60:
        torch.cuda.empty_cache()
        single = on_gpu.Tvl1OnGpu(scheme, device, batched.refine)
        half = pictures[: 1 + len(pictures) // 2]
        row["torch"] = round(pairs_per_second(half, single, len(half), SECONDS / 2), 1)
    return row


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=6, help="ends within these")
    end = time.monotonic() + 60 * parser.parse_args().minutes
    if not torch.cuda.is_available():
        print("no GPU: nothing to measure")
        return 0
    card = torch.cuda.get_device_name()
    fused = on_gpu.best_refine(torch.device("cuda")) is not batched.refine
    most = 1 + on_gpu._PIXELS // min(h * w for h, w in SIZES)
    frames = real(most) or rendered(min(most, 64))
    print(f"{card}, torch {torch.__version__}, fused kernels: {'yes' if fused else 'no'}", flush=True)
    names = ("pairs_per_s", "small", "torch", "mb_per_pair", "mean", "max", "photometric", "bytes", "agrees")
    print(f"{'':18}" + "".join(f"{name:>12}" for name in names), flush=True)
    rows: dict[str, dict[str, float | bool]] = {}
    took = 0.0
    for (height, width), preset in itertools.product(SIZES, PRESETS):
        began = time.monotonic()
        if end - began < 1.5 * took + 15:
            print("the minutes are over", flush=True)
            break
        wanted = 1 + max(1, on_gpu._PIXELS // (height * width))
        scaled = [resize(frame, (height, width)) for frame in frames[:wanted]]
        there_and_back = itertools.cycle(scaled + scaled[-2:0:-1])
        pictures = list(itertools.islice(there_and_back, wanted))
        row = measured(pictures, preset, lambda: end - time.monotonic())
        rows[f"{width}x{height} {preset}"] = row
        print(
            f"{width}x{height} {preset:8}".ljust(18) + "".join(f"{row.get(n, '')!s:>12}" for n in names),
            flush=True,
        )
        took = time.monotonic() - began
    print(json.dumps({"card": card, "fused": fused, "real": bool(real(1)), "rows": rows}))
    return 0 if all(row["agrees"] for row in rows.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
