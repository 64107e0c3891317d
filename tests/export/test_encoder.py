from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import cocon
from cocon.cli import main
from cocon.errors import CheckpointError, ConfigError
from cocon.evaluation.features import ARRAYS, read_features
from cocon.export.encoder import Encoder, load_encoder
from cocon.export.write import ExportJob, export
from cocon.files import read_json, write_json
from cocon.shards import ShardSet

FPS = 8


def videos(data: Path, *names: str) -> dict[str, Path]:
    return {name: data / "videos" / f"{name}.mp4" for name in names}


def normalised(x_ND: np.ndarray) -> np.ndarray:
    return x_ND / np.linalg.norm(x_ND, axis=1, keepdims=True)


@pytest.mark.parametrize("pooling", ARRAYS)
def test_embeddings_of_videos_are_the_features_that_the_evaluation_computes(
    data: Path, checkpoints: Path, tmp_path: Path, pooling
) -> None:
    paths = [checkpoints / f"{view}.safetensors" for view in ("rgb", "flow")]
    export(ExportJob(paths, tmp_path / "encoder", pooling=pooling))
    encoder = cocon.load_encoder(tmp_path / "encoder", "cpu")
    embeddings = encoder.embed(videos(data, "walk/b", "walk/a", "broken", "short"), threads=1)

    assert embeddings.ids == ["walk/b", "walk/a", "short"]
    assert list(embeddings.skipped) == ["broken"]
    assert "cannot be opened as a video" in embeddings.skipped["broken"]
    assert embeddings.videos["walk/a"] == ("ok", "")
    for view, path in zip(("rgb", "flow"), paths, strict=True):
        arguments = ["--manifest", data / "manifest.csv", "--shards", data / "shards", "--view", view]
        arguments += ["--checkpoint", path, "--output", tmp_path / f"{view}.h5", "--device", "cpu"]
        assert main(["features", *map(str, arguments)]) == 0
        expected = read_features(tmp_path / f"{view}.h5").select(pooling, embeddings.ids)
        np.testing.assert_allclose(embeddings.views[view], normalised(expected), rtol=1e-5, atol=1e-6)
    assert embeddings.multi_view.shape == (3, 16)
    assert np.array_equal(embeddings.multi_view[:, :8], embeddings.views["rgb"])


def test_neither_chunks_nor_batches_nor_the_choice_of_views_change_an_embedding(
    data: Path, encoder: Encoder
) -> None:
    names = ("short", "walk/a")
    whole = encoder.embed(videos(data, *names), threads=1)
    parts = encoder.embed(videos(data, *names), threads=1, videos_at_once=1, batch_size=2, views=["flow"])
    assert (parts.ids, list(parts.views), list(parts.videos)) == (whole.ids, ["flow"], list(names))
    np.testing.assert_allclose(parts.views["flow"], whole.views["flow"], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(whole.views["rgb"], axis=1), 1, rtol=1e-6)


def test_windows_keep_their_times(data: Path, encoder: Encoder) -> None:
    shards = {view: ShardSet.of_folder(data / "shards" / view) for view in encoder.views}
    windows = encoder.encode(shards, ["walk/b", "broken", "walk/a"], per_window=True)
    # 13 and 9 frames at 8 per second, windows of 4 frames every 2, the last one flush with the end
    starts = np.array([0, 2, 4, 6, 8, 9, 0, 2, 4, 5]) / FPS
    assert windows.ids == ["walk/b"] * 6 + ["walk/a"] * 4
    np.testing.assert_allclose(windows.start, starts)
    np.testing.assert_allclose(windows.end, starts + 4 / FPS)
    assert windows.views["rgb"].shape == (10, 8)

    means = encoder.encode(shards, ["short", "walk/b"])
    # of three frames, the slow stride of short videos reaches the second
    assert (means.start.tolist(), means.end.tolist()) == ([0, 0], [2 / FPS, 13 / FPS])
    # the mean of lengths 1 is not the normalised mean of the features, but near it
    assert means.views["rgb"][1] @ normalised(windows.views["rgb"][:6].mean(0)[None])[0] > 0.999


def test_loading_draws_no_random_numbers(exported: Path) -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    load_encoder(exported, "cpu")
    assert torch.equal(before, torch.get_rng_state())


def test_only_videos_that_are_named_once(data: Path, encoder: Encoder) -> None:
    with pytest.raises(ConfigError, match="given twice"):
        encoder.embed(["a.mp4", "a.mp4"])
    with pytest.raises(ConfigError, match="no video"):
        encoder.embed([])
    with pytest.raises(ConfigError, match="one video, not several"):
        encoder.embed("a.mp4")
    with pytest.raises(ConfigError, match="no view 'pose'") as caught:
        encoder.embed(["a.mp4"], views=["pose"])
    assert caught.value.hint == "it has rgb, flow"


def test_a_changed_file_is_refused(exported: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(exported, tmp_path / "copy"))
    weights = bytearray((copy / "flow.safetensors").read_bytes())
    weights[-1] ^= 1
    (copy / "flow.safetensors").write_bytes(weights)
    with pytest.raises(CheckpointError, match=r"flow\.safetensors is not the file that was exported"):
        load_encoder(copy)
    (copy / "flow.safetensors").unlink()
    with pytest.raises(CheckpointError, match="is missing"):
        load_encoder(copy)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 2}, "has version 2 of the format"),
        ({"format": "x"}, "is not the configuration of an exported encoder"),
        ({"clips": 1}, "has settings that this version does not support"),
        ({"views.rgb.normalisation.mean": [0, 0, 0]}, "has a view 'rgb' that is unknown or different"),
        ({"views.rgb.network.width": 8}, "does not match the network of rgb"),
        ({"views.rgb.file": "../rgb.safetensors"}, "the file of 'rgb' is not in this folder"),
        ({"embedding": "context"}, r"in config\.json: different embedding"),
        ({"clip.stride": 2}, r"in config\.json: different clip\.stride"),
    ],
)
def test_a_configuration_that_is_not_understood(exported: Path, tmp_path: Path, change, message) -> None:
    copy = Path(shutil.copytree(exported, tmp_path / "copy"))
    document = read_json(copy / "config.json")
    for key, value in change.items():
        *path, last = key.split(".")
        section = document
        for name in path:
            section = section[name]
        section[last] = value
    write_json(copy / "config.json", document)
    with pytest.raises(CheckpointError, match=message):
        load_encoder(copy)
    with pytest.raises(CheckpointError, match="is not an exported encoder"):
        load_encoder(tmp_path)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"weights": "x.tflite"}, r"extracts rgb differently.*\n    weights: x.tflite -> \(none\)"),
        (
            {"short_side": 30},
            r"does not match the network of rgb in config\.json: different extraction\.short_side",
        ),
    ],
)
def test_views_that_cannot_be_extracted_as_in_training(
    data: Path, exported: Path, tmp_path: Path, parameters, message
) -> None:
    copy = Path(shutil.copytree(exported, tmp_path / "copy"))
    document = read_json(copy / "config.json")
    document["views"]["rgb"]["extraction"] |= parameters
    write_json(copy / "config.json", document)
    with pytest.raises(CheckpointError, match=message):
        load_encoder(copy, "cpu").embed(videos(data, "short"), views=["rgb"], threads=1)


def test_an_interpreter_that_is_not_there(data: Path, encoder: Encoder) -> None:
    with pytest.raises(cocon.errors.ShardError, match="none/python cannot be started"):
        encoder.embed(videos(data, "short"), views=["flow"], interpreters={"farneback": Path("none/python")})
