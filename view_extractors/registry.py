"""The extractor of each view and backend, from the table in :mod:`cocon.backends`."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from pathlib import Path
from pkgutil import resolve_name

from cocon.backends import BACKENDS, Backend
from cocon.config.schema import Extraction, ViewExtraction
from cocon.errors import CoConError
from cocon.installation import PKG_RESOURCES, how_to_install
from view_extractors.base import Extractor

_ALSO_NEEDED = {"detectron2": ("model_zoo/model_zoo.py", "pkg_resources", PKG_RESOURCES)}
"""Package -> a file in it, a module that the file imports in some versions, and how to get the module."""


def backends_of(view: str) -> dict[str, Backend]:
    """The backends of a view by name.

    Raises:
        CoConError: there is no such view.
    """
    if view not in BACKENDS:
        raise CoConError(f"there is no view '{view}'", f"choose one of {', '.join(BACKENDS)}")
    return BACKENDS[view]


def section_of(view: str) -> type[ViewExtraction]:
    """The class of a view's settings, found without importing a backend."""
    section = Extraction.model_fields[view].annotation
    assert isinstance(section, type)
    assert issubclass(section, ViewExtraction)
    return section


def default_backend(view: str) -> str:
    """The backend of a view that is used unless the settings name another."""
    field = section_of(view).model_fields.get("backend")
    return field.default if field else next(iter(backends_of(view)))


def extractor_class(view: str, backend: str | None = None) -> type[Extractor]:
    """The class for a view; without ``backend`` that of the view's default.

    Raises:
        CoConError: there is no such view or backend.
    """
    backends = backends_of(view)
    backend = backend or default_backend(view)
    if backend not in backends:
        raise CoConError(f"the view '{view}' has no backend '{backend}'", f"choose {', '.join(backends)}")
    found: type[Extractor] = resolve_name(backends[backend].path)
    assert issubclass(found, Extractor)
    return found


def to_install(backend: Backend) -> str:
    """How to install what a backend needs; empty if it is installed. This check imports nothing."""
    package = backend.package
    if not package:
        return ""
    if found := importlib.util.find_spec(package):
        return _also_to_install(package, found.submodule_search_locations or ())
    return backend.advice or how_to_install(package)


def _also_to_install(package: str, folders: Iterable[str]) -> str:
    file, module, advice = _ALSO_NEEDED.get(package, ("", "", ""))
    if not module or importlib.util.find_spec(module):
        return ""
    files = [Path(folder) / file for folder in folders]
    return advice if any(path.is_file() and module in path.read_text() for path in files) else ""
