from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from cocon.config.schema import Clip, Network
from cocon.errors import CheckpointError
from cocon.evaluation.classifier_file import ClassifierInfo, load_classifier, save_classifier
from cocon.evaluation.metrics import Task
from cocon.models.classifier import Classifier
from cocon.training.checkpoint import load_encoder, save_encoder
from cocon.training.initialise import initial_network
from tests.damage import flips, mutants, refused

NETWORK = Network(layers=(1, 1, 1, 1), width=4, features=8)
CLIP = Clip(blocks=2, frames_per_block=2, predicted_blocks=1, crop={"flow": 32})
TASK = Task("demo", "cocon", "flow", "finetune_dpc", "2", 5)


@pytest.fixture
def classifier() -> Classifier:
    torch.manual_seed(0)
    return Classifier(initial_network("flow", NETWORK, 0), 3, 0.5, head="encoder")


@pytest.fixture
def path(classifier: Classifier, tmp_path: Path) -> Path:
    path = tmp_path / "finetune_dpc_split2.safetensors"
    save_classifier(path, classifier, ClassifierInfo(TASK, ("jump", "run", "walk"), "encoder", NETWORK, CLIP))
    return path


def test_round_trip(classifier: Classifier, path: Path) -> None:
    loaded, info = load_classifier(path, view="flow")
    assert info == ClassifierInfo(TASK, ("jump", "run", "walk"), "encoder", NETWORK, CLIP)
    x = torch.randn(2, 2, 2, 2, 32, 32)
    assert torch.equal(loaded(x), classifier.eval()(x))


def test_an_encoder_is_no_classifier_and_a_classifier_no_encoder(path: Path, tmp_path: Path) -> None:
    encoder = tmp_path / "rgb.safetensors"
    save_encoder(encoder, initial_network("rgb", NETWORK, 0), "rgb", CLIP, "cocon")
    with pytest.raises(CheckpointError, match=r"rgb.safetensors is an encoder \(rgb\), not a classifier"):
        load_classifier(encoder)
    with pytest.raises(CheckpointError, match=r"split2.safetensors is a classifier \(flow\), not an encoder"):
        load_encoder(path)


def test_missing_or_of_another_view(path: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="run `cocon finetune` first"):
        load_classifier(tmp_path / "none.safetensors")
    with pytest.raises(CheckpointError, match="classifier of the view 'flow', not of 'pose'"):
        load_classifier(path, view="pose")


def test_a_flipped_bit_is_noticed_wherever_it_is(path: Path) -> None:
    model, info = load_classifier(path)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}

    def same(found: tuple[Classifier, ClassifierInfo]) -> bool:
        tensors = found[0].state_dict()
        return found[1] == info and all(torch.equal(tensors[name], before[name]) for name in before)

    content = path.read_bytes()
    for damaged in (*flips(content, 60), *mutants(content, 20)):
        refused(path, damaged, lambda: load_classifier(path), same)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("classes", []),
        ("classes", ["a", "b", "a"]),
        ("classes", {"a": 1}),
        ("head", "neck"),
        ("task", {"dataset": "demo"}),
        ("task", None),
        ("task", {**asdict(TASK), "view": "rgb"}),
        ("task", {**asdict(TASK), "seed": "five"}),
    ],
)
def test_metadata_of_another_kind(path: Path, key: str, value: object) -> None:
    with safe_open(path, "pt") as file:
        document = json.loads(file.metadata()["cocon"])
    save_file(load_file(path), path, {"cocon": json.dumps(document | {key: value})})
    with pytest.raises(CheckpointError, match=r"split2\.safetensors is not a readable classifier") as error:
        load_classifier(path)
    assert error.value.hint


def test_weights_that_are_not_finite_are_neither_written_nor_loaded(path: Path) -> None:
    model, info = load_classifier(path)
    with torch.no_grad():
        model.linear.weight[1, 1] = torch.nan
    with pytest.raises(CheckpointError, match=r"classifier of the view flow .*linear\.weight"):
        save_classifier(path.with_name("new.safetensors"), model, info)
    assert not path.with_name("new.safetensors").exists()
    with safe_open(path, "pt") as file:
        document = {"cocon": file.metadata()["cocon"]}
    save_file(load_file(path) | {"linear.weight": model.linear.weight.detach()}, path, document)
    with pytest.raises(CheckpointError, match="not finite"):
        load_classifier(path)
