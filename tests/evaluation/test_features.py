from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from cocon.datasets.manifest import Video
from cocon.errors import DatasetError
from cocon.evaluation.features import Features, read_features, write_features


@pytest.fixture
def features(make_videos: Callable[..., list[Video]], make_features: Callable[..., Features]) -> Features:
    return make_features(make_videos(2, 1), np.eye(3, 4), 0.1)


@pytest.mark.parametrize("name", ["läuft/v_1", "bad\udcff"])
def test_round_trip_with_a_name_outside_ascii(features: Features, tmp_path: Path, name: str) -> None:
    features = replace(features, ids=[name, *features.ids[1:]])
    write_features(tmp_path / "f.h5", features)
    read = read_features(tmp_path / "f.h5")
    assert read.ids == features.ids
    assert (read.view, read.pretraining, read.settings) == ("rgb", "cocon", {"clip": {}})
    for name in ("encoder", "encoder_max", "context", "windows"):
        np.testing.assert_array_equal(getattr(read, name), getattr(features, name))
    with h5py.File(tmp_path / "f.h5") as file:
        assert file["ids"].dtype.kind == "S"
        assert file["encoder"].dtype == np.float32


def test_select_follows_the_ids(features: Features) -> None:
    chosen = features.select("context", [features.ids[4], features.ids[1]])
    np.testing.assert_array_equal(chosen, features.context[[4, 1]])


def test_features_that_diverged_are_refused(features: Features) -> None:
    features.encoder[3, 1] = np.nan
    assert features.select("encoder", features.ids[:3]).shape == (3, 4)
    with pytest.raises(DatasetError, match="not finite"):
        features.select("encoder", features.ids)


def test_missing_or_foreign_file(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no file of features"):
        read_features(tmp_path / "none.h5")
    (tmp_path / "text.h5").write_text("text")
    with pytest.raises(DatasetError, match="not a file of features"):
        read_features(tmp_path / "text.h5")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["frames"] = [1]
    with pytest.raises(DatasetError, match="not a file of features"):
        read_features(tmp_path / "other.h5")
