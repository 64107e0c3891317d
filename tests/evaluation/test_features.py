from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from cocon.datasets.manifest import Video
from cocon.errors import DatasetError
from cocon.evaluation.features import Features, check_known, read_features, write_features
from tests.damage import flips, mutants, refused


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


def same_as(features: Features) -> Callable[[Features], bool]:
    names = ("encoder", "encoder_max", "context", "windows")
    return lambda found: (
        (found.ids, found.view, found.pretraining, found.settings)
        == (features.ids, features.view, features.pretraining, features.settings)
        and all(np.array_equal(getattr(found, name), getattr(features, name)) for name in names)
    )


def test_a_flipped_bit_is_noticed_wherever_it_is(features: Features, tmp_path: Path) -> None:
    path = tmp_path / "f.h5"
    write_features(path, features)
    content = path.read_bytes()
    errors = [
        refused(path, damaged, lambda: read_features(path), same_as(features))
        for damaged in (*flips(content, 150), *mutants(content, 40))
    ]
    assert sum(error is not None for error in errors) > 180
    assert "delete it and run `cocon features` again" in str(errors[-1])
    assert any("its checksum is wrong" in str(error) for error in errors)


def test_a_file_of_an_earlier_version_has_no_checksum(features: Features, tmp_path: Path) -> None:
    write_features(tmp_path / "f.h5", features)
    (tmp_path / "old.h5").write_bytes((tmp_path / "f.h5").read_bytes()[512:])
    assert same_as(features)(read_features(tmp_path / "old.h5"))


def test_a_name_that_is_not_utf8(features: Features, tmp_path: Path) -> None:
    features = replace(features, ids=["bad\udcff", *features.ids[1:]])
    write_features(tmp_path / "f.h5", features)
    assert read_features(tmp_path / "f.h5").ids == features.ids


def test_features_that_are_not_finite_are_neither_written_nor_read(
    features: Features, tmp_path: Path
) -> None:
    path = tmp_path / "f.h5"
    write_features(path, features)
    before = path.read_bytes()
    features.context[2, 1] = np.inf
    with pytest.raises(DatasetError, match=rf"features \(context\) of the view rgb .*'{features.ids[2]}'"):
        write_features(path, features)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["f.h5"]
    with h5py.File(old := tmp_path / "old.h5", "w") as file, h5py.File(path) as whole:
        for name in whole:
            whole.copy(name, file)
        file.attrs.update(whole.attrs)
        file["context"][2, 1] = np.nan
    with pytest.raises(DatasetError, match=rf"old\.h5: the features \(context\) .*'{features.ids[2]}'"):
        read_features(old)


def _change(file: h5py.File, name: str, **dataset: object) -> None:
    del file[name]
    file.create_dataset(name, **dataset)


@pytest.mark.parametrize(
    "change",
    [
        lambda file: _change(file, "encoder", data=np.zeros((2, 4), "f4")),
        lambda file: _change(file, "encoder", data=np.zeros((9, 4), "i4")),
        lambda file: _change(file, "encoder", data=np.zeros(9, "f4")),
        lambda file: _change(file, "windows", data=np.zeros((9, 2), "i4")),
        lambda file: _change(file, "encoder", shape=(9, 2**40), dtype="f4", chunks=(1, 1024)),
        lambda file: _change(file, "encoder", data=np.zeros((9, 4), "f4"), compression="gzip"),
        lambda file: _change(file, "encoder", shape=(9, 4), dtype="f4", external=[("/etc/passwd", 0, 144)]),
        lambda file: _change(file, "ids", data=np.array([b"same"] * 9)),
        lambda file: (file.pop("encoder"), file.__setitem__("encoder", h5py.SoftLink("/context"))),
        lambda file: (file.pop("encoder"), file.__setitem__("encoder", h5py.ExternalLink("x.h5", "/a"))),
        lambda file: (file.pop("encoder"), file.create_group("encoder")),
        lambda file: file.attrs.__setitem__("settings", "[" * 100_000),
        lambda file: file.attrs.__setitem__("settings", "[]"),
        lambda file: file.attrs.__setitem__("view", [1, 2]),
        lambda file: file.attrs.pop("pretraining"),
    ],
)
def test_hostile_files(features: Features, tmp_path: Path, change: Callable[[h5py.File], object]) -> None:
    path = tmp_path / "f.h5"
    write_features(path, features)
    path.write_bytes(path.read_bytes()[512:])
    with h5py.File(path, "r+") as file:
        change(file)
    with pytest.raises(DatasetError, match=r"f\.h5 is not a file of features") as error:
        read_features(path)
    assert "\n" not in error.value.message


def test_features_of_another_table_are_refused(
    make_videos: Callable[..., list[Video]], features: Features, tmp_path: Path
) -> None:
    check_known(tmp_path / "f.h5", features, {video.id for video in make_videos(2, 1)})
    with pytest.raises(DatasetError, match=r"f\.h5 has features of 1 videos that are not in the manifest"):
        check_known(tmp_path / "f.h5", features, set(features.ids[1:]))
