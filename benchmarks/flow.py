"""What do the demo's few TV-L1 iterations cost in accuracy, and save in time?

    python -m benchmarks.flow [--quick]

Renders some clips of the embedded demo, whose true flow is known, and computes the flow of the same pairs
with OpenCV's TV-L1 at its default parameters, with the demo's parameters from config.yaml, and with DIS.
Errors are mean end-point errors in px of the stored size, over the frame and over the person. The last line
is one JSON object; ``ratio`` is the time of the defaults over the time of the demo's parameters.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np

from cocon.config.schema import DemoDataset, FlowExtraction
from cocon.config.settings import load_config
from cocon.datasets.demo import list_videos, render, truth_path
from cocon.datasets.demo.truth import Truth
from view_extractors.base import resize, scaled_size
from view_extractors.flow.base import FlowExtractor, bytes_to_flow, flow_to_bytes, rescale_flow
from view_extractors.flow.tvl1_opencv import Tvl1OpenCv
from view_extractors.video import decode

Method = Callable[[np.ndarray, np.ndarray], np.ndarray]


def pairs(clips: DemoDataset) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
    """Neighbouring grey frames whose true flow (H, W, 2) is known, and the person's mask."""
    for video in list_videos(clips):
        frames = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in decode(video.path)]
        truth = Truth.load(truth_path(clips, video.id))
        for index, flow in zip(truth.flow_index, truth.flow, strict=True):
            yield frames[index], frames[index + 1], flow, truth.mask[index]


def measure(method: Method, side: int, settings: FlowExtraction, known: list) -> dict[str, float]:
    """CPU milliseconds per pair, and errors of what would be stored."""
    seconds, everywhere, person = 0.0, [], []
    for first, second, true_flow, mask in known:
        size = scaled_size(*first.shape, side) if side else first.shape
        inputs = [resize(frame, size) for frame in (first, second)]
        began = time.process_time()
        flow = method(*inputs)
        seconds += time.process_time() - began
        stored = scaled_size(*first.shape, settings.short_side)
        kept = bytes_to_flow(flow_to_bytes(rescale_flow(flow, stored), settings.bound), settings.bound)
        error = np.linalg.norm(kept - rescale_flow(true_flow.astype(np.float32), stored), axis=-1)
        everywhere.append(error.mean())
        person.append(error[resize(mask.astype(np.float32), stored) > 0.5].mean())
    return {
        "ms_per_pair": round(1000 * seconds / len(known), 2),
        "error": round(float(np.mean(everywhere)), 4),
        "error_person": round(float(np.nanmean(person)), 4),
    }


def of_pair(extractor: FlowExtractor) -> Method:
    return lambda first, second: extractor.flows(np.stack([first, second]))[0]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="fewer clips")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    config = load_config(Path(__file__).parent.parent / "config.yaml")
    demo = config.recipes["demo"].extraction.flow
    default = FlowExtraction(short_side=demo.short_side, bound=demo.bound)
    people = 1 if arguments.quick else 4
    with tempfile.TemporaryDirectory() as folder:
        clips = DemoDataset(
            kind="demo",
            recipe="",
            shards=1,
            root=Path(folder) / "demo",
            train_subjects=people,
            test_subjects=1,
            takes=1,
            frames=14,
        )
        render(clips, processes=2)
        known = list(pairs(clips))
    dis = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    figures = {
        "zero": measure(lambda a, _: np.zeros((*a.shape, 2), np.float32), 0, default, known),
        "default": measure(of_pair(Tvl1OpenCv(default)), 0, default, known),
        "demo": measure(of_pair(Tvl1OpenCv(demo)), demo.compute_short_side, demo, known),
        "dis": measure(lambda a, b: dis.calc(a, b, None), 0, default, known),
    }
    for name, row in figures.items():
        print(f"{name:8} {row}")
    ratio = figures["default"]["ms_per_pair"] / figures["demo"]["ms_per_pair"]
    print(json.dumps({"ratio": round(ratio, 2), "pairs": len(known), **figures}))


if __name__ == "__main__":
    main()
