"""What all sections share: their base, and the types of their keys."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator

from cocon.views import VIEWS

if TYPE_CHECKING:
    ViewName = str
else:
    ViewName = Literal[tuple(VIEWS)]
Fraction = Annotated[float, Field(ge=0, le=1)]
PositiveInt = Annotated[int, Field(ge=1)]
PositiveFloat = Annotated[float, Field(gt=0)]
Range = tuple[PositiveFloat, PositiveFloat]

_NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]*$"
_NAME_LENGTH = 40


def _name(value: Any) -> Any:
    if isinstance(value, str) and not (re.fullmatch(_NAME, value) and len(value) <= _NAME_LENGTH):
        raise ValueError(
            f"a name has at most {_NAME_LENGTH} characters, A-Z, a-z, 0-9, '_', '-' and '.', and begins with "
            "a letter or a digit: it becomes a part of file names and targets"
        )
    return value


def _place(value: Any) -> Any:
    if isinstance(value, str | Path) and not re.fullmatch(r"[^-{}<>\x00-\x1f][^{}<>\x00-\x1f]*", str(value)):
        raise ValueError(
            "a folder that Snakemake and its commands write to must not be empty, begin with '-', or have "
            "'{', '}', '<', '>' or control characters in its path"
        )
    return value


#: a folder that is part of the paths of rules
Place = Annotated[Path, BeforeValidator(_place)]
#: of a data set, a recipe, an ablation, a protocol or a split
Name = Annotated[str, Field(pattern=_NAME, max_length=_NAME_LENGTH), BeforeValidator(_name)]


def completed_by(usual: Mapping[str, Any]) -> BeforeValidator:
    """For a dictionary by view: views that it does not name have their usual values."""

    def completed(value: Any) -> Any:
        return {**usual, **value} if isinstance(value, Mapping) else value

    return BeforeValidator(completed)


def _mark_moved(schema: dict[str, Any], section: type[Section]) -> None:
    for key in section.moved:
        schema["properties"][key]["deprecated"] = True


class Section(BaseModel):
    """Base of all sections: immutable; an unknown key, a name twice in a list, and NaN are errors.

    Attributes:
        moved: keys that are still read here, and belong under ``jobs``.
        as_default: values that are left out of documents of settings, as defaults are, so that results that
            were made with them stay.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, json_schema_extra=_mark_moved)
    moved: ClassVar[frozenset[str]] = frozenset()
    as_default: ClassVar[Mapping[str, Any]] = {}

    @property
    def idle(self) -> dict[str, str]:
        """Keys that nothing reads because of the values of others, and why."""
        return {}

    @field_validator("*")
    @classmethod
    def _no_name_twice(cls, value: Any) -> Any:
        if isinstance(value, tuple):
            for name, count in Counter(item for item in value if isinstance(item, str)).items():
                if count > 1:
                    raise ValueError(f"'{name}' stands there {count} times; once is enough")
        return value


class ViewExtraction(Section):
    """Base of the sections of the views; each backend has a sub-section of its name, if it has options.

    Other methods, which a key chooses by name, have such sub-sections as well.
    """

    @property
    def idle(self) -> dict[str, str]:
        """The sub-sections of backends and other methods that are not used."""
        return {
            name: f"{key} is {chosen}"
            for key, field in type(self).model_fields.items()
            if isinstance(chosen := getattr(self, key), str)
            for name in get_args(field.annotation)
            if name != chosen and isinstance(getattr(self, name, None), Section)
        }

    def in_use(self) -> dict[str, Any]:
        """The settings as a JSON document, without the sub-sections that are not used."""
        return self.model_dump(mode="json", by_alias=True, exclude=set(self.idle))
