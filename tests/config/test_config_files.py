"""Configuration files on top of each other, and what they include."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

import pytest

from cocon.commands.arguments import add_configuration, configuration
from cocon.config import config_files
from cocon.config.config_files import filled, merged, stacked
from cocon.config.load import load_config
from cocon.config.schema import Config
from cocon.errors import ConfigError

BASE = """\
include: [config/more.yaml]
datasets:
  demo: {kind: demo, recipe: small, shards: 3}
recipes:
  small: {clip: {blocks: 4, predicted_blocks: 1}}
"""
MORE = """\
seed: 5
datasets:
  public:
    kind: demo
    recipe: large
    shards: 9
  demo: {shards: 8, takes: 7}
recipes:
  large: {}
"""
MINE = """\
datasets:
  mine:
    kind: folder
    recipe: large
    shards: 1
    videos: videos
    table: table.csv
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a configuration that includes another file."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(config_files, "PROGRAM", tmp_path / "program")
    write("config.yaml", BASE)
    write("config/more.yaml", MORE)
    write("mine.yaml", MINE)
    return tmp_path


def write(name: str, text: str) -> Path:
    path = Path(name)
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


def problem(*names: str, overrides: dict[str, Any] | None = None) -> str:
    with pytest.raises(ConfigError) as error:
        load_config(*map(Path, names), overrides=overrides)
    return str(error.value)


def test_an_included_file_counts_where_the_other_has_no_key() -> None:
    config = load_config(Path("config.yaml"))
    assert config.seed == 5
    demo = config.datasets["demo"]
    assert (demo.shards, demo.takes) == (3, 7)
    assert list(config.datasets) == ["demo", "public"], "the first data set is one of the file itself"


def test_a_file_on_top_changes_its_own_keys_only() -> None:
    write("mine.yaml", MINE + "  public: {shards: 2}\nseed: 1\n")
    config = load_config(Path("config.yaml"), Path("mine.yaml"))
    assert list(config.datasets) == ["demo", "mine", "public"]
    assert (config.seed, config.datasets["public"].shards, config.datasets["public"].recipe) == (
        1,
        2,
        "large",
    )


def test_later_files_count_over_earlier_ones_and_values_of_the_command_line_over_all() -> None:
    write("a.yaml", "seed: 1\nresults: a\n")
    write("b.yaml", "seed: 2\n")
    files = [Path("config.yaml"), Path("a.yaml"), Path("b.yaml")]
    config = load_config(*files)
    assert (config.seed, str(config.results)) == (2, "a")
    document = merged(stacked(files)[0], {"seed": 3})
    assert load_config(*files, overrides=document).seed == 3


def test_a_list_replaces_a_list() -> None:
    write("config.yaml", BASE + "views: [rgb, flow]\n")
    write("a.yaml", "views: [mask]\n")
    assert load_config(Path("config.yaml"), Path("a.yaml")).views == ("mask",)


@pytest.mark.parametrize(
    ("files", "changed", "expected"),
    [
        (
            "config.yaml",
            {"config.yaml": BASE.replace("shards: 3", "shard: 3")},
            "    line 3: unknown key 'da",
        ),
        (
            "config.yaml",
            {"config/more.yaml": MORE.replace("takes", "take")},
            "config/more.yaml, line 7: unkno",
        ),
        (
            "config.yaml",
            {"config/more.yaml": MORE.replace("large: {}", "x: {}")},
            "more.yaml, line 5: datasets.",
        ),
        (
            "config.yaml mine.yaml",
            {"mine.yaml": MINE.replace("table:", "tabel:")},
            "mine.yaml, line 7: unknown",
        ),
        (
            "config.yaml mine.yaml",
            {"config.yaml": BASE + "sed: 1\n"},
            "config.yaml, line 6: unknown key 'sed'",
        ),
        ("config.yaml", {"config/more.yaml": "seed: [\n"}, "config/more.yaml is not valid YAML"),
        (
            "config.yaml",
            {"config/more.yaml": "seed: 1\nseed: 2\n"},
            "config/more.yaml, line 2: 'seed' is given tw",
        ),
        ("config.yaml mine.yaml", {"mine.yaml": "- seed\n"}, "mine.yaml has no keys"),
        (
            "config.yaml",
            {"config.yaml": "include: 3\n" + BASE[28:]},
            "line 1: 'include': input should be a list",
        ),
        (
            "config.yaml",
            {"config.yaml": "include: [3]\n" + BASE[28:]},
            "line 1: 'include.0': input should be a",
        ),
        (
            "config.yaml",
            {"config.yaml": BASE.replace("more", "none")},
            "config.yaml, line 1: there is no file config/none.yaml to include",
        ),
        (
            "config.yaml",
            {"config/more.yaml": MORE + "include: [x.yaml]\n"},
            "config/more.yaml, line 10: a file that is included cannot include others",
        ),
    ],
)
def test_a_mistake_is_named_with_its_file_and_line(
    files: str, changed: dict[str, str], expected: str
) -> None:
    for name, text in changed.items():
        write(name, text)
    assert expected in problem(*files.split())


