from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import nn

from cocon.config.schema import Finetune, Pretraining, Recipe, Training
from cocon.config.selection import pretraining_settings, training_settings
from cocon.errors import ConfigError
from cocon.training.provenance import hardware
from cocon.training.switches import Switches

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)
FAST = Switches(amp="bf16", tf32=True, channels_last_3d=True, fused=True, pinned=True)


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A GPU of this compute capability."""

    def put(capability: tuple[int, int]) -> None:
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)

    put((9, 0))
    return put


@pytest.mark.usefixtures("card")
@pytest.mark.parametrize(
    ("settings", "cpu", "gpu"),
    [
        ({}, {}, {}),
        ({"amp": "off"}, {}, {"amp": "off"}),
        ({"amp": "fp16"}, {"amp": "fp16"}, {"amp": "fp16"}),
        ({"amp": "bf16"}, {"amp": "bf16"}, {}),
        ({"channels_last_3d": False}, {}, {"channels_last_3d": False}),
        ({"channels_last_3d": True}, {"channels_last_3d": True}, {}),
        ({"tf32": False}, {}, {"tf32": False}),
        ({"fused_optimiser": False}, {}, {"fused": False}),
        ({"pin_memory": False}, {}, {"pinned": False}),
        ({"compile": True}, {"compiled": True}, {"compiled": True}),
    ],
)
def test_the_fast_ones_are_the_defaults_of_a_gpu_and_each_can_be_switched_off(
    settings: dict[str, Any], cpu: dict[str, Any], gpu: dict[str, Any]
) -> None:
    chosen = Training.model_validate(settings)
    assert Switches.of(chosen, CPU) == Switches(**cpu)
    assert Switches.of(chosen, GPU) == Switches(**{**FAST.document(), **gpu})


@pytest.mark.parametrize(("capability", "amp"), [((7, 5), "off"), ((8, 0), "bf16"), ((12, 0), "bf16")])
def test_bf16_where_the_card_has_it(card: Any, capability: tuple[int, int], amp: str) -> None:
    card(capability)
    assert Switches.of(Training(), GPU).amp == amp


def test_compiled_and_rounded_is_refused_on_a_cpu() -> None:
    with pytest.raises(ConfigError, match="cannot be combined on a CPU"):
        Switches.of(Training(compile=True, amp="bf16"), CPU)
    assert Switches.of(Training(compile=True), CPU).compiled


@pytest.mark.parametrize(
    "settings", [{"amp": "auto"}, {"amp": "off"}, {"channels_last_3d": False}, {"tf32": False}]
)
def test_what_was_made_before_there_was_a_choice_stays(settings: dict[str, Any]) -> None:
    """A recipe that said ``amp: off`` said what everybody had."""
    recipe, usual = Recipe(pretraining=Pretraining.model_validate(settings)), Recipe()
    for stage, views in (("stage1", ["rgb"]), ("stage2", ["rgb", "flow"])):
        documents = [pretraining_settings(of, stage, "cocon", views) for of in (recipe, usual)]
        assert documents[0] == documents[1]
    assert training_settings(Finetune.model_validate(settings)) == training_settings(Finetune())


@pytest.mark.parametrize("settings", [{"amp": "bf16"}, {"amp": "fp16"}, {"channels_last_3d": True}])
def test_what_changes_a_result_is_in_its_document(settings: dict[str, Any]) -> None:
    recipe = Recipe(pretraining=Pretraining.model_validate(settings))
    assert pretraining_settings(recipe, "stage1", "cpc", ["rgb"]) == {"pretraining": settings}
    assert training_settings(Finetune.model_validate(settings)) == training_settings(Finetune()) | settings


def test_layout_of_weights() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv3d(4, 5, 3), nn.Linear(2, 2))
    before = [parameter.detach().clone() for parameter in network.parameters()]
    Switches(channels_last_3d=True).apply(network, CPU)
    assert network[0].weight.is_contiguous(memory_format=torch.channels_last)
    assert network[1].weight.is_contiguous(memory_format=torch.channels_last_3d)
    assert all(torch.equal(a, b) for a, b in zip(before, network.parameters(), strict=True))


@pytest.fixture
def precision() -> Iterator[None]:
    """As it was before, for products and convolutions."""
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    yield
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


@pytest.mark.usefixtures("precision")
@pytest.mark.parametrize("tf32", [False, True])
def test_tf32_is_set_for_products_and_convolutions_of_a_gpu(tf32: bool) -> None:
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = not tf32
    Switches(tf32=tf32).apply(nn.Identity(), CPU)
    assert torch.backends.cuda.matmul.allow_tf32 == torch.backends.cudnn.allow_tf32 == (not tf32)
    Switches(tf32=tf32).apply(nn.Identity(), GPU)
    assert torch.backends.cuda.matmul.allow_tf32 == torch.backends.cudnn.allow_tf32 == tf32


def test_encoders_say_what_was_used() -> None:
    assert hardware(CPU, 1, FAST).endswith(" (bf16, TF32, channels last, fused optimiser, pinned memory)")
    assert not hardware(CPU, 1, Switches()).endswith(")")
    assert hardware(CPU, 2, Switches(compiled=True)).endswith(" (float32, compiled)")
