"""What is made from the typed configuration: the JSON schema, the file of defaults, and the page."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from cocon.cli import main
from cocon.config.default_file import default_file
from cocon.config.json_schema import compact, json_schema
from cocon.config.load import load_config
from cocon.config.manual_page import page
from cocon.config.schema import Config, Recipe, Section

REPOSITORY = Path(__file__).parents[2]
DEFAULTS = REPOSITORY / "config" / "config.default.yaml"
SHIPPED = [
    REPOSITORY / "config.yaml",
    *(path for path in sorted(DEFAULTS.parent.glob("*.yaml")) if path != DEFAULTS and not path.is_symlink()),
]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("workflow/schemas/config.schema.json", lambda: compact(json_schema()) + "\n"),
        ("config/config.default.yaml", default_file),
        ("docs/configuration.md", page),
    ],
)
def test_what_is_made_is_in_step(repository: Path, name: str, text: Callable[[], str]) -> None:
    assert (repository / name).read_text() == text(), "run `make schema`"


def test_the_command_writes_what_is_asked_for(tmp_path: Path) -> None:
    assert main(["schema", "--manual", str(tmp_path / "page.md")]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["page.md"]
    assert (tmp_path / "page.md").read_text() == page()


def moved(section: Section) -> Iterator[tuple[str, ...]]:
    """The paths of keys that belong under jobs."""
    for name, value in section:
        if name in section.moved:
            yield (name,)
        if isinstance(value, Section):
            yield from ((name, *path) for path in moved(value))


def leaves(document: Mapping[str, Any], path: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    found = {}
    for key, value in document.items():
        if isinstance(value, dict) and value:
            found |= leaves(value, (*path, key))
        else:
            found[(*path, key)] = value
    return found


def test_the_file_of_defaults_has_every_key_of_a_recipe() -> None:
    expected = leaves(Recipe().model_dump(mode="json", by_alias=True))
    for path in moved(Recipe()):
        del expected[path]
    (recipe,) = yaml.safe_load(default_file())["recipes"].values()
    found = leaves(recipe)
    lengths = {path for path in found if path[-1] == "steps"}  # a document leaves them out where epochs count
    assert {found.pop(path) for path in lengths} == {None}
    assert found == expected
    assert len(expected) > 200


def test_the_file_of_defaults_is_a_configuration(tmp_path: Path) -> None:
    """Of the defaults, but for what must be given."""
    (tmp_path / "config.yaml").write_text(default_file())
    config = load_config(tmp_path / "config.yaml")
    assert set(config.datasets) == {"demo", "ucf101", "hmdb51", "kinetics400", "folder"}
    document = config.model_dump(mode="json", by_alias=True)
    given = {name: document[name] for name in ("datasets", "recipes")}
    assert document | {"ablations": {}} == Config.model_validate(given).model_dump(mode="json", by_alias=True)
    for dataset in config.datasets.values():
        required = {name for name, field in type(dataset).model_fields.items() if field.is_required()}
        assert type(dataset)(**dataset.model_dump(include=required)) == dataset


def test_the_page_has_a_row_for_every_key(tmp_path: Path) -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.+) \| (.+) \| (.+) \|$", page(), re.M)
    keys = {name for name, *_ in rows}
    document = yaml.safe_load(default_file())
    assert {path[-1] for path in leaves(document)} - {*["rgb", "flow", "mask", "pose"], "views"} <= keys
    for name, _, can_be, meaning in rows:
        assert can_be, name
        assert meaning, name
    assert ("temperature", "`0.005`", "number > 0") in {row[:3] for row in rows}


def test_what_html_would_take_for_a_tag_is_code() -> None:
    text = re.sub(r"```.*?```|`[^`\n]+`|<!--.*?-->", "", page(), flags=re.S)
    assert not re.search(r"<\w", text)


def test_a_section_that_is_like_another_names_it_and_shows_the_difference() -> None:
    part = page().split("### `recipes.<name>.evaluation.finetune_dpc`")[1].split("###")[0]
    assert "Keys as of `recipes.<name>.evaluation.finetune`, with these defaults:" in part
    assert re.findall(r"^\| `(\w+)` \| `(.+?)`", part, re.M) == [
        ("weight_decay", "0.001"),
        ("epochs", "300"),
        ("milestones", "[0.2, 0.26666666666666666, 0.3333333333333333]"),
        ("dropout", "0.5"),
    ]


def test_compact_json_is_the_same_document() -> None:
    schema = json_schema()
    assert json.loads(compact(schema)) == schema
    lines = [line.strip() for line in compact(schema).splitlines()]
    assert any(line.startswith('"temperature": {') and line.endswith("},") for line in lines)


def test_editors_hear_of_keys_that_have_moved() -> None:
    definitions = json_schema()["$defs"]
    assert definitions["Pretraining"]["properties"]["workers"]["deprecated"]
    assert definitions["Extraction"]["properties"]["max_failed_fraction"]["deprecated"]
    assert "deprecated" not in definitions["PretrainingJob"]["properties"]["workers"]


@pytest.mark.parametrize(
    "path", [*SHIPPED, REPOSITORY / "config" / "config.default.yaml"], ids=lambda path: path.name
)
def test_editors_find_the_schema_which_fits(path: Path) -> None:
    first = path.read_text().splitlines()[0]
    schema = path.parent / first.removeprefix("# yaml-language-server: $schema=")
    jsonschema.validate(yaml.safe_load(path.read_text()), json.loads(schema.read_text()))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_each_file_is_a_configuration_on_top_of_the_first(path: Path) -> None:
    assert load_config(SHIPPED[0], path).datasets


def test_a_command_without_an_output_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema"]) == 2
    assert "give --output, --defaults, --manual" in capsys.readouterr().err
