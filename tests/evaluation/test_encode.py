from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from cocon.cli import main
from cocon.data.clips import read_windows
from cocon.data.network_input import to_network_input
from cocon.datasets.manifest import Video
from cocon.errors import DatasetError
from cocon.evaluation import encode
from cocon.evaluation.encode import encode_videos, labelled_ids
from cocon.evaluation.features import Features, read_features
from cocon.files import read_json
from cocon.shards import ShardSet
from cocon.training import network_file
from cocon.training.checkpoint import load_encoder, save_encoder


def _features(root: Path, *more: str, view: str = "mask", checkpoint: str = "mask.safetensors") -> int:
    return main(
        [
            *("features", "--manifest", str(root / "manifest.csv"), "--shards", str(root / "shards")),
            *("--view", view, "--checkpoint", str(root / checkpoint), "--output", str(root / "features.h5")),
            *("--device", "cpu", "--threads", "1", *more),
        ]
    )


def test_command_writes_the_features_of_a_slow_loop(striped: Path) -> None:
    assert _features(striped, "--batch-size", "7") == 0
    features = read_features(striped / "features.h5")
    assert (features.view, features.pretraining) == ("mask", "random")
    assert features.settings["clip"]["blocks"] == 2
    assert len(features.ids) == 23
    assert "run/test1" not in features.ids

    network, info = load_encoder(striped / "mask.safetensors")
    network.eval()
    shards = ShardSet.of_folder(striped / "shards" / "mask")
    for video in ("jump/train0", "walk/test1"):
        windows = torch.from_numpy(read_windows(shards, video, info.clip, "mask"))
        z_BNDSS = network.encode(to_network_input(windows, "mask", info.clip)).detach().numpy()
        expected = {
            "encoder": np.mean([z.mean((0, 2, 3)) for z in z_BNDSS], axis=0),
            "encoder_max": np.mean([z.max((0, 2, 3)) for z in z_BNDSS], axis=0),
            "context": network.context(torch.from_numpy(z_BNDSS)).mean((0, 2, 3)).detach().numpy(),
        }
        for name, value in expected.items():
            np.testing.assert_allclose(features.select(name, [video])[0], value, rtol=1e-4, atol=1e-6)


def test_features_serve_the_linear_probe_with_coverage(striped: Path) -> None:
    assert _features(striped) == 0
    output = striped / "linear.json"
    arguments = ["--manifest", str(striped / "manifest.csv"), "--features", str(striped / "features.h5")]
    where = ["--split", "1", "--output", str(output)]
    assert main(["evaluate", "--protocol", "linear", *arguments, *where]) == 0
    row = read_json(output)
    assert (row["n"], row["coverage"]) == (5, pytest.approx(5 / 6))
    assert row["top1"] > 0.5


def encoded(root: Path, device: str = "cpu", *, half: bool = False) -> Features:
    network, info = load_encoder(root / "mask.safetensors")
    shards = ShardSet.of_folder(root / "shards" / "mask")
    options = {"pretraining": "random", "device": torch.device(device), "half": half}
    return encode_videos(network, shards, ["jump/train0", "walk/test1"], info.clip, **options)  # type: ignore[arg-type]


def close(found: Features, wanted: Features) -> None:
    for name in ("encoder", "encoder_max", "context"):
        ours, theirs = getattr(found, name), getattr(wanted, name)
        assert ours.dtype == np.float32
        assert np.abs(ours - theirs).mean() < 0.01 * np.abs(theirs).mean()


def test_half_precision_rounds_but_only_on_a_gpu(striped: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a CPU in the GPU's place, in the other half precision."""
    wanted = encoded(striped)
    np.testing.assert_array_equal(encoded(striped, half=True).context, wanted.context)
    monkeypatch.setattr(encode, "autocast", lambda device, amp: torch.autocast("cpu", torch.bfloat16))
    found = encoded(striped)
    assert (found.context != wanted.context).any()
    close(found, wanted)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
@pytest.mark.parametrize("half", [False, True])
def test_features_of_a_gpu_are_those_of_the_cpu(striped: Path, half: bool) -> None:
    close(encoded(striped, "cuda", half=half), encoded(striped))


def test_clip_of_the_settings_replaces_that_of_the_checkpoint(striped: Path) -> None:
    clip = '{"clip": {"blocks": 3, "frames_per_block": 1, "predicted_blocks": 1, "crop": {"mask": 20}}}'
    assert _features(striped, "--settings", clip) == 0
    features = read_features(striped / "features.h5")
    assert features.settings["clip"]["blocks"] == 3
    assert features.settings["clip"]["crop"]["mask"] == 20


def test_mistakes_get_a_sentence(striped: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _features(striped, view="flow") == 2
    assert "is an encoder of the view 'mask', not of 'flow'" in capsys.readouterr().err
    assert _features(striped, checkpoint="none.safetensors") == 2
    assert "there is no checkpoint" in capsys.readouterr().err
    assert _features(striped, "--settings", '{"clips": {}}') == 2
    assert "did you mean 'clip'?" in capsys.readouterr().err
    assert not (striped / "features.h5").exists()


def test_nothing_to_encode(striped: Path) -> None:
    network, info = load_encoder(striped / "mask.safetensors")
    shards = ShardSet.of_folder(striped / "shards" / "mask")
    with pytest.raises(DatasetError, match="none of the 1 labelled videos"):
        encode_videos(
            network, shards, ["run/test1"], info.clip, pretraining="random", device=torch.device("cpu")
        )


def test_labelled_videos_of_any_split_are_encoded() -> None:
    def video(name: str, label: str, **splits: str) -> Video:
        return Video(name, Path(name), label, "", splits)

    videos = [
        video("a", "x", one="train", two=""),
        video("b", "x", one="", two="test"),
        video("c", "x", one="", two="validation"),
        video("d", "", one="train", two="train"),
    ]
    assert labelled_ids(videos) == ["a", "b"]


def test_features_that_are_not_finite_are_refused_before_anything_is_written(
    striped: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    network, info = load_encoder(striped / "mask.safetensors")
    shards = ShardSet.of_folder(striped / "shards" / "mask")
    with torch.no_grad():
        next(network.aggregator.parameters())[0] = torch.inf
    with pytest.raises(DatasetError, match=r"random features \(context\) of the view mask .* 'jump/train0'"):
        encode_videos(
            network, shards, ["jump/train0"], info.clip, pretraining="random", device=torch.device("cpu")
        )
    monkeypatch.setattr(network_file, "check_weights", lambda whose, tensors: None)
    save_encoder(striped / "mask.safetensors", network, "mask", info.clip, "random")
    monkeypatch.undo()
    assert _features(striped) == 2
    assert "mask.safetensors has weights that are not finite" in capsys.readouterr().err
    assert not (striped / "features.h5").exists()
