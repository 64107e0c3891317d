"""Which views a data set has, and whose shards and encoders it may use."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from cocon.config.schema import Config


def _config(views: list[str], **more: dict[str, Any]) -> Config:
    lists = {"kind": "ucf101", "recipe": "r", "shards": 1, "videos": "v", "lists": "l"}
    datasets = {"all": lists, "two": lists | {"views": ["flow", "rgb"]}}
    datasets |= {name: lists | changes for name, changes in more.items()}
    return Config.model_validate({"views": views, "datasets": datasets, "recipes": {"r": {}}})


def test_views_of_a_data_set_are_in_the_order_of_all_views() -> None:
    config = _config(["rgb", "flow", "mask"])
    assert config.views_of("all") == ["rgb", "flow", "mask"]
    assert config.views_of("two") == ["rgb", "flow"]


def test_fewer_views_in_all_are_fewer_in_each() -> None:
    assert _config(["flow", "mask"]).views_of("two") == ["flow"]
    assert _config(["mask"]).views_of("two") == ["mask"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pretrain_on": "two"}, "datasets.x: its view mask is not pretrained on 'two'"),
        ({"shards_of": "none"}, "datasets.x.shards_of: no data set 'none'"),
        ({"shards_of": "two"}, "datasets.x.shards_of: 'two' lacks the view mask"),
        ({"shards_of": "all", "kind": "hmdb51"}, "'all' must be of the kind hmdb51"),
    ],
)
def test_what_cannot_be_used_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        _config(["rgb", "flow", "mask"], x=changes)


def test_shards_and_encoders_of_others_can_be_used() -> None:
    config = _config(["rgb", "flow", "mask"], x={"shards_of": "all", "pretrain_on": "two", "views": ["flow"]})
    assert config.views_of("x") == ["flow"]
