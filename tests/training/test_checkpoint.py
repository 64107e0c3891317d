from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from cocon.config.schema import Clip, Network
from cocon.errors import CheckpointError
from cocon.training.checkpoint import load_encoder, read_info, save_encoder
from cocon.training.initialise import initial_network, write_initial_encoders
from cocon.training.settings import InitSettings

NETWORK = Network(layers=(1, 1, 1, 1), width=8, features=16)
CLIP = Clip(stride=2)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "flow.safetensors"
    save_encoder(path, initial_network("flow", NETWORK, 3), "flow", CLIP, "cocon", epoch=7, seed=3)
    return path


def edited(path: Path, **changes: object) -> Path:
    """The same checkpoint with other metadata."""
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        document = json.loads(file.metadata()["cocon"])
    save_file(load_file(path), path, {"cocon": json.dumps(document | changes)})
    return path


def test_round_trip(path: Path) -> None:
    model, info = load_encoder(path)
    assert (info.view, info.network, info.clip, info.pretraining) == ("flow", NETWORK, CLIP, "cocon")
    assert info.extra == {"epoch": 7, "seed": 3}
    original = initial_network("flow", NETWORK, 3).state_dict()
    assert model.state_dict().keys() == original.keys()
    assert all(torch.equal(tensor, original[name]) for name, tensor in model.state_dict().items())


def test_the_expected_view_and_network_are_checked(path: Path) -> None:
    load_encoder(path, view="flow", network=NETWORK)
    with pytest.raises(CheckpointError, match="view 'flow', not of 'rgb'"):
        load_encoder(path, view="rgb")
    with pytest.raises(CheckpointError, match=r"features 16 \(not 32\)"):
        load_encoder(path, network=NETWORK.model_copy(update={"features": 32}))


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="there is no checkpoint"):
        read_info(tmp_path / "rgb.safetensors")


def test_no_safetensors_file(tmp_path: Path) -> None:
    path = tmp_path / "rgb.safetensors"
    path.write_text("hello, I am a text")
    with pytest.raises(CheckpointError, match="not a readable safetensors file"):
        read_info(path)


def test_file_of_another_program(tmp_path: Path) -> None:
    path = tmp_path / "rgb.safetensors"
    save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(CheckpointError, match="another program"):
        read_info(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "classifier"}, r"flow.safetensors is a classifier \(flow\), not an encoder"),
        ({"format": 2}, "not an encoder"),
        ({"view": "sound"}, "view 'sound'; known are rgb"),
        ({"network": {"depth": 3}}, "settings that this version does not know"),
        ({"network": NETWORK.model_copy(update={"layers": (1, 1, 1, 2)}).model_dump()}, "does not fit"),
    ],
)
def test_metadata_that_do_not_fit(path: Path, changes: dict[str, object], message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        load_encoder(edited(path, **changes))


def test_initial_encoders(tmp_path: Path) -> None:
    write_initial_encoders(["rgb", "pose"], tmp_path, InitSettings(clip=CLIP, network=NETWORK), seed=5)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pose.safetensors", "rgb.safetensors"]
    model, info = load_encoder(tmp_path / "pose.safetensors")
    assert (info.view, info.pretraining, info.clip) == ("pose", "random", CLIP)
    again, other = (initial_network("pose", NETWORK, seed).state_dict() for seed in (5, 6))
    assert all(torch.equal(tensor, again[name]) for name, tensor in model.state_dict().items())
    assert any(not torch.equal(tensor, other[name]) for name, tensor in model.state_dict().items())


def test_initialising_leaves_the_global_generator_alone() -> None:
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    initial_network("rgb", NETWORK, 0)
    assert torch.equal(torch.rand(1), expected)
