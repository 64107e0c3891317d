from __future__ import annotations

import pytest
import torch

from cocon.config.schema import Network
from cocon.models.classifier import Classifier
from cocon.models.network import ViewNetwork, build_network

TINY = Network(layers=(1, 1, 1, 1), width=4, features=8)


def test_parameters_of_the_classifier_for_ucf101() -> None:
    classifier = Classifier(build_network("rgb", Network()), classes=101, dropout=0.7)
    assert sum(p.numel() for p in classifier.parameters()) == 14_477_989


def test_classifies_the_spatial_mean_of_the_last_state() -> None:
    network = ViewNetwork(2, TINY)
    classifier = Classifier(network, classes=5, dropout=0.7).eval()
    classifier.norm.running_mean.uniform_()
    x = torch.randn(3, 4, 2, 5, 64, 64)
    state = network.context(network.encode(x)).mean((2, 3))
    normalised = (state - classifier.norm.running_mean) / (1 + classifier.norm.eps) ** 0.5
    expected = normalised @ classifier.linear.weight.t() + classifier.linear.bias
    torch.testing.assert_close(classifier(x), expected)


def test_dropout_in_training_only() -> None:
    classifier = Classifier(ViewNetwork(2, TINY.model_copy(update={"dropout": 0.0})), classes=5, dropout=0.7)
    x = torch.randn(3, 2, 2, 5, 32, 32)
    assert not torch.equal(classifier(x), classifier(x))
    classifier.eval()
    assert torch.equal(classifier(x), classifier(x))


def test_trains_the_pretrained_network_itself() -> None:
    network = ViewNetwork(2, TINY)
    logits = Classifier(network, classes=3, dropout=0.0)(torch.randn(2, 2, 2, 5, 32, 32))
    torch.nn.functional.cross_entropy(logits, torch.tensor([0, 2])).backward()
    assert all(p.grad is not None for p in network.encoder.parameters())
    assert all(p.grad is not None for p in network.aggregator.parameters())


def test_rejects_no_classes() -> None:
    with pytest.raises(ValueError, match="at least one class"):
        Classifier(ViewNetwork(2, TINY), classes=0, dropout=0.5)


def test_head_of_the_encoder_classifies_its_normalised_mean() -> None:
    network = ViewNetwork(2, TINY)
    classifier = Classifier(network, classes=5, dropout=0.0, head="encoder").eval()
    x = torch.randn(3, 2, 2, 5, 32, 32)
    mean = network.encode(x).mean((1, 3, 4))
    unit = mean / mean.norm(dim=1, keepdim=True) / (1 + classifier.norm.eps) ** 0.5
    expected = unit @ classifier.linear.weight.t() + classifier.linear.bias
    torch.testing.assert_close(classifier(x), expected)


@pytest.mark.parametrize("head", ["encoder", "context"])
def test_what_is_frozen_keeps_weights_statistics_and_dropout_still(head: str) -> None:
    network = ViewNetwork(2, TINY.model_copy(update={"dropout": 0.9}))
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    classifier = Classifier(network, classes=3, dropout=0.0, head=head, frozen=True).train()
    x = torch.randn(4, 2, 2, 5, 32, 32)
    assert torch.equal(classifier(x), classifier(x))
    torch.nn.functional.cross_entropy(classifier(x), torch.tensor([0, 2, 1, 1])).backward()
    trained = {name for name, p in classifier.named_parameters() if p.grad is not None}
    assert trained == {"norm.weight", "norm.bias", "linear.weight", "linear.bias"}
    assert not any(p.requires_grad for p in classifier.backbone())
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, before[name]), name
    assert classifier.norm.num_batches_tracked == 3
