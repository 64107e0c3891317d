"""Help texts: views, backends, and the settings of a view."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator

from pydantic import BaseModel

from cocon.backends import BACKENDS, Backend
from view_extractors.registry import default_backend, section_of, to_install


def description(view: str) -> str:
    """What a view is: the first line of its settings' docstring in the schema."""
    return (section_of(view).__doc__ or "").partition("\n")[0]


def views_in_short() -> str:
    """A line per view: its description and the names of its backends."""
    lines = ["views and their backends (*: default, -: not installed, see view-extractors backends):"]
    for view, backends in BACKENDS.items():
        names = [
            f"{name}{'*' * (name == default_backend(view))}{'-' * bool(to_install(entry))}"
            for name, entry in backends.items()
        ]
        lines += [f"  {view:<6} {description(view)}", f"  {'':<6} {', '.join(names)}"]
    return "\n".join(lines)


def backends_table() -> str:
    """A line per backend: view, method, where it runs, whether it is installed or how to get it."""
    rows = [("view", "backend", "method", "runs on", "installed")]
    for view, backends in BACKENDS.items():
        for name, entry in backends.items():
            default = " (default)" if name == default_backend(view) else ""
            advice = to_install(entry)
            installed = f"no: {advice}" if advice else "yes"
            rows.append((view, name + default, entry.title, _runs_on(entry, bool(advice)), installed))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _runs_on(entry: Backend, missing: bool) -> str:
    if entry.gpu == "never":
        return "CPU"
    if entry.gpu == "cuda":
        return "CPU; GPU with --device cuda"
    return "GPU or CPU" if missing or importlib.util.find_spec("torch") else "CPU; GPU with torch"


def settings_help(view: str) -> str:
    """The keys of a view's settings with defaults and meanings."""
    return "\n".join(
        ["settings (--settings '{key: value, ...}'), with their defaults:", *_keys(section_of(view))]
    )


def _keys(section: type[BaseModel], indent: str = "  ") -> Iterator[str]:
    for name, field in section.model_fields.items():
        default = field.default
        key = field.alias or name
        if isinstance(default, BaseModel):
            yield f"{indent}{key}:"
            yield from _keys(type(default), indent + "  ")
        else:
            text = f"{indent}{key}: {default}"
            yield f"{text:<34} {field.description or ''}".rstrip()
