"""Is our TV-L1 faster than OpenCV's on one core, and is its flow as good?

    python -m benchmarks.flow [--quick]

Computes the same pairs in turn with OpenCV's TV-L1 at its defaults, with ours (presets exact and fast), and
for comparison with DIS and Farneback: rendered pairs whose true flow is known and, where there are some
(COCON_SHARED_DATA, default ../shared/data), pairs of real clips; at 320 × 240 and 128 × 128 px. The figures:

- ms: CPU milliseconds per pair, median over the pairs, one thread;
- error, error_person: mean distance from the true flow, px, over the frame and over the person;
- photometric: mean absolute difference of the first picture and the second one moved back, grey levels;
- apart: mean distance from OpenCV's flow, px at the stored size (short side 150 px at most).

The last table has the demo's 160 px pairs with its parameters from config.yaml, as its shards store them. The
last line is one JSON object; ``ratio`` is OpenCV's time over that of the preset exact at 320 × 240, median
over the pairs, and ``ratio_fast`` the same for the preset fast.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from cocon.config.load import load_config
from cocon.config.schema import DemoDataset, FlowExtraction, Tvl1PresetParameters
from cocon.datasets.demo import list_videos, render, truth_path
from cocon.renderer.truth import Truth
from cocon.video import VideoError, decode
from view_extractors.base import Resources, resize, scaled_size
from view_extractors.flow.base import FlowExtractor, bytes_to_flow, flow_to_bytes, rescale_flow
from view_extractors.registry import extractor_class

SIZES = ((240, 320), (128, 128))
STORED_SIDE = 150
FOLDERS = ("ucf101", "hmdb51", "kinetics400")


@dataclass(frozen=True)
class Pair:
    """Two grey pictures; of rendered ones the flow from first to second, and where the person is."""

    first: np.ndarray
    second: np.ndarray
    flow: np.ndarray | None = None
    mask: np.ndarray | None = None

    def scaled(self, size: tuple[int, int]) -> Pair:
        """The middle of the pictures that has the proportions of ``size``, scaled to it."""
        height, width = self.first.shape
        kept = min(height, width * size[0] // size[1]), min(width, height * size[1] // size[0])
        top, left = (height - kept[0]) // 2, (width - kept[1]) // 2
        part = np.s_[top : top + kept[0], left : left + kept[1]]
        flow = mask = None
        if self.flow is not None and self.mask is not None:
            flow = rescale_flow(self.flow[part], size)
            mask = resize(self.mask[part].astype(np.float32), size) > 0.5
        return Pair(resize(self.first[part], size), resize(self.second[part], size), flow, mask)


def rendered(size: int) -> list[Pair]:
    """Three pairs from each of 20 clips of the demo, at size × size px."""
    pairs = []
    with tempfile.TemporaryDirectory() as folder:
        clips = DemoDataset(
            kind="demo",
            recipe="",
            shards=1,
            root=Path(folder) / "demo",
            train_subjects=1,
            test_subjects=1,
            takes=1,
            frames=14,
            size=size,
        )
        render(clips, processes=2)
        for video in list_videos(clips):
            grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in decode(video.path)]
            truth = Truth.load(truth_path(clips, video.id))
            for index, flow in zip(truth.flow_index, truth.flow, strict=True):
                pairs.append(
                    Pair(grey[index], grey[index + 1], flow.astype(np.float32), truth.mask[index] > 0)
                )
    return pairs


def real() -> list[Pair]:
    """One pair per real clip, from its eleventh frame on."""
    folder = Path(os.environ.get("COCON_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))
    pairs = []
    for path in sorted(path for name in FOLDERS for path in (folder / "clips" / name).rglob("*.*")):
        try:
            frames = list(itertools.islice(decode(path), 10, 12))
        except VideoError:
            continue
        if len(frames) == 2:
            pairs.append(Pair(*(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames)))
    return pairs


def method(settings: FlowExtraction) -> FlowExtractor:
    extractor = extractor_class("flow", settings.backend)(settings)
    assert isinstance(extractor, FlowExtractor)
    extractor.prepare(Resources(threads=1, device="cpu"))
    cv2.setNumThreads(1)
    warm_up = np.random.default_rng(0).integers(0, 256, (2, 40, 40)).astype(np.uint8)
    extractor.flows(warm_up)
    return extractor


def timed(extractor: FlowExtractor, pair: Pair, repeats: int) -> tuple[float, np.ndarray]:
    """CPU seconds, mean of the repeats, and the flow."""
    pictures = np.stack([pair.first, pair.second])
    began = time.process_time()
    for _ in range(repeats):
        flow = extractor.flows(pictures)[0]
    return (time.process_time() - began) / repeats, flow


def distance(flow: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.linalg.norm(flow - other, axis=-1)


def photometric(pair: Pair, flow: np.ndarray) -> float:
    height, width = pair.first.shape
    y, x = np.mgrid[:height, :width].astype(np.float32)
    back = cv2.remap(
        pair.second.astype(np.float32),
        x + flow[..., 0],
        y + flow[..., 1],
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return float(np.abs(back - pair.first).mean())


Rows = dict[str, list[dict[str, float]]]


def compare(pairs: list[Pair], methods: dict[str, FlowExtractor]) -> Rows:
    """Figures of every pair, per method; the methods take turns."""
    rows: Rows = {name: [] for name in methods}
    for pair in pairs:
        stored = scaled_size(*pair.first.shape, min(STORED_SIDE, *pair.first.shape))
        opencv = None
        for name, extractor in methods.items():
            seconds, flow = timed(extractor, pair, repeats=1 if name == "opencv" else 3)
            opencv = flow if opencv is None else opencv
            row = {"ms": 1000 * seconds, "photometric": photometric(pair, flow)}
            row["apart"] = float(distance(rescale_flow(flow, stored), rescale_flow(opencv, stored)).mean())
            if pair.flow is not None and pair.mask is not None:
                error = distance(flow, pair.flow)
                row["error"] = float(error.mean())
                if pair.mask.any():
                    row["error_person"] = float(error[pair.mask].mean())
            rows[name].append(row)
    return rows


def stored_errors(pairs: list[Pair], extractor: FlowExtractor, settings: FlowExtraction) -> dict[str, float]:
    """Errors of what a shard with these settings would hold, in px of its size."""
    figures = []
    for pair in pairs:
        assert pair.flow is not None
        assert pair.mask is not None
        stored = scaled_size(*pair.first.shape, settings.short_side)
        side = settings.compute_short_side or min(pair.first.shape)
        seconds, flow = timed(extractor, pair.scaled(scaled_size(*pair.first.shape, side)), repeats=1)
        kept = bytes_to_flow(flow_to_bytes(rescale_flow(flow, stored), settings.bound), settings.bound)
        error = distance(kept, rescale_flow(pair.flow, stored))
        person = error[resize(pair.mask.astype(np.float32), stored) > 0.5]
        row = {"ms": 1000 * seconds, "error": float(error.mean())}
        figures.append({**row, "error_person": float(person.mean())} if len(person) else row)
    return summary(figures)


def summary(rows: list[dict[str, float]]) -> dict[str, float]:
    """Means, and the median of the time: OpenCV takes ten times as long for single pairs."""
    found: dict[str, float] = {}
    for name in ("ms", "error", "error_person", "photometric", "apart"):
        values = [row[name] for row in rows if name in row]
        if values:
            found[name] = round(float(np.median(values) if name == "ms" else np.mean(values)), 4)
    return found


def ratio(rows: Rows, name: str) -> float:
    """OpenCV's time over that of a method, median over the pairs."""
    return float(np.median([o["ms"] / m["ms"] for o, m in zip(rows["opencv"], rows[name], strict=True)]))