def test_the_line_is_that_of_the_value_which_counts() -> None:
    write("config.yaml", BASE + "seed: 1\n")
    write("mine.yaml", "\n\nseed: x\n")
    found = problem("config.yaml", "mine.yaml")
    assert "config.yaml + mine.yaml has 1 problem:\n    mine.yaml, line 3: 'seed'" in found


def test_what_a_value_replaced_has_no_line() -> None:
    write("config.yaml", BASE + "views:\n  - rgb\n  - flow\n")
    write("mine.yaml", "views: [mask, nose]\n")
    assert "mine.yaml, line 1: 'views.1'" in problem("config.yaml", "mine.yaml")
    write("mine.yaml", "recipes: 3\n")
    assert "mine.yaml, line 1: 'recipes'" in problem("config.yaml", "mine.yaml")


def test_included_files_are_found_from_three_folders(tmp_path: Path) -> None:
    """Beside the file that a link leads to, in the working folder, beside the program."""
    (tmp_path / "config" / "config.yaml").symlink_to("../config.yaml")
    assert load_config(Path("config/config.yaml")).seed == 5
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "copy.yaml").write_text(BASE)
    assert load_config(elsewhere / "copy.yaml").seed == 5, "as results and data: from the working folder"
    (tmp_path / "program" / "config").mkdir(parents=True)
    (tmp_path / "config" / "more.yaml").rename(tmp_path / "program" / "config" / "more.yaml")
    assert load_config(Path("config.yaml")).seed == 5


def test_the_command_line_can_include_more() -> None:
    write("extra.yaml", "device: cpu\n")
    document = merged(stacked([Path("config.yaml")])[0], {"include": ["config/more.yaml", "extra.yaml"]})
    assert load_config(Path("config.yaml"), overrides=document).device == "cpu"
    found = problem("config.yaml", overrides=document | {"include": ["none.yaml"]})
    assert "--config, line 1: there is no file none.yaml to include" in found


def test_merging_keeps_the_order_of_the_first_and_filling_that_of_the_document() -> None:
    low: dict[str, Any] = {"a": {"x": 1, "y": 2}, "b": 1}
    high: dict[str, Any] = {"c": 3, "a": {"y": 5, "z": 6}}
    expected = {"a": {"x": 1, "y": 5, "z": 6}, "b": 1, "c": 3}
    assert merged(low, high) == filled(high, low) == expected
    assert list(merged(low, high)) == ["a", "b", "c"]
    assert list(filled(high, low)) == ["c", "a", "b"]
    assert list(filled(high, low)["a"]) == ["y", "z", "x"]
    assert filled({"a": 1}, low) == {"a": 1, "b": 1}
    assert merged(low, {"a": None}) == {"a": None, "b": 1}


def given(*arguments: str) -> Config:
    parser = ArgumentParser()
    add_configuration(parser)
    return configuration(parser.parse_args(arguments))


def test_commands_take_files_as_snakemake_does() -> None:
    assert list(given().datasets) == ["demo", "public"]
    assert list(given("--configfile", "mine.yaml").datasets) == ["demo", "mine", "public"]
    write("other.yaml", "seed: 9\n")
    assert given("--configfile", "mine.yaml", "other.yaml").seed == 9
    Path("config.yaml").rename("base.yaml")
    assert given("--config", "base.yaml", "--configfile", "other.yaml").seed == 9
    assert list(given("--configfile", "base.yaml").datasets) == ["demo", "public"]
    with pytest.raises(ConfigError, match=r"there is no configuration file config\.yaml"):
        given()
    with pytest.raises(ConfigError, match=r"there is no configuration file none\.yaml"):
        given("--config", "none.yaml", "--configfile", "base.yaml")
