"""The protocols of an evaluation: the built-in ones, and a user's own."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from cocon.config.load import parse_settings
from cocon.config.schema import Config, Evaluation, FinetuneDpc
from cocon.errors import ConfigError


def settings_of(evaluation: Evaluation, protocol: str) -> dict[str, object]:
    """A protocol's own section, under the name of its kind."""
    section = evaluation.section(protocol).model_dump(mode="json", exclude={"like"})
    return {evaluation.kind(protocol): section}


def test_own_protocol_is_like_another_but_for_what_it_says() -> None:
    own = {"short": {"like": "finetune_dpc", "epochs": 30}, "near": {"like": "retrieval", "ranks": [1]}}
    evaluation = Evaluation(protocols=("linear", "short", "near"), own=own)
    assert [evaluation.kind(name) for name in evaluation.protocols] == ["linear", "finetune_dpc", "retrieval"]
    expected = FinetuneDpc(epochs=30).model_dump(mode="json")
    assert settings_of(evaluation, "short") == {"finetune_dpc": expected}
    assert settings_of(evaluation, "near") == {"retrieval": {"ranks": [1]}}
    assert settings_of(evaluation, "linear") == {"linear": evaluation.linear.model_dump(mode="json")}


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ('{"protocols": ["linear", "finetun"]}', "there is no 'finetun' .there are: linear, linear_sgd"),
        ('{"own": {"finetune": {"like": "linear"}}}', "'finetune' is a protocol already"),
        ('{"own": {"mine": {"like": "finetune_dpc", "epoch": 3}}}', "did you mean 'epochs'"),
        ('{"own": {"mine": {"epochs": 3}}}', "own.mine"),
        ('{"own": {"My protocol": {"like": "linear"}}}', "own.My protocol"),
    ],
)
def test_mistakes_are_named(document: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_settings(document, Evaluation)


def test_a_name_means_the_same_in_all_recipes() -> None:
    recipes = {
        name: {"evaluation": {"own": {"mine": {"like": like}}}}
        for name, like in (("a", "linear"), ("b", "finetune"))
    }
    with pytest.raises(ValidationError, match=r"recipes.b.evaluation.own.mine is like finetune"):
        Config.model_validate({"datasets": {}, "recipes": recipes})
