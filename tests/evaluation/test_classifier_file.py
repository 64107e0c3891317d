from __future__ import annotations

from pathlib import Path

import pytest
import torch

from cocon.config.schema import Clip, Network
from cocon.errors import CheckpointError
from cocon.evaluation.classifier_file import ClassifierInfo, load_classifier, save_classifier
from cocon.evaluation.metrics import Task
from cocon.models.classifier import Classifier
from cocon.training.checkpoint import load_encoder, save_encoder
from cocon.training.initialise import initial_network

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
