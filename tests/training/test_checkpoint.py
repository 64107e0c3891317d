from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from cocon.config.schema import Clip, Network
from cocon.errors import CheckpointError
from cocon.training.checkpoint import load_encoder, read_info, save_encoder
from cocon.training.initialise import initial_network, write_initial_encoders
from cocon.training.settings import InitSettings
from tests.damage import flips, mutants, refused

NETWORK = Network(layers=(1, 1, 1, 1), width=8, features=16)
CLIP = Clip(stride=2)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "flow.safetensors"
    save_encoder(path, initial_network("flow", NETWORK, 3), "flow", CLIP, "cocon", epoch=7, seed=3)
    return path


def edited(path: Path, **changes: object) -> Path:
    """The same checkpoint with other metadata."""
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
        ({"network": {"depth": 3}}, "settings that this version does not support"),
        ({"network": NETWORK.model_copy(update={"layers": (1, 1, 1, 2)}).model_dump()}, "does not match"),
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


def rewritten(path: Path, metadata: dict[str, str] | None = None, **changes: torch.Tensor) -> Path:
    """The same checkpoint with other tensors, or other metadata, and without a checksum, as by hand."""
    with safe_open(path, "pt") as file:
        metadata = metadata or {"cocon": file.metadata()["cocon"]}
    save_file(load_file(path) | changes, path, metadata)
    return path


def test_a_flipped_bit_is_noticed_wherever_it_is(path: Path) -> None:
    model, info = load_encoder(path)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}

    def same(found: tuple[torch.nn.Module, object]) -> bool:
        tensors = found[0].state_dict()
        return found[1] == info and all(torch.equal(tensors[name], before[name]) for name in before)

    content = path.read_bytes()
    errors = [refused(path, flipped, lambda: load_encoder(path), same) for flipped in flips(content, 150)]
    assert sum(error is not None for error in errors) > 140
    assert "its checksum is wrong" in str(errors[-1])
    assert "delete it and run" in str(errors[-1])
    for damaged in mutants(content, 40):
        refused(path, damaged, lambda: load_encoder(path), same)


def test_a_file_of_an_earlier_version_has_no_checksum(path: Path) -> None:
    _, info = load_encoder(path)
    assert load_encoder(rewritten(path))[1] == info


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("no JSON", "not a readable encoder"),
        ("[1, 2]", "a list instead of a JSON object"),
        ('{"kind": "encoder", "a": NaN}', "not a finite number"),
        ('{"kind": ' + "[" * 100_000, "nested too deeply"),
        ('{"kind": ["encoder"], "format": 1}', "not an encoder"),
        ('{"kind": "encoder", "format": "1"}', "that this version can read"),
        ('{"kind": "encoder", "format": 1}', "of the view 'None'"),
        ('{"kind": "encoder", "format": 1, "view": ["rgb"]}', "known are rgb"),
        ('{"kind": "encoder", "format": 1, "view": "rgb"}', "settings that this version does not support"),
        ('{"kind": "encoder", "format": 1, "view": "rgb", "network": {}, "clip": {}}', "how it was trained"),
    ],
)
def test_metadata_of_another_kind(path: Path, text: str, message: str) -> None:
    rewritten(path, {"cocon": text})
    for read in (read_info, load_encoder):
        with pytest.raises(CheckpointError, match=message) as error:
            read(path)
        assert str(path) in error.value.message
        assert "\n" not in error.value.message
        assert error.value.hint


@pytest.mark.parametrize("changes", [{"width": 10**6}, {"layers": (1, 1, 1, 10**9)}, {"features": 10**15}])
def test_a_network_larger_than_its_file_is_never_built(path: Path, changes: dict[str, object]) -> None:
    edited(path, network=NETWORK.model_dump() | changes)
    with pytest.raises(CheckpointError, match="too few weights"):
        load_encoder(path)


@pytest.mark.parametrize("encoder", ["r2plus1d_18", "s3d"])
def test_no_other_encoder_is_built_that_is_larger_than_its_file(path: Path, encoder: str) -> None:
    for changes in ({"width": 10**6}, {"features": 10**15}):
        edited(path, network={"encoder": encoder, **changes})
        with pytest.raises(CheckpointError, match="too few weights"):
            load_encoder(path)
    edited(path, network={"encoder": encoder, "width": 1, "features": 4})
    with pytest.raises(CheckpointError, match="does not match the network it describes: aggregator"):
        load_encoder(path)


def test_weights_of_another_type_are_refused(path: Path) -> None:
    name, tensor = next(iter(load_file(path).items()))
    with pytest.raises(CheckpointError, match=f"does not match the network it describes: {name}"):
        load_encoder(rewritten(path, **{name: tensor.half()}))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_neither_written_nor_loaded(path: Path, value: float) -> None:
    model = initial_network("flow", NETWORK, 3)
    with torch.no_grad():
        model.aggregator.update.bias[2] = value
    before = path.read_bytes()
    with pytest.raises(CheckpointError, match=r"view flow has weights .*aggregator\.update\.bias") as error:
        save_encoder(path, model, "flow", CLIP, "cocon")
    assert "learning rate" in error.value.hint
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    rewritten(path, **{"aggregator.update.bias": model.aggregator.update.bias.detach()})
    with pytest.raises(CheckpointError, match=r"flow.safetensors has weights that are not finite"):
        load_encoder(path)


def test_equal_networks_are_equal_files(tmp_path: Path) -> None:
    for name in ("a", "b", "c", "d"):
        network = initial_network("mask", NETWORK, 0)
        save_encoder(tmp_path / name, network, "mask", CLIP, "random", seed=0)
    assert len({(tmp_path / name).read_bytes() for name in "abcd"}) == 1
    assert load_encoder(tmp_path / "a")[1].extra == {"seed": 0}
