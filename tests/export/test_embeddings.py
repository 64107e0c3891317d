from __future__ import annotations

import csv
import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from cocon.errors import ConfigError
from cocon.export.embeddings import Embeddings, VideoStatus, joined, write_embeddings

ODD = "caf\udce9,\n1.mp4"  # a name that is no UTF-8


@pytest.fixture
def embeddings() -> Embeddings:
    rng = np.random.default_rng(0)
    return Embeddings(
        ["a", ODD],
        np.array([0.0, 0.5]),
        np.array([1.0, 2.25]),
        {"rgb": rng.normal(size=(2, 3)).astype(np.float32), "flow": np.eye(2, dtype=np.float32)},
        {
            "a": VideoStatus("ok", ""),
            "b": VideoStatus("skipped", "is empty"),
            ODD: VideoStatus("repaired", "2 frames left out"),
        },
    )


def test_hdf5_and_npz_hold_the_same_arrays(embeddings: Embeddings, tmp_path: Path) -> None:
    for name in ("x.h5", "x.npz"):
        write_embeddings(tmp_path / name, embeddings, {"pretraining": "cocon"})
    with h5py.File(tmp_path / "x.h5") as h5, np.load(tmp_path / "x.npz") as npz:
        assert set(h5) == set(npz)
        assert h5.attrs["format"] == "cocon-embeddings"
        for name in ("start", "end", "rgb", "flow", "multi_view"):
            assert h5[name].dtype == npz[name].dtype
            assert np.array_equal(h5[name], npz[name])
        assert np.array_equal(npz["multi_view"], np.hstack([embeddings.views["rgb"], np.eye(2)]))
        assert npz["ids"].tolist() == ["a", ODD]
        assert [name.decode("utf-8", "surrogateescape") for name in h5["ids"]] == ["a", ODD]
        assert npz["video_status"].tolist() == ["ok", "skipped", "repaired"]
        assert h5["video_reason"][1] == b"is empty"
        assert json.loads(str(npz["encoder"])) == json.loads(h5["encoder"][()]) == {"pretraining": "cocon"}


def test_csv_gives_back_the_same_numbers(embeddings: Embeddings, tmp_path: Path) -> None:
    write_embeddings(tmp_path / "x.csv", embeddings, {})
    with (tmp_path / "x.csv").open(newline="", errors="surrogateescape") as file:
        rows = list(csv.DictReader(file))
    assert [(row["id"], row["status"], row["reason"]) for row in rows] == [
        ("a", "ok", ""),
        (ODD, "repaired", "2 frames left out"),
    ]
    columns = ["rgb_0", "rgb_1", "rgb_2", "flow_0", "flow_1"]
    values = np.array([[row[column] for column in columns] for row in rows], np.float32)
    assert np.array_equal(values, embeddings.multi_view)
    assert float(rows[1]["end"]) == 2.25


def test_one_view_has_no_multi_view_array(embeddings: Embeddings, tmp_path: Path) -> None:
    del embeddings.views["flow"]
    write_embeddings(tmp_path / "x.npz", embeddings, {})
    assert "multi_view" not in np.load(tmp_path / "x.npz")


def test_joined_keeps_the_order(embeddings: Embeddings) -> None:
    other = Embeddings(
        ["c"],
        np.zeros(1),
        np.ones(1),
        {"rgb": np.ones((1, 3), np.float32), "flow": np.ones((1, 2), np.float32)},
        {"c": VideoStatus("ok", "")},
    )
    both = joined([embeddings, other])
    assert both.ids == ["a", ODD, "c"]
    assert both.multi_view.shape == (3, 5)
    assert both.skipped == {"b": "is empty"}


def test_an_unknown_format_is_refused(embeddings: Embeddings, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="suffix is not a known format"):
        write_embeddings(tmp_path / "x.parquet", embeddings, {})