def show(title: str, figures: dict[str, dict[str, float]]) -> None:
    print(title)
    for name, row in figures.items():
        print(f"  {name:10}", "  ".join(f"{key} {value:.4g}" for key, value in row.items()))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="fewer pairs, under 50 s")
    quick = parser.parse_args().quick
    demo = load_config(Path(__file__).parent.parent / "config.yaml").recipes["demo"].extraction.flow
    opencv = FlowExtraction(backend="tvl1_opencv", short_side=demo.short_side, bound=demo.bound)
    methods = {
        "opencv": method(opencv),
        "exact": method(FlowExtraction()),
        "fast": method(FlowExtraction(tvl1=Tvl1PresetParameters(preset="fast"))),
        "dis": method(FlowExtraction(backend="dis")),
        "farneback": method(FlowExtraction(backend="farneback")),
    }
    every_rendered, every_real = (8, 5) if quick else (1, 1)
    of_kind = {"rendered": rendered(320)[::every_rendered], "real": real()[::every_real]}
    result: dict[str, object] = {}
    for size in SIZES:
        together: Rows = {name: [] for name in methods}
        for kind, pairs in of_kind.items():
            rows = compare([pair.scaled(size) for pair in pairs], methods)
            for name in methods:
                together[name] += rows[name]
            if pairs:
                figures = {name: summary(rows[name]) for name in methods}
                show(f"{kind}, {size[1]} x {size[0]}, {len(pairs)} pairs", figures)
                result[f"{kind}_{size[1]}x{size[0]}"] = figures
        ratios = {name: round(ratio(together, name), 1) for name in ("exact", "fast")}
        print(f"  times faster than OpenCV: exact {ratios['exact']}, fast {ratios['fast']}")
        end = "" if size == SIZES[0] else f"_{size[1]}x{size[0]}"
        result |= {f"ratio{end}": ratios["exact"], f"ratio_fast{end}": ratios["fast"]}
    known = rendered(160)[::every_rendered]
    figures = {"opencv": stored_errors(known, methods["opencv"], opencv)}
    figures["demo"] = stored_errors(known, method(demo), demo)
    figures["dis"] = stored_errors(known, methods["dis"], opencv)
    show(f"the demo, 160 x 160, stored at {demo.short_side}, {len(known)} pairs", figures)
    print(json.dumps({**result, "demo": figures}))


if __name__ == "__main__":
    main()
