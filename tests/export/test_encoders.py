"""Every encoder from a checkpoint through an export to embeddings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cocon.cli import main
from cocon.config.schema import Network
from cocon.encoders import ENCODERS
from cocon.errors import CheckpointError
from cocon.evaluation.features import read_features
from cocon.export.config import read_config
from cocon.export.encoder import load_encoder
from cocon.export.write import ExportJob, export
from cocon.files import read_json, write_json

OTHERS = [name for name in ENCODERS if name != "resnet2d3d"]


@pytest.mark.parametrize("name", OTHERS)
def test_embeddings_are_the_features_that_the_evaluation_computes(
    data: Path, checkpoint: Callable[..., Path], tmp_path: Path, name: str
) -> None:
    network = Network(encoder=name, width=4, features=8)
    path = checkpoint(tmp_path / "rgb.safetensors", "rgb", network=network)
    flow = checkpoint(tmp_path / "flow.safetensors", "flow")
    export(ExportJob([path, flow], tmp_path / "encoder"))
    stored = read_json(tmp_path / "encoder" / "config.json")["views"]["rgb"]["network"]
    assert stored == {"encoder": name, "width": 4, "features": 8, "dropout": 0.1, "views": {}}
    assert read_config(tmp_path / "encoder").views["rgb"].network == network
    card = (tmp_path / "encoder" / "README.md").read_text()
    assert f"| rgb | {ENCODERS[name].title}, 4 | 8 |" in card
    assert "| flow | 2D3D-ResNet 1-1-1-1, 4 | 8 |" in card
    assert f"Encoders: {ENCODERS[name].title} ({ENCODERS[name].source}); 2D3D-ResNet (Han et al." in card

    embeddings = load_encoder(tmp_path / "encoder", "cpu").embed(
        {"walk/a": data / "videos" / "walk" / "a.mp4"}, views=["rgb"], threads=1
    )
    arguments = ["--manifest", data / "manifest.csv", "--shards", data / "shards", "--view", "rgb"]
    arguments += ["--checkpoint", path, "--output", tmp_path / "rgb.h5", "--device", "cpu"]
    assert main(["features", *map(str, arguments)]) == 0
    expected = read_features(tmp_path / "rgb.h5").select("encoder", ["walk/a"])
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(embeddings.views["rgb"], expected, rtol=1e-5, atol=1e-6)


def test_another_encoder_in_the_configuration(checkpoint: Callable[..., Path], tmp_path: Path) -> None:
    path = checkpoint(
        tmp_path / "rgb.safetensors", "rgb", network=Network(encoder="s3d", width=4, features=8)
    )
    export(ExportJob([path], tmp_path / "encoder"))
    config = tmp_path / "encoder" / "config.json"
    document = read_json(config)

    def fail(message: str, **network: object) -> None:
        document["views"]["rgb"]["network"] = {"features": 8, **network}
        write_json(config, document)
        with pytest.raises(CheckpointError, match=message):
            load_encoder(tmp_path / "encoder", "cpu")

    fail(
        "does not match the network of rgb in config.json: different network.encoder",
        encoder="r2plus1d_18",
        width=4,
    )
    fail("does not support: views.rgb.network.encoder: Input should be .resnet2d3d", encoder="i4d")
    fail("the encoder s3d does not read 'layers'", encoder="s3d", layers=[1, 1, 1, 1])
