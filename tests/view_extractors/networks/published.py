"""Published TensorFlow Lite networks for tests, and LiteRT to compare with."""

from __future__ import annotations

import itertools
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from cocon import assets
from cocon.errors import AssetError


def fetched(name: str) -> Path:
    """The file of an asset; without a network the test is skipped."""
    try:
        return assets.fetch(name)
    except AssetError as error:
        pytest.skip(f"no weights: {error}")


def with_litert(path: Path, x_BHWC: np.ndarray) -> list[np.ndarray]:
    """The outputs of the file for each input of a batch, one after the other."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path), num_threads=1)
    index = interpreter.get_input_details()[0]["index"]
    interpreter.resize_tensor_input(index, [1, *x_BHWC.shape[1:]])
    interpreter.allocate_tensors()
    rows = []
    for x_HWC in x_BHWC:
        interpreter.set_tensor(index, x_HWC[None])
        interpreter.invoke()
        rows.append([interpreter.get_tensor(o["index"]) for o in interpreter.get_output_details()])
    return [np.concatenate(column) for column in zip(*rows, strict=True)]


def real_frames(shared_data: Path, count: int, height: int, width: int) -> np.ndarray:
    """``uint8`` (count, height, width, 3) from the beginning of a clip with two persons."""
    clip = min((shared_data / "sets" / "ut_interaction").rglob("*.avi"))
    with av.open(str(clip), metadata_errors="replace") as container:
        first = itertools.islice(container.decode(video=0), count)
        frames = [frame.to_ndarray(format="rgb24") for frame in first]
    return np.stack([cv2.resize(f, (width, height), interpolation=cv2.INTER_AREA) for f in frames])
