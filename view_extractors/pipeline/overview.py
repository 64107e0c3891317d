"""Text for the user: views, backends, and the settings of a view."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator

from pydantic import BaseModel

from cocon.config.schema import GPU_BACKENDS, GPU_ON_REQUEST, Extraction
from view_extractors.registry import EXTRACTORS, to_install

VIEWS = {
    "rgb": "decoded frames",
    "flow": "optical flow from each frame to the next",
    "mask": "how certainly a pixel shows a person",
    "pose": "17 COCO keypoints of every person",
}


def section_of(view: str) -> type[BaseModel]:
    """The class of a view's settings, found without importing a backend."""
    section = Extraction.model_fields[view].annotation
    assert isinstance(section, type)
    assert issubclass(section, BaseModel)
    return section


def default_backend(view: str) -> str:
    """The backend of a view that is used unless the settings name another."""
    field = section_of(view).model_fields.get("backend")
    return field.default if field else next(iter(EXTRACTORS[view]))


def views_in_short() -> str:
    """One line per view with the names of its backends."""
    lines = ["views and their backends (*: default, -: not installed, see view-extractors backends):"]
    for view, backends in EXTRACTORS.items():
        names = [
            f"{name}{'*' * (name == default_backend(view))}{'-' * bool(to_install(name))}"
            for name in backends
        ]
        lines.append(f"  {view:<6} {VIEWS[view]:<42} {', '.join(names)}")
    return "\n".join(lines)


def backends_table() -> str:
    """A line per view and backend: where it runs, and whether it is installed or how to get it."""
    rows = [("view", "backend", "runs on", "installed")]
    has_torch = importlib.util.find_spec("torch")
    for view, backends in EXTRACTORS.items():
        for name in backends:
            default = " (default)" if name == default_backend(view) else ""
            advice = to_install(name)
            runs_on = "CPU"
            if name in GPU_BACKENDS:
                runs_on = "GPU or CPU" if has_torch or advice else "CPU; GPU with torch"
            elif name in GPU_ON_REQUEST:
                runs_on = "CPU; GPU with --device cuda"
            rows.append((view, name + default, runs_on, f"no: {advice}" if advice else "yes"))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


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
