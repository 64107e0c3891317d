from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from cocon.config.schema import Config, Extraction, FlowExtraction, Recipe
from cocon.config.settings import dump_settings, load_config, parse_settings
from cocon.errors import ConfigError

VALID = """\
datasets:
  demo:
    kind: demo
    recipe: small
    shards: 3
recipes:
  small:
    clip: {blocks: 4, predicted_blocks: 1}
"""


def load(tmp_path: Path, text: str) -> Config:
    (tmp_path / "config.yaml").write_text(text, encoding="utf-8")
    return load_config(tmp_path / "config.yaml")


def problem(tmp_path: Path, text: str) -> str:
    with pytest.raises(ConfigError) as error:
        load(tmp_path, text)
    return str(error.value)


def test_defaults_fill_what_is_left_out(tmp_path: Path) -> None:
    config = load(tmp_path, VALID)
    assert config.recipes["small"].clip.frames == 4 * 5
    assert config.recipes["small"].pretraining.loss.temperature == 0.005
    assert config.views == ("rgb", "flow", "mask", "pose")


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("blocks: 4", "blokcs: 4", "line 8: unknown key 'recipes.small.clip.blokcs'; did you mean 'blocks'?"),
        (
            "    shards: 3",
            "    shard: 3",
            "line 5: unknown key 'datasets.demo.shard'; did you mean 'shards'?",
        ),
        ("recipes:\n", "recieps:\n", "line 6: unknown key 'recieps'; did you mean 'recipes'?"),
        ("shards: 3", "shards: 0", "line 5: 'datasets.demo.shards': input should be greater than"),
        ("shards: 3", "shards: many", "(it is 'many')"),
        ("blocks: 4, predicted_blocks: 1", "blocks: 3, predicted_blocks: 3", "smaller than blocks"),
        ("recipe: small", "recipe: smal", "no recipe 'smal' (there are: small)"),
        ("kind: demo", "kind: demmo", "line 2: 'datasets.demo'"),
        ("    kind: demo", "    kind: ucf101", "line 2: 'datasets.demo.videos' is missing"),
        ("    shards: 3", "    shards: 3\n    shards: 4", "line 6: 'shards' is given twice"),
        ("datasets:", "datasets: [", "is not valid YAML"),
    ],
)
def test_a_mistake_is_named_with_its_line(tmp_path: Path, old: str, new: str, expected: str) -> None:
    assert old in VALID
    assert expected in problem(tmp_path, VALID.replace(old, new, 1))


def test_all_mistakes_are_named_at_once(tmp_path: Path) -> None:
    text = VALID.replace("shards: 3", "shards: x").replace("blocks: 4,", "block: 4,")
    assert "has 2 problems" in problem(tmp_path, text)


def test_a_missing_or_empty_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no configuration file"):
        load_config(tmp_path / "no.yaml")
    assert "'datasets' is missing" in problem(tmp_path, "")


def test_settings_are_json_or_a_file(tmp_path: Path) -> None:
    assert parse_settings('{"bound": 8}', FlowExtraction).bound == 8
    (tmp_path / "s.yaml").write_text("bound: 9\ntvl1_opencv: {lambda: 0.2}\n")
    settings = parse_settings(str(tmp_path / "s.yaml"), FlowExtraction)
    assert settings.bound == 9
    assert settings.tvl1_opencv.lambda_ == 0.2
    assert parse_settings("", FlowExtraction) == FlowExtraction()
    with pytest.raises(ConfigError, match="neither JSON nor a file"):
        parse_settings("bound", FlowExtraction)
    with pytest.raises(ConfigError, match="unknown key 'buond'; did you mean 'bound'"):
        parse_settings('{"buond": 8}', FlowExtraction)


def test_what_a_rule_passes_a_command_reads_back() -> None:
    recipe = parse_settings('{"extraction": {"flow": {"tvl1_opencv": {"lambda": 0.3}}}}', Recipe)
    assert parse_settings(dump_settings(recipe.extraction), Extraction) == recipe.extraction


def test_the_shipped_configuration_is_valid(repository: Path) -> None:
    config = load_config(repository / "config.yaml")
    assert {"demo", "ucf101", "hmdb51", "kinetics400"} <= set(config.datasets)
    assert config.recipes["r18_128"] == Recipe(), "the defaults are the paper's"


def test_every_top_level_key_stands_in_the_shipped_configuration(repository: Path) -> None:
    document = yaml.safe_load((repository / "config.yaml").read_text())
    assert set(document) == set(Config.model_fields)


def test_the_json_schema_is_in_step(repository: Path) -> None:
    stored = json.loads((repository / "workflow" / "schemas" / "config.schema.json").read_text())
    assert stored == Config.model_json_schema(), "run `make schema`"
