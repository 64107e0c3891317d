"""Every key says what it means, and numbers say of what they are."""

from __future__ import annotations

import importlib
import inspect
import re
from typing import Any, get_args

import pytest
from pydantic.fields import FieldInfo

from cocon.config.schema import Config, Section

#: sections that commands take, and that they write into files
ELSEWHERE = (
    "cocon.training.settings",
    "cocon.evaluation.settings",
    "cocon.evaluation.paper",
    "cocon.report.settings",
    "cocon.export.config",
)
UNIT = re.compile(
    r"\bpx\b|Hz|MB\b|minutes|epochs|steps|frames|blocks|clips|videos|batches|crops|persons|people|classes|cores|threads"
    r"|processes|machines|files|levels|warpings|iterations|rounds|resamples|repetitions|channels|windows"
    r"|checkpoints|shards|passes over|fraction|part of|probability|score|weight|multiple|factor|number|tau of"
    r"|width /|seed|quality|distance|learning rate|norm|C of|relative to|k of|without unit"
)


def sections(base: type[Section] = Section) -> list[type[Section]]:
    for module in ELSEWHERE:
        importlib.import_module(module)
    found = base.__subclasses__()
    return [*found, *(below for section in found for below in sections(section))]


def fields() -> list[tuple[str, FieldInfo]]:
    """Each key of each section of the project, with the section's name."""
    ours = {s for s in sections() if s.__module__.split(".")[0] == "cocon"}
    return sorted(
        ((f"{s.__name__}.{key}", field) for s in ours for key, field in s.model_fields.items()),
        key=lambda entry: entry[0],
    )


def holds(annotation: Any, *types: type) -> bool:
    """Whether a value of an annotation can be, or have in it, one of these types."""
    if isinstance(annotation, type) and not get_args(annotation):
        return issubclass(annotation, types) and not issubclass(annotation, bool)
    return any(holds(argument, *types) for argument in get_args(annotation))


def test_all_sections_are_walked() -> None:
    names = {name.split(".")[0] for name, _ in fields()}
    assert {"Config", "Stage", "OwnLinear", "DemoDataset", "FinetuneSettings", "EncoderConfig"} <= names
    assert len(fields()) > 400


def fault(field: FieldInfo) -> str:
    """What is wrong with the description of a key; empty: nothing."""
    annotation, text = field.annotation, field.description or ""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return "" if text or inspect.getdoc(annotation) else "neither it nor its section has a description"
    if len(text) <= 8:
        return "no description"
    if text.endswith(".") and not text.endswith("..."):
        return "a full stop after a part of a sentence"
    if holds(annotation, int, float) and not UNIT.search(text):
        return f"a number of what? {text}"
    return ""


def test_every_key_says_what_it_means() -> None:
    assert {name: found for name, field in fields() if (found := fault(field))} == {}


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        (FieldInfo(annotation=int), "no description"),
        (FieldInfo(annotation=str, description="where it is kept."), "a full stop"),
        (FieldInfo(annotation=float | None, description="how strong it is"), "a number of what?"),
        (FieldInfo(annotation=tuple[int, ...], description="size of it, px"), ""),
    ],
)
def test_a_fault_is_seen(field: FieldInfo, expected: str) -> None:
    assert fault(field).startswith(expected)
    assert bool(fault(field)) == bool(expected)


def test_sections_of_the_configuration_have_a_sentence_each() -> None:
    for definition in Config.model_json_schema()["$defs"].values():
        assert len(definition["description"]) > 10, definition["title"]
